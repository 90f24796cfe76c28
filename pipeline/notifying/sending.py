"""One message to one address, by apprise, in a process of its own.

So nothing that a service's plugin does can reach the run: a server that hangs is ended with the
process, a crash is one message less, and what apprise and its HTTP library write to their logs,
addresses with tokens among it, is nobody's log. The address goes through a pipe, never through
arguments, which every user of a machine can read.
"""

import asyncio
import logging
import re
import sys
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import parse_qsl, unquote

import msgspec

PATIENCE_S = 30.0
"""For one message. Longer than a mail server needs, shorter than a person notices at night."""

NOT_INSTALLED = (
    "apprise is not installed (it comes with the extra: pip install 'image-edit-pipeline[notify]')"
)
NO_SERVICE = "apprise does not understand the URL (docs/notifications.md has examples)"
HIDDEN = "***"

_SECRET = re.compile(r"key|token|secret|pass|pwd|auth|sig", re.IGNORECASE).search
"""Names of what is secret in an address, however short it is."""


class _Message(msgspec.Struct, frozen=True):
    url: str
    title: str
    body: str


async def deliver(
    url: str, title: str, body: str, *, secrets: Collection[str], patience_s: float = PATIENCE_S
) -> str:
    """Sends it. Returns what went wrong, in words without secrets; empty: nothing."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", __file__),  # the file alone: nothing else of this package
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        return f"no process could be started for it: {error}"
    try:
        async with asyncio.timeout(patience_s):
            said, _ = await process.communicate(msgspec.json.encode(_Message(url, title, body)))
        trouble = msgspec.json.decode(said, type=str)
    except TimeoutError:
        trouble = f"no answer within {patience_s:g} s"
    except msgspec.DecodeError:
        trouble = f"the process that was to send it ended with {process.returncode}"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return hide(trouble, [url, *secrets])


def main() -> None:
    """The process: a message on standard input, what went wrong on standard output."""
    message = msgspec.json.decode(sys.stdin.buffer.read(), type=_Message)
    trouble = _send(message)
    sys.stdout.buffer.write(msgspec.json.encode(trouble))


def _send(message: _Message) -> str:
    try:
        import apprise
    except ImportError:
        return NOT_INSTALLED
    heard = _Heard()
    logging.getLogger("apprise").addHandler(heard)
    try:
        service = apprise.Apprise.instantiate(message.url, suppress_exceptions=True)
        if not isinstance(service, apprise.NotifyBase):
            return NO_SERVICE
        sender = apprise.Apprise()
        sender.add(service)
        # As text: what servers and manifests say must not become markup in a mail.
        text = apprise.NotifyFormat.TEXT
        if sender.notify(title=message.title, body=message.body, body_format=text):
            return ""
    except Exception as error:  # a plugin's bug is not the run's
        return f"{type(error).__name__}: {error}"
    return heard.last or "the service did not take it"


class _Heard(logging.Handler):
    """Keeps apprise's last complaint."""

    last = ""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        self.last = " ".join(record.getMessage().split())


def hide(text: str, secrets: Collection[str]) -> str:
    """The text without the secrets, and without the telling parts of those that are URLs."""
    parts = {part for secret in secrets for part in _parts(secret)}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    return text


def _parts(secret: str) -> set[str]:
    if "://" not in secret:
        return {secret} if len(secret) >= 4 else set()
    rest = secret.partition("://")[2]
    login = re.split(r"[/?#]", rest)[0].rpartition("@")[0]
    named = parse_qsl(rest.partition("?")[2])
    password = {login.partition(":")[2], *[value for name, value in named if _SECRET(name)]}
    pieces = {piece for piece in re.split(r"[/:@?&=#+,]", rest) if len(piece) >= 8}
    telling = {piece for piece in pieces if any(letter.isdigit() for letter in piece)}
    found = {secret, *password, *telling}
    return {one for piece in found for one in (piece, unquote(piece)) if len(one) >= 4}


if __name__ == "__main__":
    main()
