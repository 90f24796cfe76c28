"""The run's side of the socket, spoken to by hand: requests, nonsense, clients that misbehave."""

import asyncio
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConfigError, NotRunningError
from pipeline.steering import server
from pipeline.steering.channel import NAME, OFFERED
from pipeline.steering.client import ask, watch, watching
from pipeline.steering.messages import LINE_MAX_BYTES, Pause, State, Tune
from pipeline.steering.server import CLIENTS_MAX, steerable
from tests.steering.helms import NotingHelm, dial, say, snapshot

pytestmark = pytest.mark.skipif(not OFFERED, reason="no local sockets here")


class Scene:
    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.helm = NotingHelm()


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """A run that can be steered, in a folder with a short path."""
    made = Scene(Path(tempfile.mkdtemp(prefix="t-")))
    try:
        async with steerable(made.outputs, made.helm):
            yield made
    finally:
        shutil.rmtree(made.outputs)


async def says(made: Scene, line: bytes) -> dict[str, Any]:
    return await asyncio.to_thread(say, made.outputs, line)


async def test_each_request_is_done_and_answered_with_the_run_after_it() -> None:
    async with scene() as made:
        assert (await says(made, b'{"request":"state"}\n'))["snapshot"]["state"] == "running"
        assert (await says(made, b'{"request":"pause"}\n'))["snapshot"]["state"] == "paused"
        await says(made, b'{"request":"resume"}\n')
        await says(made, b'{"request":"stop"}\n')
        await says(made, b'{"request":"tune","concurrency":8,"requests_per_minute":null}\n')
        assert made.helm.told == [
            "pause",
            "resume",
            "stop",
            Tune(concurrency=8, requests_per_minute=None),
        ]


async def test_the_last_line_may_end_with_the_connection_instead() -> None:
    async with scene() as made:

        def half_closed() -> bytes:
            with dial(made.outputs) as client:
                client.sendall(b'{"request":"pause"}')
                client.shutdown(socket.SHUT_WR)
                return client.makefile("rb").read()

        reply = json.loads(await asyncio.to_thread(half_closed))
        assert reply["snapshot"]["state"] == "paused"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"pause\n", "not a request"),
        (b"\n", "not a request"),
        (b"\xff\xfe\n", "not a request"),
        (b"[" * 4000 + b"\n", "not a request"),
        (b'{"request":"explode"}\n', "explode"),
        (b'{"request":"pause","for":"ever"}\n', "for"),
        (b'{"request":"tune"}\n', "nothing to tune"),
        (b'{"request":"tune","concurrency":0}\n', "not between 1 and 4096"),
        (b'{"request":"tune","concurrency":4097}\n', "not between 1 and 4096"),
        (b'{"request":"tune","concurrency":null}\n', "concurrency"),
        (b'{"request":"tune","concurrency":2.5}\n', "concurrency"),
        (b'{"request":"tune","requests_per_minute":0}\n', "requests_per_minute: 0 is not"),
        (b'{"request":"tune","images_per_minute":-1}\n', "images_per_minute: -1 is not"),
        (b'{"request":"tune","images_per_minute":1e999}\n', "images_per_minute"),
        (b'{"request":"tune","concurrrency":8}\n', "concurrrency"),
        (b'{"request":"state",' + b" " * LINE_MAX_BYTES + b"}\n", "longer than"),
    ],
)
async def test_nonsense_is_refused_in_words_and_changes_nothing(line: bytes, problem: str) -> None:
    async with scene() as made:
        reply = await says(made, line)
        assert problem in reply["error"]
        assert "snapshot" not in reply
        assert made.helm.told == []
        assert await says(made, b'{"request":"state"}\n'), "and the next one is served"


async def test_clients_that_say_nothing_or_go_away_hold_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scene() as made:
        silent = [dial(made.outputs) for _ in range(10)]
        for client in [dial(made.outputs) for _ in range(10)]:
            client.sendall(b'{"requ')
            client.close()
        reply = await says(made, b'{"request":"pause"}\n')
        assert reply["snapshot"]["state"] == "paused"
        monkeypatch.setattr(server, "PATIENCE_S", 0.05)
        with dial(made.outputs) as another:
            assert await asyncio.to_thread(another.recv, 1) == b"", "who says nothing is let go"
        for client in silent:
            client.close()


