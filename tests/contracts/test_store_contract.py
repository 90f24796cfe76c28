"""What every store promises, run against each of them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import BadResponseError, PipelineError, StoreError
from pipeline.models import PictureFacts, StoredImage
from pipeline.stores import OutputStore, Shelf, open_shelf, open_store

Read = Callable[[], dict[str, bytes]]

FACTS = {
    b"png": PictureFacts(format="png", width=3, height=2),
    b"jpg": PictureFacts(format="jpeg", width=5, height=4),
    b"web": PictureFacts(format="webp", width=7, height=6),
}


def inspect(data: memoryview) -> PictureFacts:
    """A picture is what starts with its format's name; all bytes have to be there by now."""
    form = bytes(data[:3])
    if form not in FACTS:
        raise BadResponseError("not a picture")
    return FACTS[form]


def _files_below(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)).replace("\\", "/"): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(params=["local", "file", "memory"])
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[OutputStore, Read]]:
    """A store, and what a reader finds in it."""
    if request.param == "memory":
        root = f"/{tmp_path.name}"
        files = fsspec.filesystem("memory")

        def read() -> dict[str, bytes]:
            return {key.removeprefix(f"{root}/"): files.cat_file(key) for key in files.find(root)}

        store = open_store(tmp_path, f"memory:/{root}")
    else:
        read = lambda: _files_below(tmp_path)  # noqa: E731 - two lines of one table
        store = open_store(tmp_path, None if request.param == "local" else f"file://{tmp_path}")
    yield store, read
    await store.close()
    assert not any("draft" in name or ".part" in name for name in read())


async def put(store: OutputStore, name: str, *pieces: bytes) -> StoredImage:
    draft = store.draft()
    for piece in pieces:
        draft.write(piece)
    return await store.put(draft, name, inspect=inspect)


async def test_a_picture_is_kept_under_its_name_with_what_is_known_of_it(
    opened: tuple[OutputStore, Read],
) -> None:
    store, read = opened
    stored = await put(store, "shoe-17", b"png", b"1234")
    assert stored == StoredImage(
        path="images/shoe-17.png",
        sha256=hashlib.sha256(b"png1234").hexdigest(),
        size=7,
        width=3,
        height=2,
        format="png",
    )
    assert read() == {"images/shoe-17.png": b"png1234"}


