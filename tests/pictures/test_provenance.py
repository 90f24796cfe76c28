"""Facts in pictures: written without touching pixels, merged, and read back."""

import io
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InputError
from pipeline.pictures.provenance import (
    Provenance,
    read_provenance,
    with_provenance,
    write_provenance,
)
from pipeline.pictures.provenance.xmp import MAX_PACKET_BYTES, flattened, merge
from tests.pictures.picture_samples import noise, with_chunk
from tests.pictures.provenance_samples import (
    FACTS,
    FOREIGN_XMP,
    SOURCE_TYPE,
    VARIANTS,
    body,
    bomb,
    decoded,
    exiftool,
    needs_exiftool,
    picture,
    with_c2pa,
    with_xmp,
)

FORMATS = ("PNG", "JPEG", "WEBP")


def seen(data: bytes, folder: Path) -> dict[str, str]:
    path = folder / "picture"
    path.write_bytes(data)
    return read_provenance(path).xmp


@pytest.mark.parametrize("name", VARIANTS)
def test_pixels_are_the_same_bytes_before_and_after(name: str) -> None:
    """Decoded, and in the container."""
    before = VARIANTS[name]
    after = with_provenance(before, FACTS)
    assert after != before
    assert decoded(after) == decoded(before)
    assert body(after) == body(before)
    assert len(body(before)) > 100


@pytest.mark.parametrize("name", VARIANTS)
def test_writing_twice_changes_nothing(name: str) -> None:
    once = with_provenance(VARIANTS[name], FACTS)
    assert with_provenance(once, FACTS) == once


@pytest.mark.parametrize("name", VARIANTS)
def test_exif_and_profile_stay(name: str) -> None:
    before, after = (
        Image.open(io.BytesIO(data)).info
        for data in (VARIANTS[name], with_provenance(VARIANTS[name], FACTS))
    )
    for key in ("exif", "icc_profile", "comment", "transparency"):
        assert before.get(key) == after.get(key)


