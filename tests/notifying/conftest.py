"""A mail server and a web hook on loopback: what was sent is there to be read."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    """``url``: for apprise. ``mails``: what came, the oldest first."""

    url: str
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    box = Mailbox(f"mailto://127.0.0.1:{port}?from=pipeline@shop.example&to=ops@shop.example")
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box
    controller.stop()


@dataclass
class Hook:
    """``url``: with a token, as such addresses have. ``status``: what it answers. ``look``: called
    as a message comes.
    """

    url: str
    calls: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    gate: threading.Event | None = None
    look: Callable[[], object] = lambda: None

    @property
    def titles(self) -> list[str]:
        return [call["title"] for call in self.calls]


TOKEN = "T0k3nT0k3nT0k3nT0k3n"


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.look()
            here.calls.append({**json.loads(body), "path": self.path})
            if here.gate is not None:
                here.gate.wait(20)
            self.send_response(here.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Hook(f"json://127.0.0.1:{server.server_port}/services/{TOKEN}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    yield here
    if here.gate is not None:
        here.gate.set()
    server.shutdown()
    server.server_close()
