"""The pictures that come in: data URIs decoded and looked at, URLs recognised."""

import hashlib
import io
import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MIME_TYPES = ("image/png", "image/jpeg", "image/webp")
"""What the endpoint takes. `image/jpg` is no MIME type."""

_HEAD = re.compile(r"data:(?P<mime>[^;,]*)(?P<parameters>[^,]*),", re.IGNORECASE)
_ORIENTATION = 0x0112
_GPS = 0x8825


class UnusableInputError(Exception):
    """An input is refused; the text is what the provider says about it."""


@dataclass(frozen=True)
class Input:
    """One input picture: its bytes and what they are, or the URL that stays a URL."""

    data: bytes | None
    mime: str | None = None
    url: str | None = None
    sha256: str | None = None
    width: int = 0
    height: int = 0
    mode: str = ""
    orientation: int = 1
    """EXIF orientation as sent. The endpoint ignores it: anything but 1 comes out sideways."""
    has_gps: bool = False

    @property
    def identity(self) -> str:
        """Stable across requests: the digest, or the URL of what was not fetched."""
        return self.sha256 or self.url or ""

    def to_json(self) -> dict[str, Any]:
        """A description without the bytes."""
        return {
            "url": self.url,
            "mime": self.mime,
            "sha256": self.sha256,
            "bytes": None if self.data is None else len(self.data),
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "orientation": self.orientation,
            "has_gps": self.has_gps,
        }


def is_web_url(value: str) -> bool:
    """Whether this is an absolute http or https URL."""
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine; only such URLs are ever fetched."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def decode_data_uri(value: str, *, max_bytes: int, strict_mime: bool) -> Input:
    """The picture in a data URI.

    Raises:
        UnusableInputError: no base64 data URI, a MIME type that is not taken, more than
            `max_bytes`, or bytes that are no such picture.
    """
    import pybase64

    head = _HEAD.match(value, 0, 256)
    if head is None or ";base64" not in head["parameters"].lower():
        raise UnusableInputError("Invalid url")
    mime = head["mime"]
    if mime not in MIME_TYPES:
        expected = " | ".join(f"'{one}'" for one in MIME_TYPES)
        raise UnusableInputError(
            f"Unsupported image type. Expected {expected}, received '{mime[:60]}'"
        )
    # Refused before decoding: four characters carry three bytes.
    if (len(value) - head.end()) * 3 // 4 > max_bytes + 2:
        raise UnusableInputError(_too_large(max_bytes))
    try:
        data = pybase64.b64decode(value[head.end() :], validate=True)
    except ValueError as exc:
        raise UnusableInputError("Invalid base64 string") from exc
    return describe(data, declared=mime, max_bytes=max_bytes, strict_mime=strict_mime)


def describe(
    data: bytes,
    *,
    declared: str | None,
    max_bytes: int,
    strict_mime: bool,
    url: str | None = None,
) -> Input:
    """What these bytes are, from their own header.

    Raises:
        UnusableInputError: too many bytes, no picture, or not the `declared` kind of picture.
    """
    from PIL import Image

    if len(data) > max_bytes:
        raise UnusableInputError(_too_large(max_bytes))
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            actual = Image.MIME[picture.format or ""]
            width, height = picture.size
            mode = picture.mode
            exif = picture.getexif()
            orientation, has_gps = int(exif.get(_ORIENTATION, 1)), _GPS in exif
    except (OSError, ValueError, KeyError, SyntaxError, Image.DecompressionBombError) as exc:
        raise UnusableInputError("Unable to process input image") from exc
    except Image.DecompressionBombWarning as exc:  # where warnings are errors
        raise UnusableInputError("Unable to process input image") from exc
    if strict_mime and declared is not None and declared != actual:
        raise UnusableInputError(f"Invalid image data. Expected {declared}, received {actual}")
    return Input(
        data=data,
        mime=declared or actual,
        url=url,
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        mode=mode,
        orientation=orientation,
        has_gps=has_gps,
    )


def _too_large(max_bytes: int) -> str:
    return f"Image is too large. Expected at most {max_bytes // (1024 * 1024)} MB"
