"""Who may ask what: decisions about one request, from its headers alone. Nothing here does I/O."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import msgspec

COOKIE = "pipeline_session"
CSRF_HEADER = "X-CSRF-Token"
SHORTEST_TOKEN = 16
"""Characters. A token guards money: what can be guessed within a night is none."""

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not answered: the status, and what a person reads."""

    status: int
    message: str


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """The rules of one server.

    ``token``: what a visitor has to show once; ``None``: whoever reaches the address may look.
    ``names``: host names, in lower case, by which the server may be addressed, besides its
    addresses and ``localhost``. ``read_only``: nobody may change anything.
    """

    def __init__(
        self, *, token: str | None, names: Collection[str] = (), read_only: bool = False
    ) -> None:
        self.read_only = read_only
        self._names = _LOCAL_NAMES | {name.lower().rstrip(".") for name in names}
        self._token = None if token is None else _digest(token)
        # The cookie is not the token: who reads it off this browser cannot sign in elsewhere, and
        # it ends with this server.
        self.session = secrets.token_urlsafe(32)
        self.csrf = secrets.token_urlsafe(32)

    @property
    def guarded(self) -> bool:
        """Whether a token is needed."""
        return self._token is not None

    def is_token(self, given: str) -> bool:
        """In constant time, whatever the lengths."""
        return self._token is not None and hmac.compare_digest(self._token, _digest(given))

    def knows(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        """Whether the visitor has shown the token: now, or when the cookie was set."""
        if self._token is None:
            return True
        session = cookies.get(COOKIE, "")
        return self.bearer(headers) or hmac.compare_digest(
            session.encode(errors="replace"), self.session.encode()
        )

    def bearer(self, headers: Mapping[str, str]) -> bool:
        """Whether the token itself came along, as programs send it."""
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(given.strip())

    def foreign(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Refuses what another site's page makes a browser send.

        A host name that is not ours means that a name of somebody else's was pointed at this
        address (DNS rebinding); addresses in numbers cannot be pointed anywhere.
        """
        host = _host_of(headers.get("Host", ""))
        if host is None or not self._is_ours(host):
            return Refusal(
                403,
                "this host name is not the server's (to use it: pipeline serve --allow-host NAME)",
            )
        site = headers.get("Sec-Fetch-Site", "none").lower()
        navigates = headers.get("Sec-Fetch-Mode", "").lower() == "navigate"
        followed_a_link = method in ("GET", "HEAD") and navigates
        if site not in ("none", "same-origin") and not followed_a_link:
            return Refusal(403, "asked for by another site's page")
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("Origin")
        if origin is not None and _origin_host(origin) != headers.get("Host", "").lower():
            return Refusal(403, "sent by another site's page")
        return None

    def may_change(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuses a change that none of our own pages, and no program with the token, sent."""
        if self.read_only:
            return Refusal(403, "this server is read-only (pipeline serve without --read-only)")
        given = headers.get(CSRF_HEADER, "")
        same = hmac.compare_digest(given.encode(errors="replace"), self.csrf.encode())
        # Only a browser sends along what it was not told to, and no browser sends this by itself.
        if same or self.bearer(headers):
            return None
        return Refusal(
            403, f"the header {CSRF_HEADER} is missing or old (GET /api/session has today's)"
        )

    def _is_ours(self, host: str) -> bool:
        if host in self._names:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _host_of(header: str) -> str | None:
    """The host of a ``Host`` header, in lower case, without its port and brackets."""
    try:
        host = urlsplit(f"//{header}").hostname
    except ValueError:
        return None
    if not header or host is None or any(sign in header for sign in "/@?#\\ "):
        return None
    return host.rstrip(".")


def _origin_host(origin: str) -> str | None:
    # Not the scheme: a proxy in front may speak TLS.
    scheme, _, host = origin.lower().partition("://")
    return host if scheme in ("http", "https") else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
