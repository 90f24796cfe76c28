"""Everybody else's side of the control socket: asks a run that goes on in another process."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from pipeline.errors import ConfigError, LedgerError, NotRunningError
from pipeline.ledger import RunRow, open_reader
from pipeline.locking import is_alive
from pipeline.snapshot import Snapshot
from pipeline.steering.channel import NAME, OFFERED, connect
from pipeline.steering.messages import Reply, Request, Watch, line_of

ANSWER_S = 10.0
"""A run answers in milliseconds, unless its loop is busy or a question is asked at its terminal."""

REPLY_MAX_BYTES = 1 << 20


def ask(outputs: Path, request: Request, *, timeout_s: float = ANSWER_S) -> Snapshot:
    """The run at ``outputs``, after it has done as asked.

    Raises `NotRunningError` where no run is going on, and `ConfigError` where it cannot be asked or
    refuses.
    """
    with closing(_replies(outputs, request, timeout_s)) as replies:
        return next(replies)


def watch(outputs: Path, *, timeout_s: float = ANSWER_S) -> Iterator[Snapshot]:
    """The run at ``outputs``: now, and once a second until it ends. Raises as `ask`."""
    yield from _replies(outputs, Watch(), timeout_s)


async def watching(outputs: Path, *, timeout_s: float = ANSWER_S) -> AsyncIterator[Snapshot]:
    """As `watch`, for an event loop."""
    connection = await asyncio.to_thread(_connected, outputs, timeout_s)
    connection.setblocking(False)
    try:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=REPLY_MAX_BYTES)
    except BaseException:
        connection.close()
        raise
    try:
        writer.write(line_of(Watch()))
        async with asyncio.timeout(timeout_s):
            line = await reader.readline()
        if not line:
            raise _not_running(outputs)
        while line:
            yield _snapshot(line)
            async with asyncio.timeout(timeout_s):
                line = await reader.readline()
    except TimeoutError:
        raise _silent(outputs, timeout_s) from None
    except (OSError, ValueError):
        return  # its process has died
    finally:
        writer.transport.abort()


def _replies(outputs: Path, request: Request, timeout_s: float) -> Generator[Snapshot, None, None]:
    with _connected(outputs, timeout_s) as connection:
        answered = False
        try:
            with suppress(BrokenPipeError):  # it may say why before it hangs up
                connection.sendall(line_of(request))
            with connection.makefile("rb") as lines:
                while line := lines.readline(REPLY_MAX_BYTES):
                    answered = True
                    yield _snapshot(line)
        except TimeoutError:
            raise _silent(outputs, timeout_s) from None
        except OSError:
            pass  # its process has died, or ends just now
        if not answered:
            raise _not_running(outputs)


def _connected(outputs: Path, timeout_s: float) -> socket.socket:
    if not OFFERED:
        raise ConfigError(
            "a run cannot be steered from another process on this system: Python offers no local"
            " sockets here (Ctrl-C in its own window stops it; `pipeline status` reads the ledger)"
        )
    try:
        return connect(outputs, timeout_s=timeout_s)
    except TimeoutError:
        raise _silent(outputs, timeout_s) from None
    except PermissionError as error:
        raise ConfigError(
            f"{outputs}: its run cannot be steered by you: {error.strerror or error}"
            " (be the user who started it)"
        ) from error
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise _not_running(outputs) from None
    except OSError as error:
        raise ConfigError(f"{outputs}: cannot be asked: {error.strerror or error}") from error


def _snapshot(line: bytes) -> Snapshot:
    try:
        reply = msgspec.json.decode(line, type=Reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the run's answer cannot be read: {error} (was it started with another version of"
            " pipeline?)"
        ) from error
    if reply.snapshot is None:
        raise ConfigError(f"the run refuses: {reply.error or 'it does not say why'}")
    return reply.snapshot


def _silent(outputs: Path, timeout_s: float) -> ConfigError:
    return ConfigError(
        f"{outputs}: its run has not answered for {timeout_s:g} s (does it ask a question at its"
        " terminal? Else try again)"
    )


def _not_running(outputs: Path) -> NotRunningError:
    run = _open_run(outputs)
    if run is not None and run.host != socket.gethostname():
        return NotRunningError(
            f"no run of this job is going on here; run {run.id} has no end in the ledger and was"
            f" started on {run.host}: it can be steered there only"
        )
    if run is not None and run.pid != os.getpid() and is_alive(run.pid, run.host):
        return NotRunningError(
            f"run {run.id} (process {run.pid}) seems to be going on, but cannot be steered:"
            " it is only beginning or ending, or could make no control.sock (it said so then)"
        )
    rehearsal = outputs.with_name(f"{outputs.name}-rehearsal")
    way_out = (
        "a rehearsal of it seems to be: add --rehearse"
        if os.path.lexists(rehearsal / NAME)
        else "pipeline run starts one"
    )
    return NotRunningError(f"{outputs}: no run of this job is going on ({way_out})")


def _open_run(outputs: Path) -> RunRow | None:
    with suppress(LedgerError):
        reader = open_reader(outputs / "ledger.db")
        if reader is not None:
            with reader:
                return reader.current_run()
    return None
