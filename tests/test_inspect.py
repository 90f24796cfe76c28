"""`pipeline inspect`: the real command on real files."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pipeline
from pipeline.pictures.provenance import Provenance, with_provenance
from pipeline.pictures.renditions import RenditionSpec, render
from tests.conftest import MUG
from tests.pictures.picture_samples import exif
from tests.pictures.provenance_samples import FACTS, bomb, picture, with_c2pa

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_picture_tells_of_its_origin(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mug.png"
    path.write_bytes(with_provenance(picture("PNG", exif=exif()), FACTS))
    done = command("inspect", path)
    assert done.returncode == 0, done.stderr
    for text in (
        "PNG, 96 × 64 pixels",
        "edited using generative AI (compositeWithTrainedAlgorithmicMedia)",
        "google/gemini-2.5-flash-image-edit",
        "2026-09-21 14:13:20 UTC",
        'A blue "mug" & its saucer on a white table',
        "Atelier Müller & Söhne",
        FACTS.fingerprint,
        "SecretCamera, says where it was taken",
    ):
        assert text in done.stdout


def test_json_is_one_line_with_everything(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "web.avif"
    spec = RenditionSpec(width=48, height=32, format="avif")
    path.write_bytes(render(MUG, spec, provenance=FACTS, rendition="web").data)
    done = command("inspect", path, MUG, "--json")
    [line] = done.stdout.splitlines()
    first, second = json.loads(line)["files"]
    assert (first["format"], first["width"], first["height"]) == ("avif", 48, 32)
    assert first["rendition"] == "web"
    assert first["derived_from"].startswith("mug.jpg urn:sha256:")
    assert first["xmp"]["dc:title"] == FACTS.title
    assert second["digital_source"] is None
    assert second["xmp"] == {}


def test_missing_and_broken_files_are_named_and_the_others_shown(
    command: Command, tmp_path: Path
) -> None:
    cut, text, good = tmp_path / "cut.png", tmp_path / "notes.png", tmp_path / "good.webp"
    cut.write_bytes(picture("PNG")[:-30])
    text.write_text("no picture")
    good.write_bytes(picture("WEBP"))
    flipped = bytearray(picture("PNG"))
    flipped[60] ^= 0xFF
    wrong = tmp_path / "wrong.png"
    wrong.write_bytes(flipped)
    files = (tmp_path / "none.png", cut, text, wrong, tmp_path, good)
    done = command("inspect", *files)
    assert done.returncode == 3
    errors = done.stderr.splitlines()
    for path, problem in zip(
        files,
        ("no such file", "cut off", "not a picture", "wrong checksum", "a folder"),
        strict=False,
    ):
        assert any(str(path) in line and problem in line for line in errors), (path, errors)
    assert "WebP, 96 × 64 pixels" in done.stdout
    summary = json.loads(command("inspect", *files, "--json").stdout)
    assert summary["exit_code"] == 3
    assert ["error" in one for one in summary["files"]] == [True] * 5 + [False]


def test_a_manifest_is_shown_with_what_it_says_and_unverified(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "signed.jpg"
    path.write_bytes(with_c2pa("JPEG"))
    done = command("inspect", path)
    assert "created using generative AI (trainedAlgorithmicMedia)" in done.stdout
    assert "says trainedAlgorithmicMedia; the signature is not checked" in done.stdout


def test_what_cannot_be_read_in_a_picture_is_said(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(50))
    done = command("inspect", path)
    assert done.returncode == 0
    assert "it has compressed XMP of more than 4 MB" in done.stdout


def test_a_picture_cannot_command_the_terminal(command: Command, tmp_path: Path) -> None:
    """Nor anything that prints: XMP holds no escape, but EXIF does, and bidi marks and markup."""
    tags = exif()
    tags[0x010F] = "\x1b[31mred\x1b]0;title\x07"
    path = tmp_path / "hostile.png"
    facts = Provenance(title="[red]\u202etxt.exe\u2028second line[/red]")
    path.write_bytes(with_provenance(picture("PNG", exif=tags), facts))
    done = command("inspect", path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[red]" in done.stdout


def test_from_python_it_is_a_value() -> None:
    found = pipeline.inspect(MUG)
    assert (found.format, found.digital_source) == ("jpeg", None)
