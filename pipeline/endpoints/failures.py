"""One mapping from HTTP to `pipeline.errors`, shared by every adapter: by status, then by words.

What a status says about money (``sent``: may it have been charged?):

- 4xx, 500, 502, 503: somebody answered that it failed; failed requests are not charged.
- 521, 522, 523: the gateway could not reach the origin, so nothing was done.
- 504, 524, 520: the gateway had passed the request on and then lost patience, or got no sensible
  answer. The origin may have finished and charged: treated like a broken connection. If that was
  too careful the provider's log says so later; the other way round money is spent twice unseen.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol, TypedDict

import aiohttp
import msgspec

from pipeline.endpoints.answers import speaks_of_refusal
from pipeline.errors import (
    AuthenticationError,
    ConnectionFailed,
    ContentRefusedError,
    ModelGoneError,
    PipelineError,
    QuotaExceededError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
)

MESSAGE_LENGTH = 500
BODY_LENGTH = 64 * 1024

_MAYBE_CHARGED = frozenset({504, 520, 524})
_TRANSIENT_4XX = frozenset({408, 425})
_MONEY = re.compile(r"\b(credits?|funds?|balance|billing|payment|top[ -]?up)\b", re.IGNORECASE)
_MONEY_KINDS = frozenset({"err_insufficent_credits", "err_insufficient_credits"})
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
)
# C0 and C1 controls, and the marks that reverse or hide text.
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]{0,2000}>", re.IGNORECASE | re.DOTALL)


class Problem(NamedTuple):
    """An error answer in the provider's words. ``kind``: machine-readable names in it."""

    message: str
    kind: str


def clean_text(text: str, *, secret: str = "", length: int = MESSAGE_LENGTH) -> str:
    """One line that is safe to print and log: no control characters or terminal sequences, no
    ``secret``, at most ``length`` characters.
    """
    if not text:  # nearly always: a success says nothing
        return text
    # Far more than needed is not even looked at.
    text = _CONTROLS.sub(" ", _ESCAPES.sub("", text[: length * 20]))
    text = " ".join(text.split())
    # After the clean-up: a key with an escape inside it would pass before.
    if secret:
        text = text.replace(secret, "[key]")
    return text if len(text) <= length else text[: length - 1] + "…"


def read_problem(body: bytes) -> Problem:
    """The message of an error body: both JSON formats, HTML, text or nothing."""
    text = body.decode("utf-8", "replace").strip()
    try:
        document = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Problem(_TAGS.sub(" ", text), "")
    if isinstance(document, str):
        return Problem(document, "")
    if not isinstance(document, dict):
        return Problem(text, "")
    error = document.get("error")
    nested: dict[str, Any] = error if isinstance(error, dict) else {}
    data = nested.get("data")
    kinds = [
        place.get(key)
        for place in (nested, data if isinstance(data, dict) else {}, document)
        for key in ("kind", "code", "type", "name")
    ]
    for words in (
        document.get("message"),
        nested.get("message"),
        error,
        document.get("detail"),
        document.get("title"),
    ):
        if message := _joined(words):
            return Problem(message, " ".join(k for k in kinds if isinstance(k, str)))
    return Problem(text, " ".join(k for k in kinds if isinstance(k, str)))


def _joined(words: Any) -> str:
    if isinstance(words, str):
        return words.strip()
    if isinstance(words, list):
        return "; ".join(
            part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in words
        )
    return ""


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to wait by ``Retry-After``, as seconds or an HTTP date; ``now``: epoch seconds."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class _Details(TypedDict):
    """What every error that an answer settled is told of it."""

    http_status: int
    inference_id: str | None
    body: bytes | None


