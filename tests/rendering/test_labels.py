"""What stored and derived pictures say of themselves, read by a program that is not ours."""

import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline
from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop
from tests.rendering.making import SMALL, rows, run

Emulators = Callable[..., RunningEmulator]
CODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"

needs_exiftool = pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not there")


def exiftool(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["exiftool", "-json", "-G1", "-XMP:all", "-validate", "-warning", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


@needs_exiftool
def test_every_picture_says_what_it_is(shop: Shop, emulator: Emulators) -> None:
    shop.write(
        "id,images,Product,Made by\nmug,mug.jpg,Blue mug,Example Studio\n",
        provenance={
            "alt_text": "{{ product }} on a table",
            "title": "{{ product }}",
            "creator": ["{{ made_by }}", "A person"],
            "copyright": "Example",
            "digital_source_type": "trainedAlgorithmicMedia",
        },
        renditions={
            "jpeg": SMALL,
            "webp": {**SMALL, "format": "webp"},
            "png": {**SMALL, "format": "png"},
        },
    )
    assert run(shop, emulator()).exit_code == 0
    [(fingerprint, model)] = rows(shop, "SELECT fingerprint, model FROM edits")
    paths = [shop.outputs / "images" / "mug.png"]
    paths += [next((shop.outputs / "renditions" / name).iterdir()) for name in ("jpeg", "png")]
    paths += [shop.outputs / "renditions" / "webp" / "mug.webp"]
    for path in paths:
        found = exiftool(path)
        assert found["XMP-iptcExt:DigitalSourceType"] == f"{CODES}trainedAlgorithmicMedia"
        assert found["XMP-iptcExt:AISystemUsed"] == model
        assert found["XMP-iep:Fingerprint"] == fingerprint
        assert found["XMP-iptcCore:AltTextAccessibility"] == "Blue mug on a table"
        assert found["XMP-dc:Title"] == "Blue mug"
        assert found["XMP-dc:Creator"] == ["Example Studio", "A person"]
        assert found["XMP-dc:Rights"] == "Example"
        assert "XMP-iptcExt:AIPromptInformation" not in found
        assert found["ExifTool:Validate"] == "OK"
    [(digest,)] = rows(shop, "SELECT sha256 FROM images")
    assert found["XMP-xmpMM:DerivedFromDocumentID"] == f"urn:sha256:{digest}"


def test_the_ledger_speaks_of_the_picture_as_it_is_stored(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(3), emulator())
    for path, digest, size in rows(shop, "SELECT path, sha256, size FROM images"):
        data = (shop.outputs / path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, size)
        assert pipeline.inspect(shop.outputs / path).digital_source


def test_not_a_pixel_is_touched(shop: Shop, emulator: Emulators) -> None:
    """The same picture with and without a label differs in the label alone."""
    run(shop.with_edits(1), emulator())
    labelled = (shop.outputs / "images" / "e0.png").read_bytes()
    other = Shop(shop.folder.parent / "other").with_edits(1, provenance="off")
    run(other, emulator())
    plain = (other.outputs / "images" / "e0.png").read_bytes()
    at = labelled.index(b"iTXt") - 4
    length = 12 + int.from_bytes(labelled[at : at + 4], "big")
    assert labelled[:at] + labelled[at + length :] == plain


def test_switched_off_nothing_is_written(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1, provenance="off", renditions={"one": SMALL}), emulator())
    for path in (shop.outputs / "images" / "e0.png", shop.outputs / "renditions/one/e0.jpg"):
        assert pipeline.inspect(path).digital_source is None


def test_the_prompt_is_written_where_it_is_asked_for(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1, provenance={"prompt": True}), emulator())
    assert b"edit number 0" in (shop.outputs / "images" / "e0.png").read_bytes()


def test_a_label_that_changes_gives_other_renditions(shop: Shop, emulator: Emulators) -> None:
    """The stored original keeps what it says: it is what was paid for."""
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(1, renditions={"one": SMALL}), endpoint)
    before = (shop.outputs / "images" / "e0.png").read_bytes()
    shop.with_edits(1, renditions={"one": SMALL}, provenance={"title": "A title"})
    result = run(shop, endpoint)
    assert result.renditions is not None
    assert result.renditions.made == 1
    assert b"A title" in (shop.outputs / "renditions" / "one" / "e0.jpg").read_bytes()
    assert (shop.outputs / "images" / "e0.png").read_bytes() == before


def test_a_run_in_a_remote_store_labels_too(
    shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    store = tmp_path / "elsewhere"
    run(shop.with_edits(1, outputs={"store": store.as_uri()}), emulator())
    picture = store / "images" / "e0.png"
    assert pipeline.inspect(picture).digital_source
    with Image.open(io.BytesIO(picture.read_bytes())) as opened:
        opened.load()
