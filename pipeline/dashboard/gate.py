"""Every request comes through here: who asks, may they, and what an error looks like."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from pipeline.dashboard.access import COOKIE
from pipeline.dashboard.pages import error_page, sign_in_page, signed_in_page
from pipeline.dashboard.replies import AnswerError, error_reply, status_of
from pipeline.dashboard.room import room_of
from pipeline.errors import PipelineError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = frozenset({"/healthz", "/sign-in"})
"""For visitors without a token."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise itself."""

_log = logging.getLogger(__name__)


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Signal: an answer is about to leave."""
    response.headers["Server"] = "pipeline"
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets in whoever may, and turns errors into answers."""
    try:
        return await _checked(request, handler)
    except AnswerError as error:
        return _error(request, error.status, str(error))
    except PipelineError as error:
        return _error(request, status_of(error), str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _error(request, error.status, _WORDS.get(error.status, error.reason))
    except ConnectionResetError:
        raise  # whoever asked went away
    except Exception:
        # A bug, of whatever kind: the browser gets an answer, the terminal the traceback.
        _log.exception("%s %s", request.method, request.path)
        return _error(request, 500, "a bug in this program: its terminal shows more")


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Takes the token from the form of the sign-in page."""
    room = room_of(request)
    if request.method == "POST":
        if (request.content_length or 0) > 4096:
            raise AnswerError(413, "that is no token")
        token = (await request.post()).get("token", "")
        if isinstance(token, str) and room.access.is_token(token.strip()):
            return _welcome(request, "/")
    return sign_in_page(wrong=request.method == "POST")


async def _checked(request: web.Request, handler: Handler) -> web.StreamResponse:
    access = room_of(request).access
    refusal = access.foreign(request.method, request.headers)
    if refusal is not None:
        return _error(request, refusal.status, refusal.message)
    if request.path in OPEN or request.path.startswith("/static/"):
        return await handler(request)
    if not access.knows(request.headers, request.cookies):
        if request.method == "GET" and access.is_token(request.query.get("token", "")):
            return _welcome(request, request.path)
        if _wants_page(request):
            return sign_in_page(wrong="token" in request.query)
        answer = error_reply(401, "a token is needed (Authorization: Bearer TOKEN)")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="pipeline"'
        return answer
    if request.method not in ("GET", "HEAD"):
        refusal = access.may_change(request.headers)
        if refusal is not None:
            return _error(request, refusal.status, refusal.message)
    return await handler(request)


def _welcome(request: web.Request, path: str) -> web.Response:
    # A page, not a redirect: a browser that came from elsewhere would not send the cookie along.
    answer = signed_in_page(path)
    answer.set_cookie(
        COOKIE,
        room_of(request).access.session,
        httponly=True,
        samesite="Strict",
        secure=request.secure,
        path="/",
    )
    return answer


def _error(request: web.Request, status: int, message: str) -> web.Response:
    if _wants_page(request):
        return error_page(status, message)
    return error_reply(status, message)


def _wants_page(request: web.Request) -> bool:
    return (
        request.method in ("GET", "HEAD")
        and not request.path.startswith("/api/")
        and "text/html" in request.headers.get("Accept", "")
    )


_WORDS = {
    404: "there is nothing at this address",
    405: "this address takes no such request",
    413: "the body is too large",
}
