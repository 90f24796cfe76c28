"""Where the socket is, who gets in, what becomes of old ones."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.steering.channel import (
    DESCRIPTORS,
    NAME,
    OFFERED,
    PATH_MAX_BYTES,
    bind,
    connect,
    from_same_user,
)

pytestmark = pytest.mark.skipif(not OFFERED, reason="no local sockets here")

NOWHERE = Path("/nonexistent")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: pytest's may be long."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder)


def deep(folder: Path) -> Path:
    """A folder whose path is far too long for a socket's address."""
    path = folder.joinpath(*["a-folder-with-a-long-name"] * 6)
    path.mkdir(parents=True)
    assert len(str(path)) > PATH_MAX_BYTES
    return path


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def greeted(outputs: Path, listening: socket.socket, **options: Path) -> bool:
    """Whether a connection to the outputs arrives at this socket."""
    with connect(outputs, timeout_s=5, **options) as client:
        listening.setblocking(True)
        server, _ = listening.accept()
        with server:
            server.sendall(b"hello")
            return client.recv(5) == b"hello"


def test_only_its_owner_may_write_to_it_and_nothing_else_is_left_there(short: Path) -> None:
    bound = bind(short)
    mode = (short / NAME).lstat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert left_in(short) == [NAME]
    assert greeted(short, bound.listening)
    bound.close()
    assert left_in(short) == []
    bound.close()


def test_nobody_could_have_connected_before_it_had_its_mode(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder in which it is made lets nobody else in, whatever the umask says."""
    seen: list[int] = []
    listen = socket.socket.listen

    def looking(self: socket.socket, *arguments: int) -> None:
        address = Path(str(self.getsockname()))
        seen.append(stat.S_IMODE(address.parent.stat().st_mode))
        listen(self, *arguments)

    monkeypatch.setattr(socket.socket, "listen", looking)
    before = os.umask(0)
    try:
        bind(short).close()
    finally:
        os.umask(before)
    assert seen == [0o700]


def test_a_socket_that_a_killed_process_left_is_replaced(short: Path) -> None:
    left = bind(short)
    left.listening.close()
    with pytest.raises(ConnectionRefusedError):
        connect(short, timeout_s=5)
    bound = bind(short)
    assert greeted(short, bound.listening)
    bound.close()


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="Linux")
def test_a_path_that_is_too_long_is_no_obstacle(tmp_path: Path) -> None:
    outputs = deep(tmp_path)
    bound = bind(outputs)
    assert stat.S_IMODE((outputs / NAME).lstat().st_mode) == 0o600
    assert stat.S_ISSOCK((outputs / NAME).lstat().st_mode), "the socket itself, no link"
    assert greeted(outputs, bound.listening)
    bound.close()
    assert left_in(outputs) == []


def test_where_paths_cannot_be_shortened_a_link_leads_to_a_private_folder(tmp_path: Path) -> None:
    outputs = deep(tmp_path)
    bound = bind(outputs, descriptors=NOWHERE)
    target = (outputs / NAME).readlink()
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert greeted(outputs, bound.listening, descriptors=NOWHERE)
    bound.close()
    assert left_in(outputs) == []
    assert not target.parent.exists()


def test_a_link_that_a_killed_process_left_is_cleaned_up(tmp_path: Path) -> None:
    outputs = deep(tmp_path)
    left = bind(outputs, descriptors=NOWHERE)
    left.listening.close()
    target = (outputs / NAME).readlink()
    bound = bind(outputs, descriptors=NOWHERE)
    assert not target.parent.exists()
    assert greeted(outputs, bound.listening, descriptors=NOWHERE)
    bound.close()


def test_where_there_can_be_no_socket_it_says_so_and_leaves_nothing(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = short / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(OSError, match="No such file"):
        bind(short / "gone")
    assert left_in(temporary) == []


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs another user")
@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="Linux")
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_another_user_does_not_get_in_even_if_the_mode_was_opened(short: Path, mode: int) -> None:
    short.chmod(0o755)
    bound = bind(short)
    (short / NAME).chmod(mode)
    program = (
        "import os, sys; from pathlib import Path; os.setgroups([]); os.setgid(65534);"
        " os.setuid(65534)\n"
        "from pipeline.steering.channel import connect\n"
        "try: connect(Path(sys.argv[1]), timeout_s=5)\n"
        "except PermissionError as error: print('refused')\n"
        "else: print('in')"
    )
    # The modules are loaded first: the other user may not read this checkout.
    program = "import pipeline.steering.channel\n" + program
    done = subprocess.run(
        [sys.executable, "-c", program, str(short)], capture_output=True, text=True, timeout=30
    )
    said = done.stdout.strip()
    if mode == 0o600:
        assert said == "refused", done.stderr
        bound.close()
        return
    assert said == "in", "root's run: its client trusts it, but:"
    bound.listening.setblocking(True)
    server, _ = bound.listening.accept()
    with server:
        assert not from_same_user(server)
    bound.close()