def error_for(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    model: str = "",
    secret: str = "",
) -> PipelineError:
    """What a status that is no success means. ``body`` may be cut; ``now``: epoch seconds.

    ``secret`` (the API key) is taken out of every message, should the server echo it.
    """
    problem = read_problem(body)
    words = clean_text(problem.message, secret=secret)
    said = f"({status}): {words}" if words else f"({status}, without a reason)"
    inference_id = clean_text(headers.get("x-inference-id", ""), secret=secret, length=200) or None
    about_money = problem.kind.find("err_insuffic") >= 0 or _MONEY.search(words) is not None

    if status == 401:
        return AuthenticationError(
            f"the endpoint does not accept the API key {said}."
            " Check the variable named by endpoint.api_key_env, then run again"
        )
    if status == 402 or (status == 403 and about_money):
        return QuotaExceededError(
            f"the account is out of money, or its key at its cap {said}."
            " Top up or raise the cap, then run again: nothing was marked failed"
        )
    if status in (403, 404):
        return ModelGoneError(
            f"the endpoint does not offer {model or 'this model'} to this key {said}."
            " Check endpoint.model and endpoint.base_url: it may have been withdrawn or renamed"
        )
    kept = body[:BODY_LENGTH].replace(secret.encode(), b"[key]") if secret else body[:BODY_LENGTH]
    details = _Details(http_status=status, inference_id=inference_id, body=kept or None)
    if status == 413:
        return RequestRejectedError(
            f"the request is too large for the endpoint {said}."
            " Lower inputs.max_side, or send fewer pictures",
            **details,
        )
    wait = retry_after_s(headers, now=now)
    if status == 429:
        return RateLimitError(
            f"too many requests {said}",
            retry_after=wait,
            http_status=status,
            inference_id=inference_id,
        )
    if status in _TRANSIENT_4XX or status >= 500 or status < 400:
        if 300 <= status < 400:
            said += (
                f", which leads to {clean_text(headers.get('Location', '?'), secret=secret)}."
                " Redirects are not followed, because the key would go along:"
                " correct endpoint.base_url"
            )
        return ServerError(
            f"the endpoint failed {said}",
            retry_after=wait,
            sent=status in _MAYBE_CHARGED,
            http_status=status,
            inference_id=inference_id,
        )
    if status in (400, 422) and _is_refusal(problem):
        return ContentRefusedError(f"refused by the provider {said}", **details)
    return RequestRejectedError(f"the endpoint rejects the request {said}", **details)


def _is_refusal(problem: Problem) -> bool:
    if "validation error" in problem.message.lower():
        return False
    return speaks_of_refusal(problem.message) or speaks_of_refusal(problem.kind.replace("_", " "))


class Request(Protocol):
    """How far a request got. ``handed_over``: its last byte may have left this machine."""

    handed_over: bool
    failure: PipelineError | None


@contextmanager
def mapped_errors(request: Request, *, place: str, timeout_s: float) -> Iterator[None]:
    """Turns aiohttp's exceptions, time-outs and OS errors into `ConnectionFailed`.

    A request body is one JSON document: without its last byte no server can act on it. So
    ``sent`` is whether the last piece was handed to the network, which the body itself knows;
    connect, DNS, TLS and proxy errors all come before. ``request.failure``, where set, is what the
    body broke off with, and is raised instead.
    """
    try:
        yield
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
        if request.failure is not None:
            raise request.failure from error
        # TimeoutError is an OSError; aiohttp's own is about connecting, and says so.
        timed_out = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)
        if timed_out:
            raise too_late(request, place=place, timeout_s=timeout_s) from _cause(error)
        raise _broken_off(request, f"{place}: {_reason(error)}") from _cause(error)


def too_late(request: Request, *, place: str, timeout_s: float) -> ConnectionFailed:
    """For a request without its answer, or without all of it, after ``timeout_s`` seconds."""
    return _broken_off(request, f"{place}: no answer within {timeout_s:g} s")


def _broken_off(request: Request, what: str) -> ConnectionFailed:
    if request.handed_over:
        what += ", after the request was sent: it may have been charged"
    else:
        what += ", before the request was complete: it was not charged"
    return ConnectionFailed(what, sent=request.handed_over)


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        text = f"not HTTP as it should be ({error.message})"
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        text = "the connection was closed without an answer"
    elif isinstance(error, aiohttp.ClientPayloadError):
        text = "the answer broke off"
    elif type(error) in (aiohttp.ClientConnectorError, aiohttp.ClientConnectorDNSError):
        # Without the host a second time, and aiohttp's "ssl:default".
        text = f"no connection: {_system_reason(error)}"
    else:
        text = str(error) or type(error).__name__
    return clean_text(text, length=300)


def _system_reason(error: BaseException) -> str:
    reason = getattr(error, "os_error", error)
    return getattr(reason, "strerror", None) or str(reason)


def _cause(error: BaseException) -> BaseException | None:
    # Its arguments hold the request's headers, the key among them: it goes no further.
    return None if isinstance(error, aiohttp.ClientResponseError) else error
