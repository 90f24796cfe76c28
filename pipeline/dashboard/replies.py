"""Requests' bodies in, JSON out, and errors as both a program and a person can read them."""

from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pipeline.errors import ConfigError, JobError, LockedError, ManifestError, PipelineError

T = TypeVar("T")

SMALL_BODY = 64 * 1024
"""Bytes of an action's body."""

_JSON = "application/json"


class AnswerError(Exception):
    """A request that is answered with an error: an HTTP status, and words for a person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def json_reply(value: Any, *, status: int = 200) -> web.Response:
    """``value``: anything that msgspec encodes."""
    return web.Response(
        body=msgspec.json.encode(value, enc_hook=str), status=status, content_type=_JSON
    )


def error_reply(status: int, message: str) -> web.Response:
    return json_reply({"error": message}, status=status)


def status_of(error: PipelineError) -> int:
    """The HTTP status for an error of the package."""
    if isinstance(error, JobError | ManifestError):
        return 422
    if isinstance(error, ConfigError | LockedError):
        return 409
    return 500


async def read_json(request: web.Request, kind: type[T], *, limit: int = SMALL_BODY) -> T:
    """The body, at most ``limit`` bytes, as a ``kind``. Raises `AnswerError`.

    Only ``application/json``: no form of another site can send that without being asked first.
    """
    if request.content_type != _JSON:
        raise AnswerError(415, f"the body has to be {_JSON}")
    body = bytearray()
    async for part in request.content.iter_chunked(65_536):
        body += part
        if len(body) > limit:
            raise AnswerError(413, f"the body is larger than {limit:,} bytes")
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnswerError(400, f"the body cannot be used: {error}") from None
