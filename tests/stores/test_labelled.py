"""Something put into a picture on its way into a store."""

import asyncio
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.models import StoredImage
from pipeline.pictures.provenance import Provenance, labelled_pieces, read_provenance
from pipeline.pictures.verify import inspect_picture
from pipeline.stores import open_store
from pipeline.stores.drafts import HELD, LARGEST_BUFFER
from pipeline.stores.labels import Label

FACTS = Provenance(model="a-model", title="A title")


def label(data: memoryview) -> Sequence[bytes | memoryview] | None:
    return labelled_pieces(data, FACTS)


def picture(size: int, kind: str = "PNG") -> bytes:
    """Of at least ``size`` bytes."""
    import os

    side = max(8, int((size / 3) ** 0.5) + 8)
    file = io.BytesIO()
    image = Image.frombytes("RGB", (side, side), os.urandom(side * side * 3))
    image.save(file, kind, **({"quality": 100} if kind != "PNG" else {}))
    return file.getvalue()


def stored(folder: Path, url: str | None, data: bytes, how: Label) -> tuple[StoredImage, bytes]:
    async def put() -> StoredImage:
        store = open_store(folder, url)
        try:
            draft = store.draft()
            for at in range(0, len(data), 60_000):
                draft.write(data[at : at + 60_000])
            return await store.put(draft, "x", inspect=inspect_picture, label=how)
        finally:
            await store.close()

    image = asyncio.run(put())
    root = folder if url is None else Path(url.removeprefix("file://"))
    return image, (root / image.path).read_bytes()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("size", [1_000, 2 * HELD, LARGEST_BUFFER + 1])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_is_stored_has_the_label_and_the_digest_of_it(
    tmp_path: Path, where: str, size: int, kind: str
) -> None:
    """In memory, in a buffer and mapped: as small and large pictures are held."""
    if kind == "WEBP" and size > LARGEST_BUFFER:
        pytest.skip("takes seconds to encode")
    data = picture(size, kind)
    url = (tmp_path / "there").as_uri() if where == "elsewhere" else None
    image, found = stored(tmp_path / "outputs", url, data, label)
    assert image.sha256 == hashlib.sha256(found).hexdigest()
    assert image.size == len(found) > len(data)
    (tmp_path / "copy").write_bytes(found)
    assert read_provenance(tmp_path / "copy").title == "A title"
    with Image.open(io.BytesIO(found)) as after, Image.open(io.BytesIO(data)) as before:
        assert after.tobytes() == before.tobytes()
    drafts = tmp_path / "outputs" / ".drafts"
    assert not drafts.exists()


def test_what_cannot_be_labelled_is_stored_as_it_came(tmp_path: Path) -> None:
    data = picture(2 * HELD)
    image, found = stored(tmp_path, None, data, lambda view: None)
    assert found == data
    assert image.sha256 == hashlib.sha256(data).hexdigest()


def test_a_picture_that_does_not_hold_together_is_said_to() -> None:
    """Whoever labels decides what becomes of it then."""
    data = picture(1_000)
    with pytest.raises(InputError):
        labelled_pieces(memoryview(data[: len(data) // 2]), FACTS)
