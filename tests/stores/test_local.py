"""The folder store's own promises: durable, crash-proof, clear about a disk that fails."""

import errno
import hashlib
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StoreError
from pipeline.models import PictureFacts
from pipeline.stores.drafts import HELD, FileDraft, ReadBuffer
from pipeline.stores.local import LocalStore

PNG = PictureFacts(format="png", width=1, height=1)


def any_picture(data: memoryview) -> PictureFacts:
    return PNG


async def put(store: LocalStore, name: str, data: bytes) -> str:
    draft = store.draft()
    draft.write(data)
    return (await store.put(draft, name, inspect=any_picture)).path


@contextmanager
def system_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Records, in order, what makes a picture durable."""
    calls: list[str] = []
    names: dict[int, str] = {}
    fsync, replace, opening = os.fsync, os.replace, os.open

    def recorded_open(path: Any, *arguments: Any, **more: Any) -> int:
        descriptor = opening(path, *arguments, **more)
        names[descriptor] = Path(path).name
        return descriptor

    def recorded_fsync(descriptor: int) -> None:
        name = names[descriptor]
        calls.append(f"sync {'draft' if '-' in name else name}")
        fsync(descriptor)

    def recorded_replace(source: Any, target: Any) -> None:
        calls.append(f"rename to {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "open", recorded_open)
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    yield calls
    monkeypatch.undo()


async def test_bytes_reach_the_disk_before_their_name_and_the_name_before_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    with system_calls(monkeypatch) as calls:
        await put(store, "set/a", b"x")
        assert calls == [
            "sync draft",
            f"sync {tmp_path.name}",  # holds the new folder images
            "sync images",  # holds the new folder set
            "rename to a.png",
            "sync set",
        ]
        calls.clear()
        await put(store, "set/b", b"x")
        assert calls == ["sync draft", "rename to b.png", "sync set"]
    await store.close()


def test_small_drafts_stay_in_memory_until_they_are_finished(tmp_path: Path) -> None:
    draft = FileDraft(str(tmp_path / "a"))
    draft.write(b"x" * HELD)
    assert not draft.path.exists()
    draft.write(b"y")
    assert draft.path.read_bytes() == b"x" * HELD + b"y"
    draft.write(b"z")
    assert draft.path.stat().st_size == HELD + 1
    assert draft.size == HELD + 2
    draft.discard()
    assert not draft.path.exists()


@pytest.mark.parametrize("pieces", [[], [3], [HELD, 1], [7] * 600, [1] * 3000, [HELD, 90_000, 3]])
def test_the_hash_is_of_all_bytes_wherever_they_were_held(
    tmp_path: Path, pieces: list[int]
) -> None:
    data = [bytes([n % 251]) * length for n, length in enumerate(pieces)]
    draft = FileDraft(str(tmp_path / "a"))
    for piece in data:
        draft.write(piece)
    with draft.contents(ReadBuffer()) as contents:
        assert hashlib.sha256(contents).digest() == hashlib.sha256(b"".join(data)).digest()
    draft.sync()
    draft.close()
    assert draft.path.read_bytes() == b"".join(data)


async def test_drafts_of_a_dead_process_are_removed_and_pictures_are_not(tmp_path: Path) -> None:
    dead = LocalStore(tmp_path)
    await put(dead, "a", b"x")
    left = dead.draft()
    left.path.write_bytes(b"z")
    store = LocalStore(tmp_path)
    assert not left.path.exists()
    assert (tmp_path / "images/a.png").read_bytes() == b"x"
    await put(store, "b", b"x")
    await store.close()
    left.discard()
    await dead.close()


async def test_closing_waits_for_what_was_put(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    draft = store.draft()
    draft.write(b"x")
    waiting = store.put(draft, "a", inspect=any_picture).__await__()
    next(waiting)  # queued, not awaited
    await store.close()
    assert (tmp_path / "images/a.png").exists()
    assert not (tmp_path / ".drafts").exists()
    waiting.close()


def failing(code: int) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize(
    ("code", "way_out"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "who may write"),
        (errno.EIO, "Input/output error"),
    ],
)
async def test_a_disk_that_fails_is_told_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, way_out: str
) -> None:
    store = LocalStore(tmp_path)
    monkeypatch.setattr(os, call, failing(code))
    with pytest.raises(StoreError, match=way_out):
        await put(store, "a", b"x")
    monkeypatch.undo()
    assert list((tmp_path / ".drafts").iterdir()) == []
    assert not (tmp_path / "images").exists() or not list((tmp_path / "images").iterdir())
    await store.close()


async def test_a_picture_that_cannot_be_renamed_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "images/a.png").mkdir(parents=True)
    store = LocalStore(tmp_path)
    with pytest.raises(StoreError, match=r"a\.png"):
        await put(store, "a", b"x")
    assert list((tmp_path / ".drafts").iterdir()) == []
    await store.close()


async def test_a_name_that_is_too_long_for_the_disk_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(StoreError, match=r"outputs\.image"):
        await put(store, "x" * 300, b"x")
    await store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process")
async def test_a_real_size_limit_is_a_store_error(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(StoreError, match="too large"):
            await put(store, "a", b"x" * 100_000)
        draft = store.draft()
        draft.write(b"x" * HELD)
        with pytest.raises(StoreError, match="too large"):
            draft.write(b"x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    draft.discard()
    assert list((tmp_path / ".drafts").iterdir()) == []
    await store.close()


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file"):
        LocalStore(tmp_path / "file/outputs")


async def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    store = LocalStore(tmp_path)
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, memoryview(data)[:7]))
    data = bytes(range(100))
    monkeypatch.setattr(os, "writev", lambda fd, pieces: write(fd, pieces[0][:3]))
    await put(store, "a", data)
    draft = store.draft()
    draft.write(data)
    draft.write(data)
    await store.put(draft, "b", inspect=any_picture)
    assert (tmp_path / "images/a.png").read_bytes() == data
    assert (tmp_path / "images/b.png").read_bytes() == data * 2
    await store.close()