@needs_exiftool
@pytest.mark.parametrize("name", VARIANTS)
def test_exiftool_reads_every_fact_and_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(VARIANTS[name])
    before = exiftool(path)
    path.write_bytes(with_provenance(VARIANTS[name], FACTS))
    found = exiftool(path)
    assert found["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPE
    assert found["XMP-iptcExt:AISystemUsed"] == FACTS.model
    assert found["XMP-xmp:CreatorTool"].startswith(FACTS.model)
    assert found["XMP-xmp:CreateDate"] == "2026:09:21 14:13:20Z"
    assert found["XMP-dc:Creator"] == FACTS.creator[0]
    assert found["XMP-dc:Rights"] == FACTS.copyright
    assert found["XMP-dc:Title"] == FACTS.title
    assert found["XMP-dc:Description"] == FACTS.description
    assert found["XMP-photoshop:Credit"] == FACTS.credit
    assert found["XMP-iptcCore:AltTextAccessibility"] == FACTS.alt_text
    assert found["XMP-iep:Fingerprint"] == FACTS.fingerprint
    assert found["XMP-xmpMM:DerivedFromFilePath"] == "mug.png"
    assert found["ExifTool:Validate"] == before["ExifTool:Validate"]


@needs_exiftool
def test_exiftool_and_inspect_agree_on_what_exiftool_wrote(tmp_path: Path) -> None:
    import subprocess

    for form in FORMATS:
        path = tmp_path / f"theirs.{form.lower()}"
        path.write_bytes(picture(form))
        subprocess.run(
            [
                "exiftool",
                "-q",
                "-overwrite_original",
                f"-XMP-iptcExt:DigitalSourceType={SOURCE_TYPE}",
                "-XMP-dc:Title=Their title",
                "-XMP-xmpMM:DerivedFromDocumentID=doc:1",
                path,
            ],
            check=True,
            timeout=60,
        )
        found = read_provenance(path)
        assert found.digital_source == "compositeWithTrainedAlgorithmicMedia"
        assert (found.title, found.derived_from) == ("Their title", "doc:1")
        after = with_provenance(path.read_bytes(), FACTS)
        path.write_bytes(after)
        assert exiftool(path)["XMP-dc:Title"] == FACTS.title


@pytest.mark.parametrize("form", FORMATS)
def test_what_others_wrote_is_merged_and_never_doubled(form: str, tmp_path: Path) -> None:
    after = with_provenance(with_xmp(form, FOREIGN_XMP), FACTS)
    found = seen(after, tmp_path)
    assert found["xmp:Rating"] == "4"
    assert found["studio:Booth"] == "7"
    assert found["studio:Light/studio:Lamps"] == "2"
    assert found["dc:title"] == FACTS.title, "what both say is said once, by us"
    assert after.count(b"W5M0MpCehiHzreSzNTczkc9d") == 1
    assert b"Shutter 9" not in after
    assert b"Old" not in after


def test_two_packets_become_one() -> None:
    """The first one that says a thing counts, as for most readers."""
    other = FOREIGN_XMP.replace(b'xmp:Rating="4"', b'xmp:Rating="1" xmp:Label="Red"')
    found = flattened([merge([FOREIGN_XMP, other], {})])
    assert (found["xmp:Rating"], found["xmp:Label"]) == ("4", "Red")


@pytest.mark.parametrize("form", FORMATS)
def test_an_endpoints_own_ai_label_is_not_changed(form: str, tmp_path: Path) -> None:
    label = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    theirs = FOREIGN_XMP.replace(
        b'xmp:Rating="4"',
        b'xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" e:DigitalSourceType="'
        + label
        + b'"',
    )
    found = seen(with_provenance(with_xmp(form, theirs), FACTS), tmp_path)
    assert found["Iptc4xmpExt:DigitalSourceType"] == label.decode()
    camera = theirs.replace(b"trainedAlgorithmicMedia", b"digitalCapture")
    found = seen(with_provenance(with_xmp(form, camera), FACTS), tmp_path)
    assert found["Iptc4xmpExt:DigitalSourceType"] == SOURCE_TYPE, "it came from the input"


@pytest.mark.parametrize("form", FORMATS)
def test_our_own_label_follows_the_settings(form: str, tmp_path: Path) -> None:
    first = with_provenance(picture(form), FACTS)
    changed = msgspec.structs.replace(FACTS, digital_source="trainedAlgorithmicMedia")
    found = seen(with_provenance(first, changed), tmp_path)
    assert found["Iptc4xmpExt:DigitalSourceType"].endswith("/trainedAlgorithmicMedia")


@pytest.mark.parametrize("form", FORMATS)
def test_a_signed_picture_is_left_alone_unless_told(form: str, tmp_path: Path) -> None:
    signed = with_c2pa(form)
    assert with_provenance(signed, FACTS) is signed
    path = tmp_path / "signed"
    path.write_bytes(signed)
    found = read_provenance(path)
    assert found.c2pa is not None
    assert found.c2pa.digital_sources == ("trainedAlgorithmicMedia",)
    assert found.digital_source == "trainedAlgorithmicMedia"
    assert not write_provenance(path, FACTS)
    assert path.read_bytes() == signed
    forced = with_provenance(signed, FACTS, over_signature=True)
    assert seen(forced, tmp_path)["dc:title"] == FACTS.title
    assert decoded(forced) == decoded(signed)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_comes_back(text: str) -> None:
    """But for what XML cannot hold, and white space around it."""
    found = flattened([merge([], {"dc:identifier": text, "xmp:Label": f"|{text}|"})])
    legal = "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
    legal = "".join(c for c in legal if not 0xD800 <= ord(c) < 0xE000)
    assert found["xmp:Label"] == f"|{legal}|"
    assert found["dc:identifier"] == legal.strip()


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(VARIANTS)))
def test_damaged_pictures_give_an_error_or_keep_their_pixels(
    data: st.DataObject, name: str
) -> None:
    """Truncated anywhere, or with wrong bytes: no other exception, and no other pixels."""
    whole = bytearray(VARIANTS[name])
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, min(len(whole), 600) - 1))
            whole[at] = data.draw(st.integers(0, 255))
    before = bytes(whole)
    try:
        after = with_provenance(before, FACTS)
    except InputError:
        return
    try:
        expected = decoded(before)
    except Exception:  # a decoder of its own opinion; ours is not stricter than it has to be
        return
    assert decoded(after) == expected


@pytest.mark.parametrize("form", FORMATS)
def test_a_picture_cut_off_is_refused(form: str) -> None:
    whole = picture(form)
    for share in (0.1, 0.5, 0.9, 0.99):
        with pytest.raises(InputError, match=r"cut off|ends inside|no picture data"):
            with_provenance(whole[: int(len(whole) * share)], FACTS)


