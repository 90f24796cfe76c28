"""Stores behind fsspec: what can go wrong there and only there."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, JobError, StoreError
from pipeline.exporting.remote import RemoteFolder
from pipeline.models import PictureFacts
from pipeline.stores import open_store
from pipeline.stores.remote import FsspecStore


def any_picture(data: memoryview) -> PictureFacts:
    return PictureFacts(format="png", width=1, height=1)


async def put(store: FsspecStore, name: str, data: bytes) -> None:
    draft = store.draft()
    draft.write(data)
    await store.put(draft, name, inspect=any_picture)


def test_an_unknown_kind_of_storage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nonsense://x"):
        open_store(tmp_path, "nonsense://x")


def test_an_export_is_refused_there_in_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nonsense://x: .* \(such as s3://bucket/folder\)"):
        RemoteFolder("nonsense://x", tmp_path)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    try:
        import s3fs  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(JobError, match=r"pip install 'image-edit-pipeline\[s3\]'"):
            open_store(tmp_path, "s3://bucket/folder")


async def test_a_picture_that_arrived_incomplete_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FsspecStore(f"file://{tmp_path}/out")
    monkeypatch.setattr(store._files, "info", lambda _: {"size": 1}, raising=False)
    with pytest.raises(StoreError, match="1 bytes instead of 3"):
        await put(store, "a", b"abc")
    assert not (tmp_path / "out/images/a.png").exists()
    await store.close()


async def test_errors_of_any_file_system_are_store_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ForeignError(Exception):
        pass

    def fail(*_: Any, **__: Any) -> None:
        raise ForeignError("403 Forbidden")

    store = FsspecStore(f"file://{tmp_path}/out")
    monkeypatch.setattr(store._files, "put_file", fail, raising=False)
    with pytest.raises(StoreError, match="403 Forbidden") as caught:
        await put(store, "a", b"abc")
    assert isinstance(caught.value.__cause__, ForeignError)
    await store.close()


async def test_a_reader_never_sees_half_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FsspecStore(f"file://{tmp_path}/out")
    seen: list[list[str]] = []
    move = store._files.mv

    def moving(*arguments: Any, **more: Any) -> None:
        seen.append([path.name for path in (tmp_path / "out/images").iterdir()])
        move(*arguments, **more)

    monkeypatch.setattr(store._files, "mv", moving, raising=False)
    await put(store, "a", b"abc")
    assert seen == [[".a.png.part"]]
    assert (tmp_path / "out/images/a.png").read_bytes() == b"abc"
    await store.close()


async def test_drafts_are_gone_after_closing(tmp_path: Path) -> None:
    store = FsspecStore(f"memory://{tmp_path.name}")
    draft = store.draft()
    draft.write(b"x")
    draft.sync()
    assert draft.path.exists()
    await store.close()
    assert not draft.path.exists()
    draft.close()
