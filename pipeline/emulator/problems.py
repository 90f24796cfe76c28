"""The provider's error bodies: the plain one, the plain one with a list, problem+json, and HTML."""

import json
from collections.abc import Sequence
from datetime import datetime

from pipeline.emulator.bill import stamp

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
    524: "A timeout occurred",
}


class ProviderError(Exception):
    """An answer with an error status; `messages` are the provider's words."""

    def __init__(
        self,
        status: int,
        messages: str | Sequence[str],
        *,
        name: str = "",
        kind: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.messages = [messages] if isinstance(messages, str) else list(messages)
        self.name = name or title(status).replace(" ", "") + "Exception"
        self.kind = kind
        self.headers = headers or {}
        super().__init__(f"{status}: {'; '.join(self.messages)}")


def title(status: int) -> str:
    """The reason phrase of a status."""
    return _TITLES.get(status, "Error")


def render(
    error: ProviderError, *, style: str, path: str, request_id: str, now: datetime
) -> tuple[bytes, str]:
    """The body of an error and its content type, in one of the styles of `error_bodies`."""
    joined = "; ".join(error.messages)
    if style == "problem" or error.kind is not None:
        # The kind (no money left) is only ever seen in this body.
        body: dict[str, object] = {
            "title": title(error.status),
            "status": error.status,
            "message": joined,
            "instance": path,
            "requestId": request_id,
            "error": {
                "name": error.name,
                "message": joined,
                "data": {} if error.kind is None else {"kind": error.kind},
            },
        }
        return _json(body), "application/problem+json"
    listed = style == "list"
    return _json(
        {
            "message": error.messages if listed else joined,
            "path": path,
            "requestId": request_id,
            "statusCode": str(error.status) if listed else error.status,
            "timestamp": stamp(now),
        }
    ), "application/json"


def html_page(status: int, host: str) -> bytes:
    """What a gateway in front of the provider answers: HTML, of no use to a program."""
    heading = f"{status} {title(status)}"
    return (
        "<!DOCTYPE html>\n<html>\n<head><title>"
        f"{host} | {heading}</title></head>\n<body>\n<center><h1>{heading}</h1></center>\n"
        "<hr><center>cloud gateway</center>\n</body>\n</html>\n"
    ).encode()


def _json(body: dict[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