async def test_so_many_at_once_and_no_more() -> None:
    async with scene() as made:
        silent = [dial(made.outputs) for _ in range(CLIENTS_MAX)]
        await until(lambda: len(server_side_tasks()) == CLIENTS_MAX)
        assert "too many clients" in (await says(made, b'{"request":"pause"}\n'))["error"]
        silent += [dial(made.outputs) for _ in range(3 * CLIENTS_MAX)]
        await asyncio.sleep(0.02)
        assert len(server_side_tasks()) <= 2 * CLIENTS_MAX
        for client in silent:
            client.close()
        await until(lambda: not server_side_tasks())
        assert (await says(made, b'{"request":"pause"}\n'))["snapshot"]["state"] == "paused"


async def test_a_watcher_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffer is full, and it is not waited for."""
    monkeypatch.setattr(server, "PATIENCE_S", 0.05)
    monkeypatch.setattr(server, "WATCH_EVERY_S", 0.0001)
    async with scene() as made:
        with dial(made.outputs) as client:
            client.sendall(b'{"request":"watch"}\n')
            await until(lambda: bool(server_side_tasks()))
            await until(lambda: not server_side_tasks())


def server_side_tasks() -> list[str]:
    return [repr(task) for task in asyncio.all_tasks() if "_Desk.serve" in repr(task)]


async def test_watchers_hear_until_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WATCH_EVERY_S", 0.02)
    states: list[str] = []
    async with scene() as made:

        def look() -> None:
            for seen in watch(made.outputs):
                states.append(seen.state)

        looking = asyncio.create_task(asyncio.to_thread(look))
        await until(lambda: len(states) > 2)
        await asyncio.to_thread(ask, made.outputs, Pause())
        await asyncio.sleep(0.05)
    await looking
    assert states[0] == "running"
    assert states[-1] == "paused"


async def test_a_loop_can_watch_too() -> None:
    async with scene() as made:
        seen = []
        async for each in watching(made.outputs):
            seen.append(each)
            if len(seen) == 2:
                break
        assert seen == [snapshot(), snapshot()]
    with pytest.raises(NotRunningError):
        await anext(watching(made.outputs))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited is in another thread
            await asyncio.sleep(0.005)


async def test_where_there_can_be_no_socket_the_run_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    helm = NotingHelm()
    async with steerable(tmp_path / "gone", helm):
        [reason] = helm.reasons
        assert "no socket can be made" in reason
    assert list(tmp_path.iterdir()) == []


# The client


def test_without_a_run_there_is_nobody_to_ask(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no run of this job is going on"):
        ask(tmp_path, State())
    (tmp_path / NAME).write_text("no socket")
    with pytest.raises(NotRunningError):
        ask(tmp_path, State())


@pytest.mark.parametrize("answer", [b"", b"{}\n", b"garbage\n", b'{"snapshot":{"job":"x"}}\n'])
def test_an_answer_that_cannot_be_read_is_said_to_be_one(answer: bytes) -> None:
    import threading

    from pipeline.steering.channel import bind

    outputs = Path(tempfile.mkdtemp(prefix="t-"))
    bound = bind(outputs)
    bound.listening.setblocking(True)

    def respond() -> None:
        connection, _ = bound.listening.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)

    thread = threading.Thread(target=respond)
    thread.start()
    try:
        with pytest.raises(ConfigError) as caught:
            ask(outputs, State())
        assert caught.value.exit_code == 2
        assert isinstance(caught.value, NotRunningError) == (answer == b"")
    finally:
        thread.join()
        bound.close()
        shutil.rmtree(outputs)


def test_a_run_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    from pipeline.steering.channel import bind

    outputs = Path(tempfile.mkdtemp(prefix="t-"))
    bound = bind(outputs)
    try:
        with pytest.raises(ConfigError, match="has not answered for"):
            ask(outputs, State(), timeout_s=0.05)
    finally:
        bound.close()
        shutil.rmtree(outputs)


def test_a_snapshot_survives_the_way(tmp_path: Path) -> None:
    one = snapshot(left_s=(1.5, 4.0), expected=7)
    assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) == one