async def test_the_extension_follows_from_the_bytes(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    assert (await put(store, "a", b"jpg")).path == "images/a.jpg"
    assert (await put(store, "b", b"web")).path == "images/b.webp"
    assert (await put(store, "v1.5 final", b"png")).path == "images/v1.5 final.png"
    assert sorted(read()) == ["images/a.jpg", "images/b.webp", "images/v1.5 final.png"]


async def test_pieces_of_any_size_and_kind_are_joined(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    pieces = [b"png", bytearray(b"a" * 70_000), memoryview(b"b" * 10), b"", b"c" * 300_000, b"d"]
    draft = store.draft()
    for piece in pieces:
        draft.write(piece)
    data = b"".join(map(bytes, pieces))
    assert draft.size == len(data)
    await store.put(draft, "big", inspect=inspect)
    assert read() == {"images/big.png": data}


async def test_what_was_there_is_replaced(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    await put(store, "a", b"png old")
    await put(store, "a", b"png new")
    assert read() == {"images/a.png": b"png new"}


async def test_names_may_have_folders_and_any_letters(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    for name in ("set/white", "set/deep/er", "schöne Schuhe/ünïcode 靴", "..dots.."):
        await put(store, name, b"png" + name.encode())
        assert read()[f"images/{name}.png"] == b"png" + name.encode()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/x",
        "../x",
        "a/../../x",
        "..",
        "a\\..\\x",
        "C:x",
        "c:/x",
        "a\0b",
        "a\nb",
        "\\\\h\\x",
    ],
)
async def test_a_name_that_leads_out_is_refused_and_its_draft_discarded(
    opened: tuple[OutputStore, Read], name: str
) -> None:
    store, read = opened
    with pytest.raises(StoreError, match=r"outputs\.image"):
        await put(store, name, b"png")
    assert read() == {}


async def test_what_is_no_picture_gets_no_name(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    await put(store, "a", b"png old")
    with pytest.raises(BadResponseError, match="not a picture"):
        await put(store, "a", b"<html>")
    with pytest.raises(BadResponseError):
        await put(store, "empty")
    assert read() == {"images/a.png": b"png old"}


async def test_a_discarded_draft_leaves_nothing(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    for size in (0, 3, 300_000):
        draft = store.draft()
        draft.write(b"x" * size)
        draft.discard()
        draft.discard()
    assert read() == {}


async def test_a_draft_is_put_once(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    draft = store.draft()
    draft.write(b"png")
    await store.put(draft, "a", inspect=inspect)
    draft.discard()
    with pytest.raises(StoreError):
        await store.put(draft, "b", inspect=inspect)
    assert read() == {"images/a.png": b"png"}


async def test_many_at_once_are_all_kept(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    stored = await asyncio.gather(
        *(put(store, f"{n % 7}/{n}", b"png", bytes([n]) * n * 1000) for n in range(60))
    )
    assert [one.path for one in stored] == [f"images/{n % 7}/{n}.png" for n in range(60)]
    assert read() == {f"images/{n % 7}/{n}.png": b"png" + bytes([n]) * n * 1000 for n in range(60)}


async def test_one_bad_picture_among_many_fails_alone(opened: tuple[OutputStore, Read]) -> None:
    store, _ = opened
    outcomes = await asyncio.gather(
        *(put(store, f"{n}", b"bad" if n % 5 == 0 else b"png") for n in range(20)),
        return_exceptions=True,
    )
    for n, outcome in enumerate(outcomes):
        assert isinstance(outcome, BadResponseError if n % 5 == 0 else StoredImage)


async def test_inspection_happens_in_a_thread(opened: tuple[OutputStore, Read]) -> None:
    import threading

    store, _ = opened
    threads = []

    def inspecting(data: memoryview) -> PictureFacts:
        threads.append(threading.current_thread())
        return inspect(data)

    draft = store.draft()
    draft.write(b"png")
    await store.put(draft, "a", inspect=inspecting)
    assert threads != [threading.main_thread()]


async def test_pictures_are_removed_by_their_path(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    stored = await put(store, "a/b", b"png")
    await store.remove(stored.path)
    await store.remove(stored.path)
    await store.remove("images/never/was.png")
    assert read() == {}
    with pytest.raises(StoreError):
        await store.remove("../outside")


async def test_answers_that_were_not_understood_are_kept(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    await store.keep_unparsed("run.1", b"\xff<html>")
    assert read() == {"unparsed/run.1.txt": b"\xff<html>"}
    with pytest.raises(StoreError):
        await store.keep_unparsed("../run.1", b"x")


async def test_a_cancelled_put_disturbs_nobody(opened: tuple[OutputStore, Read]) -> None:
    store, read = opened
    task = asyncio.create_task(put(store, "a", b"png"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await put(store, "b", b"png")
    assert "images/b.png" in read()


async def test_errors_are_the_pipelines_own(opened: tuple[OutputStore, Read]) -> None:
    store, _ = opened
    with pytest.raises(PipelineError):
        await put(store, "x" * 5000 + "/" + "y" * 5000 + "\0", b"png")


@pytest.fixture(params=["local", "file", "memory"])
def shelved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[OutputStore, Shelf, Read]:
    """A store with the shelf beside it, as another process opens it."""
    url = {"local": None, "file": f"file://{tmp_path}", "memory": f"memory://{tmp_path}"}
    files = fsspec.filesystem("memory")

    def read() -> dict[str, bytes]:
        if request.param != "memory":
            return _files_below(tmp_path)
        root = f"{tmp_path}/"
        return {key.removeprefix(root): files.cat_file(key) for key in files.find(str(tmp_path))}

    where = url[request.param]
    return open_store(tmp_path, where), open_shelf(tmp_path, where), read


async def test_a_shelf_copies_and_removes_what_the_store_has(
    shelved: tuple[OutputStore, Shelf, Read],
) -> None:
    store, shelf, read = shelved
    stored = await put(store, "set/a b", b"png 1")
    assert shelf.copy(stored.path, "takes/set/a b-v1.png")
    assert read() == {"images/set/a b.png": b"png 1", "takes/set/a b-v1.png": b"png 1"}
    assert shelf.holds(stored.path)
    assert shelf.read(stored.path) == shelf.read("takes/set/a b-v1.png") == b"png 1"
    shelf.remove(stored.path)
    shelf.remove(stored.path)
    assert (shelf.holds(stored.path), shelf.holds("takes/set")) == (False, False)
    assert read() == {"takes/set/a b-v1.png": b"png 1"}
    await store.close()


async def test_a_copy_replaces_and_may_be_made_twice(
    shelved: tuple[OutputStore, Shelf, Read],
) -> None:
    store, shelf, read = shelved
    first, second = await put(store, "a", b"png 1"), await put(store, "b", b"png 2")
    for _ in range(2):
        assert shelf.copy(first.path, "takes/x.png")
    assert shelf.copy(second.path, "takes/x.png")
    assert read()["takes/x.png"] == b"png 2"
    assert read()["images/a.png"] == b"png 1"
    await store.close()


async def test_a_copy_stays_what_it_is_when_the_first_is_replaced(
    shelved: tuple[OutputStore, Shelf, Read],
) -> None:
    """The two names may share their bytes, and a new picture must not show through."""
    store, shelf, read = shelved
    stored = await put(store, "a", b"png 1")
    shelf.copy(stored.path, "takes/a-v1.png")
    await put(store, "a", b"png 2")
    assert read() == {"images/a.png": b"png 2", "takes/a-v1.png": b"png 1"}
    await store.close()


async def test_a_shelf_says_what_is_missing_and_leaves_drafts_alone(
    shelved: tuple[OutputStore, Shelf, Read],
) -> None:
    store, shelf, read = shelved
    draft = store.draft()
    draft.write(b"png" + b"x" * 300_000)
    assert not shelf.copy("images/never.png", "takes/never-v1.png")
    assert shelf.read("images/never.png") is None
    assert not any(name.startswith("takes") for name in read())
    assert (await store.put(draft, "a", inspect=inspect)).path == "images/a.png"
    await store.close()


@pytest.mark.parametrize("path", ["../x.png", "/etc/x.png", "a\\b.png", ""])
async def test_a_shelf_leads_nowhere_else(
    shelved: tuple[OutputStore, Shelf, Read], path: str
) -> None:
    store, shelf, _ = shelved
    stored = await put(store, "a", b"png")
    with pytest.raises(StoreError):
        shelf.copy(path, "takes/x.png")
    with pytest.raises(StoreError):
        shelf.copy(stored.path, path)
    with pytest.raises(StoreError):
        shelf.remove(path)
    with pytest.raises(StoreError):
        shelf.read(path)
    await store.close()
