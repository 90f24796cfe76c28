"""A JSON answer read while it arrives: pictures go to drafts, the rest stays small.

An answer is a small document around a few very long base64 strings. Here each of those is decoded
piece by piece into a draft, and a marker takes its place in the *skeleton*, which is parsed at the
end. So 256 answers at once need no more memory than their network buffers.
"""

import re
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from pipeline.endpoints.base64_stream import Base64Stream
from pipeline.errors import BadResponseError
from pipeline.models import Draft

LONG_STRING = 2048
"""Bytes from which on a string may be a picture. Shorter ones stay in the document."""

MAX_PICTURES = 64
"""Most base64 strings that are decoded from one answer: nine pictures named twice fit well."""

# A server that knew the marker could name one picture twice.
_TOKEN = secrets.token_hex(8)

_QUOTE, _BACKSLASH = b'"', 0x5C
_OPENINGS = (b"{", b"[", b'"')
_DATA_PREFIX = re.compile(rb"\s*data:[^,]{0,500}?;base64,", re.IGNORECASE)
_BASE64_ONLY = re.compile(rb"[A-Za-z0-9+/=_\-\s]*")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``inline``: the decoded strings by the marker that stands for each in ``document``."""

    document: Any
    inline: dict[str, Base64Stream]


class AnswerStream:
    """Feed it chunks, then close it. ``draft`` makes the drafts, which stay the caller's.

    ``max_bytes`` bounds the answer, ``max_skeleton`` what is kept of it in memory. Past them, and
    for what is no JSON, `BadResponseError` is raised; ``sent`` is set when the end is missing,
    since then nobody knows what the provider made of the request.
    """

    def __init__(
        self,
        draft: Callable[[], Draft],
        *,
        max_bytes: int = 64 << 20,
        max_skeleton: int = 1 << 20,
    ) -> None:
        self._new_draft = draft
        self._max_bytes = max_bytes
        self._max_skeleton = max_skeleton
        self._received = 0
        self._skeleton = bytearray()
        self._in_string = False
        self._head: bytearray | None = None  # of a string that is not long yet
        self._picture: Base64Stream | None = None
        self._carry = b""  # an escape that a chunk boundary cut
        self._inline: dict[str, Base64Stream] = {}

    @property
    def skeleton(self) -> bytes:
        """What came, without the pictures: for a person who has to find out why."""
        return bytes(self._skeleton) + bytes(self._head or b"")

    def feed(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._max_bytes:
            raise BadResponseError(
                f"the answer is larger than {self._max_bytes} bytes and was cut off"
                " (ask for fewer pictures per request)"
            )
        if self._carry:
            chunk, self._carry = self._carry + chunk, b""
        position, end = 0, len(chunk)
        while position < end:
            if not self._in_string:
                quote = chunk.find(_QUOTE, position)
                stop = end if quote < 0 else quote + 1
                self._keep(chunk[position:stop])
                if quote >= 0:
                    self._in_string, self._head = True, bytearray()
                position = stop
                continue
            close = _closing_quote(chunk, position)
            stop = _before_cut_escape(chunk, position, end) if close < 0 else close
            self._in_string_feed(chunk, position, stop)
            if close < 0:
                self._carry = chunk[stop:]
                return
            self._end_string()
            position = close + 1

    def close(self) -> Answer:
        """The document. Raises `BadResponseError`."""
        text = self._skeleton.removeprefix(b"\xef\xbb\xbf")
        if self._in_string and text.lstrip()[:1] in _OPENINGS:
            raise BadResponseError("the answer ends in the middle of a string", sent=True)
        try:
            document = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
            truncated = "truncated" in str(error)
            problem = "breaks off" if truncated else f"is no JSON ({error})"
            raise BadResponseError(f"the answer {problem}", sent=truncated) from error
        return Answer(document=document, inline=self._inline)

    def _keep(self, data: bytes | bytearray) -> None:
        if len(self._skeleton) + len(data) > self._max_skeleton:
            raise BadResponseError(
                f"the answer holds more than {self._max_skeleton} bytes besides pictures"
            )
        self._skeleton += data

    def _in_string_feed(self, chunk: bytes, position: int, stop: int) -> None:
        if self._head is not None:
            cut = min(stop, position + LONG_STRING - len(self._head))
            if cut < stop:
                cut = _before_cut_escape(chunk, position, cut)
            self._head += chunk[position:cut]
            if cut == stop and len(self._head) < LONG_STRING:
                return
            position = cut
            self._decide(bytes(self._head))
        if self._picture is not None:
            _feed_escaped(self._picture, chunk, position, stop)
        else:
            self._keep(chunk[position:stop])

    def _decide(self, head: bytes) -> None:
        """The string is long: is it a picture?"""
        self._head = None
        text = _unescape(head)
        prefix = _DATA_PREFIX.match(text) if text is not None else None
        start = prefix.end() if prefix else 0
        if text is None or not _BASE64_ONLY.fullmatch(text, start):
            self._keep(head)
            return
        if len(self._inline) >= MAX_PICTURES:
            raise BadResponseError(f"the answer holds more than {MAX_PICTURES} pictures")
        self._picture = Base64Stream(self._new_draft())
        marker = f"<picture {len(self._inline) + 1} {_TOKEN}>"
        self._inline[marker] = self._picture
        self._keep(marker.encode())
        self._picture.feed(text[start:])

    def _end_string(self) -> None:
        if self._head is not None:
            self._keep(self._head)
        if self._picture is not None:
            self._picture.finish()
        self._keep(_QUOTE)
        self._in_string, self._head, self._picture = False, None, None


def _closing_quote(chunk: bytes, start: int) -> int:
    """Where the string that is open at ``start`` ends, or -1. ``start`` is not inside an escape."""
    quote = chunk.find(_QUOTE, start)
    while quote > start and chunk[quote - 1] == _BACKSLASH:
        if not _odd_backslashes(chunk, start, quote):
            break
        quote = chunk.find(_QUOTE, quote + 1)
    return quote


def _before_cut_escape(chunk: bytes, start: int, end: int) -> int:
    """The last place up to ``end`` that is not inside an escape (``\\n``, ``\\u002f``)."""
    last = chunk.rfind(b"\\", max(start, end - 6), end)
    if last < 0 or not _odd_backslashes(chunk, start, last + 1):
        return end
    length = 6 if chunk[last + 1 : last + 2] == b"u" else 2
    return end if last + length <= end else last


def _odd_backslashes(chunk: bytes, start: int, end: int) -> bool:
    """Whether the run of backslashes that ends before ``end`` leaves one unpaired."""
    first = end
    while first > start and chunk[first - 1] == _BACKSLASH:
        first -= 1
    return (end - first) % 2 == 1


def _unescape(raw: bytes) -> bytes | None:
    """The text of a piece of a JSON string, or ``None`` where it cannot be base64."""
    if b"\\" not in raw:
        return raw
    try:
        return msgspec.json.decode(b'"' + raw + b'"', type=str).encode("ascii")
    except ValueError:  # not JSON, or not ASCII
        return None


def _feed_escaped(picture: Base64Stream, chunk: bytes, start: int, stop: int) -> None:
    if chunk.find(b"\\", start, stop) < 0:
        picture.feed(memoryview(chunk)[start:stop])
        return
    text = _unescape(chunk[start:stop])
    # What cannot be unescaped cannot be decoded either: let the decoder say so.
    picture.feed(chunk[start:stop] if text is None else text)
