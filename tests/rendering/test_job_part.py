"""What a job may say of its renditions, and how it is told what is wrong."""

from pathlib import Path

import pytest

from pipeline.errors import JobError
from pipeline.job import Job, load_job
from pipeline.pictures.presets import preset


def loaded(folder: Path, text: str) -> Job:
    path = folder / "job.yaml"
    path.write_text(f"manifest: a.csv\n{text}")
    return load_job(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(JobError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_a_preset_by_its_name(tmp_path: Path) -> None:
    job = loaded(tmp_path, "renditions: {shop: amazon-main}\n")
    assert job.renditions["shop"].spec == preset("amazon-main").spec


def test_what_stands_beside_a_preset_goes_before_it(tmp_path: Path) -> None:
    job = loaded(
        tmp_path, "renditions:\n  shop: {preset: shopify-product, width: 800, max_bytes: 500kB}\n"
    )
    spec = job.renditions["shop"].spec
    assert (spec.width, spec.height, spec.max_bytes) == (800, 2048, 500_000)
    assert spec.quality == preset("shopify-product").spec.quality


def test_a_preset_in_another_format_takes_that_formats_quality(tmp_path: Path) -> None:
    """JPEG's 92 means something else in WebP, and nothing in PNG."""
    job = loaded(tmp_path, "renditions: {shop: {preset: amazon-main, format: png}}\n")
    assert job.renditions["shop"].spec.quality is None


def test_a_rendition_of_ones_own(tmp_path: Path) -> None:
    job = loaded(
        tmp_path,
        "renditions:\n  card: {width: 400, fit: inside, format: webp, folder: 'cards/{{ brand }}',"
        " focus: [0.5, 0.2]}\n",
    )
    spec = job.renditions["card"].spec
    assert (spec.width, spec.height, spec.focus, spec.folder) == (
        *(400, None),
        (0.5, 0.2),
        "cards/{{ brand }}",
    )


def test_every_problem_is_said_with_its_line_and_a_way_out(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        "renditions:\n"
        "  shop: amazn-main\n"
        "  big:\n"
        "    preset: ebay\n"
        "    widht: 3\n"
        "  small:\n"
        "    width: 0\n"
        "    height: 5\n"
        "  half: {width: 5}\n"
        "  torn: {preset: ebay, file: '{{ id'}\n"
        "  a/b: ebay\n"
        "provenance:\n"
        "  creatr: x\n"
        "  digital_source_type: photo\n",
    )
    lines = said.splitlines()
    assert [int(line.split(":")[1]) for line in lines] == [3, 6, 8, 10, 11, 12, 14, 15]
    assert "did you mean 'amazon-main'?" in lines[0]
    assert "unknown key 'widht' in 'renditions.big' (did you mean 'width'?)" in lines[1]
    assert "renditions.small.width: 0; choose 1 to" in lines[2]
    assert "needs width and height" in lines[3]
    assert "the template" in lines[4]
    assert "cannot be part of a file name" in lines[5]
    assert "did you mean 'creator'?" in lines[6]
    assert "compositeWithTrainedAlgorithmicMedia" in lines[7]


@pytest.mark.parametrize("off", ["off", "false", "{enabled: no}"])
def test_provenance_can_be_switched_off(tmp_path: Path, off: str) -> None:
    assert loaded(tmp_path, f"provenance: {off}\n").provenance.enabled is False
    assert loaded(tmp_path, "").provenance.enabled is True