def test_a_zip_bomb_is_not_unfolded(tmp_path: Path) -> None:
    data = bomb(600)
    assert len(data) < 1 << 20
    with pytest.raises(InputError, match="compressed XMP of more than 4 MB"):
        with_provenance(data, FACTS)
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    [problem] = read_provenance(path).problems
    assert "more than 4 MB" in problem


def test_compressed_xmp_is_read_and_replaced(tmp_path: Path) -> None:
    import zlib

    packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(FOREIGN_XMP)
    found = seen(with_provenance(with_chunk(picture("PNG"), b"iTXt", packed), FACTS), tmp_path)
    assert (found["xmp:Rating"], found["dc:title"]) == ("4", FACTS.title)


@pytest.mark.parametrize(
    ("packet", "what"),
    [
        (b"<x", "not valid XML"),
        (b"\xff\xfe\x00", "not valid XML"),
        (b"<a/>", "without an rdf:RDF"),
        (b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>', "document type"),
        (b"<a>" * 100 + b"</a>" * 100, "too many elements"),
        (b"<a>" + b"<b/>" * 30_000 + b"</a>", "too many elements"),
        (b"<a>" + b" " * MAX_PACKET_BYTES + b"</a>", "more than 4"),
    ],
)
def test_hostile_xmp_is_refused_by_its_reason(packet: bytes, what: str, tmp_path: Path) -> None:
    data = with_xmp("WEBP", packet)
    with pytest.raises(InputError, match=what):
        with_provenance(data, FACTS)
    path = tmp_path / "hostile.webp"
    path.write_bytes(data)
    assert what in read_provenance(path).problems[0], "the rest of the file is still told of"


def test_a_packet_too_long_for_jpeg_says_what_to_shorten() -> None:
    facts = msgspec.structs.replace(FACTS, prompt="white " * 12_000)
    with pytest.raises(InputError, match="JPEG has room for 65,504: shorten"):
        with_provenance(picture("JPEG"), facts)
    assert len(with_provenance(picture("PNG"), facts)) > 72_000


def test_a_format_that_cannot_hold_facts_is_named() -> None:
    with pytest.raises(InputError, match=r"GIF.*PNG, JPEG and WebP"):
        with_provenance(picture("GIF"), FACTS)


def test_webp_sizes_stay_true() -> None:
    for name in (name for name in VARIANTS if name.startswith("webp")):
        data = with_provenance(VARIANTS[name], FACTS)
        assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
        assert data[12:16] == b"VP8X"
        assert data[20] & 0x04


def test_a_webp_that_lacks_its_last_padding_is_labelled_all_the_same() -> None:
    """An odd chunk without its padding at the end is a common fault that readers forgive."""
    data = picture("WEBP", xmp=FOREIGN_XMP + b" " * (1 - len(FOREIGN_XMP) % 2))
    short = b"RIFF" + struct.pack("<I", len(data) - 9) + data[8:-1]
    assert data[-1] == 0
    after = with_provenance(short, FACTS)
    assert decoded(after) == decoded(data)
    assert len(after) % 2 == 0


def test_bytes_behind_the_end_are_kept() -> None:
    for form in FORMATS:
        data = picture(form) + b"behind"
        assert with_provenance(data, FACTS).endswith(b"behind")


def test_large_files_are_copied_in_pieces(tmp_path: Path) -> None:
    path, target = tmp_path / "large.png", tmp_path / "labelled.png"
    noise((1200, 900)).save(path)
    before = decoded(path.read_bytes())
    assert write_provenance(path, FACTS, target=target)
    assert path.read_bytes() != target.read_bytes()
    assert decoded(target.read_bytes()) == before
    assert write_provenance(path, FACTS)
    assert path.read_bytes() == target.read_bytes() == with_provenance(path.read_bytes(), FACTS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["labelled.png", "large.png"]


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(picture("PNG")[:-20])
    before = path.read_bytes()
    with pytest.raises(InputError, match="cut off"):
        write_provenance(path, FACTS)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["cut.png"]


def test_nothing_is_said_that_was_not_given(tmp_path: Path) -> None:
    found = seen(with_provenance(picture("PNG"), Provenance()), tmp_path)
    assert found.keys() == {"Iptc4xmpExt:DigitalSourceType", "xmp:CreatorTool"}
