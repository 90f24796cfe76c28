"""The private local socket beside a run's lock: where it is, how it is made, how it is reached.

POSIX only. Only the same user gets in: nobody else may write to it, from its first moment on.
"""

import asyncio
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "control.sock"

PATH_MAX_BYTES = 100
"""What a socket's address holds everywhere: 108 bytes on Linux, 104 on macOS, its end included."""

DESCRIPTORS = Path("/proc/self/fd")
"""Linux: a folder that is open has a short path here, however long its own is."""

OFFERED = hasattr(socket, "AF_UNIX") and hasattr(asyncio, "start_unix_server")
"""Not on Windows."""


class Bound:
    """A socket that listens, and the way to it. ``close`` takes both away."""

    def __init__(self, listening: socket.socket, path: Path, folder: Path | None) -> None:
        self.listening = listening
        self._path = path
        self._folder = folder

    def close(self) -> None:
        """Safe to call twice, and whatever became of the files."""
        self.listening.close()
        with suppress(OSError):
            self._path.unlink()
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / NAME).unlink()
            with suppress(OSError):
                self._folder.rmdir()


def bind(outputs: Path, *, descriptors: Path = DESCRIPTORS) -> Bound:
    """Listens at ``outputs/control.sock``; what a killed run left there is replaced. For whoever
    holds the lock. Raises `OSError` where there can be no socket.

    It is made in a folder that nobody else may enter and moved to its place with its mode: there is
    no moment at which others could connect. Where the file system has no sockets, or the path is
    too long and cannot be shortened, it stays in such a folder and a link leads to it.
    """
    path = outputs / NAME
    _forget_link(path)
    with suppress(OSError):
        return _beside(path, descriptors)
    folder = Path(tempfile.mkdtemp(prefix="pipeline-"))
    try:
        listening = _listen(folder / NAME, folder, descriptors)
    except OSError:
        folder.rmdir()
        raise
    bound = Bound(listening, path, folder)
    link = outputs / f".{NAME}-{os.getpid()}"
    try:
        link.symlink_to(folder / NAME)
        link.replace(path)
    except OSError:
        bound.close()
        with suppress(OSError):
            link.unlink()
        raise
    return bound


def connect(outputs: Path, *, timeout_s: float, descriptors: Path = DESCRIPTORS) -> socket.socket:
    """A connection to the run at ``outputs``. Raises `OSError` where nobody listens, and
    `PermissionError` where another user does.
    """
    path = outputs / NAME
    with suppress(OSError):
        path = path.parent / path.readlink()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with _address(path, descriptors) as address:
            connection.connect(address)
        if not from_same_user(connection):
            raise PermissionError("the process behind it belongs to another user")
    except BaseException:
        connection.close()
        raise
    return connection


def from_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end is this user's, or root's. Where the system does not say
    it, the socket's mode has to do.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", raw)
    return uid in (os.getuid(), 0)


def _forget_link(path: Path) -> None:
    """Removes what a killed run left in the temporary folder."""
    with suppress(OSError):
        target = path.readlink()
        if target.parent.parent == Path(tempfile.gettempdir()):
            target.unlink()
            target.parent.rmdir()


def _beside(path: Path, descriptors: Path) -> Bound:
    folder = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=path.parent))
    try:
        listening = _listen(folder / NAME, folder, descriptors)
        try:
            (folder / NAME).replace(path)
        except OSError:
            listening.close()
            raise
        return Bound(listening, path, None)
    finally:
        with suppress(OSError):
            (folder / NAME).unlink()
        folder.rmdir()


def _listen(path: Path, folder: Path, descriptors: Path) -> socket.socket:
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise OSError(f"{folder}: this file system lets others in")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path, descriptors) as address:
            listening.bind(address)
        path.chmod(0o600)
        listening.listen()
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


@contextmanager
def _address(path: Path, descriptors: Path) -> Iterator[str]:
    """A path that fits into a socket's address. Raises `OSError` where there is none."""
    if len(os.fsencode(path)) <= PATH_MAX_BYTES:
        yield str(path)
        return
    if sys.platform != "linux" or not descriptors.is_dir():
        raise OSError(f"{path}: too long for a socket's address")
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"{descriptors}/{folder}/{path.name}"
    finally:
        os.close(folder)
