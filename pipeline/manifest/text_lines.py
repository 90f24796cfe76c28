"""Lines of a text file, decoded one by one: bounded memory, and the offset of what is wrong."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipeline.errors import ManifestError
from pipeline.manifest.problems import RowError

MAX_LINE = 32 * 1024 * 1024
"""Bytes of one line: three inline pictures of the largest size that endpoints take."""

CHECKED_BYTES = 64 * 1024 * 1024
"""Checked before the first row is given out: about a million rows, in a tenth of a second."""

_CHUNK = 1024 * 1024

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def wrong_encoding(label: str, offset: int, line: int, byte: int) -> ManifestError:
    return ManifestError(
        f"{label}:{line}: the byte at offset {offset} (0x{byte:02x}) is not UTF-8 (save the file"
        " as UTF-8; in a spreadsheet, as 'CSV UTF-8')"
    )


def cannot_read(label: str, error: OSError) -> ManifestError:
    return ManifestError(f"{label}: {error.strerror or error} (check the path and its permissions)")


def decoded(data: bytes, label: str) -> str:
    """A whole file's text: UTF-8, or UTF-16 with a byte order mark. Raises `ManifestError`."""
    try:
        if data.startswith(_UTF16):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # 'utf-8-sig' counts from behind the mark.
        start = error.start + (3 if data.startswith(codecs.BOM_UTF8) else 0)
        line = data.count(b"\n", 0, start) + 1
        raise wrong_encoding(label, start, line, data[min(start, len(data) - 1)]) from None


def small_text(path: Path, label: str, limit: int) -> str:
    """The text of a whole file that stands beside a manifest, in UTF-8. ``limit``: bytes. Raises
    `RowError`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise RowError(f"{label}: {error.strerror or error} (put it there, readable)") from None
    if len(data) > limit:
        raise RowError(f"{label}: larger than {limit // 1024:,} kB (shorten it)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError(
            f"{label}: the byte at offset {error.start} is not UTF-8 (save it as UTF-8)"
        ) from None


def text_lines(file: IO[bytes], label: str) -> Iterator[str]:
    """The lines of an open file with their ends, which only ``\\n`` makes.

    UTF-8, or UTF-16 where a byte order mark says so. Raises `ManifestError`: another encoding, NUL
    bytes, a line that is too long, a file that cannot be read any further.
    """
    try:
        first = file.readline(MAX_LINE + 1)
        if first.startswith(_UTF16):
            yield from _utf16_lines(first, file, label)
            return
        start = 0
        if first.startswith(codecs.BOM_UTF8):
            first, start = first[3:], 3
        yield from _utf8_lines(first, file, label, start)
    except OSError as error:
        raise cannot_read(label, error) from error


def check_encoding(file: IO[bytes], label: str) -> None:
    """Looks ahead, where the file can go back, so that a wrong encoding is found before any work.

    Reads at most `CHECKED_BYTES`. Raises `ManifestError`.
    """
    if not file.seekable():
        return  # a pipe: what is wrong with it is found when it comes
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        if file.read(2) not in _UTF16:
            file.seek(0)
            for _ in range(CHECKED_BYTES // _CHUNK):
                chunk = file.read(_CHUNK)
                decoder.decode(chunk, final=len(chunk) < _CHUNK)
                if len(chunk) < _CHUNK:
                    break
    except UnicodeDecodeError:
        file.seek(0)
        for _ in text_lines(file, label):  # raises, with the place
            continue
    except OSError as error:
        raise cannot_read(label, error) from error
    file.seek(0)


def _utf8_lines(raw: bytes, file: IO[bytes], label: str, offset: int) -> Iterator[str]:
    readline = file.readline
    number = 0
    while raw:
        number += 1
        if len(raw) > MAX_LINE:
            raise _too_long(label, number)
        if 0 in raw:
            raise ManifestError(
                f"{label}:{number}: a NUL byte at offset {offset + raw.index(0)} (the file is"
                " damaged, or UTF-16 without a mark: save it as UTF-8)"
            )
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise wrong_encoding(label, offset + error.start, number, raw[error.start]) from None
        offset += len(raw)
        yield text
        raw = readline(MAX_LINE + 1)


def _utf16_lines(first: bytes, file: IO[bytes], label: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-16")()
    rest = ""
    number = 0
    raw = first
    while raw:
        try:
            text = rest + decoder.decode(raw)
        except UnicodeDecodeError:
            raise ManifestError(
                f"{label}:{number + 1}: this is not the UTF-16 that its first bytes promise (save"
                " the file as UTF-8)"
            ) from None
        *lines, rest = text.split("\n")
        for line in lines:
            number += 1
            if "\0" in line:
                raise ManifestError(f"{label}:{number}: a NUL character (save the file as UTF-8)")
            yield line + "\n"
        if len(rest) > MAX_LINE:
            raise _too_long(label, number + 1)
        raw = file.read(_CHUNK)
    if rest:
        yield rest


def _too_long(label: str, number: int) -> ManifestError:
    return ManifestError(
        f"{label}:{number}: a line longer than {MAX_LINE // 1024 // 1024} MB (is a quote never"
        " closed? Large pictures belong into files)"
    )
