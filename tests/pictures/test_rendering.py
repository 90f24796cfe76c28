"""Many renditions: in processes and threads, whole files, and one bad picture among good ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from pipeline.errors import JobError
from pipeline.pictures.rendering import FEW, RenderItem, render_all
from pipeline.pictures.renditions import RenditionSpec, render
from tests.pictures.picture_samples import photo
from tests.pictures.provenance_samples import FACTS, picture

SPEC = RenditionSpec(width=40, height=40)


def items(folder: Path, count: int) -> list[RenderItem]:
    source = folder / "source.png"
    source.write_bytes(picture("PNG"))
    return [
        RenderItem(source=source, spec=SPEC, target=folder / "out" / f"{n}.jpg", key=f"key {n}")
        for n in range(count)
    ]


def kill(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A decoder's fault, as an upscaler that takes its process with it."""
    if image.width == 13:
        os._exit(9)
    return image.resize(size)


@pytest.mark.parametrize("processes", [False, True])
def test_outcomes_come_in_order_and_files_are_what_render_gives(
    tmp_path: Path, processes: bool
) -> None:
    todo = [
        msgspec.structs.replace(item, provenance=FACTS, rendition="web")
        for item in items(tmp_path, 12)
    ]
    outcomes = list(render_all(todo, workers=2, processes=processes))
    assert [outcome.item.target for outcome in outcomes] == [item.target for item in todo]
    expected = render(todo[0].source, SPEC, provenance=FACTS, rendition="web")
    for outcome in outcomes:
        assert (outcome.status, outcome.size) == ("rendered", len(expected.data))
        assert (outcome.width, outcome.height, outcome.quality) == (40, 40, 90)
        assert outcome.item.target.read_bytes() == expected.data
    assert len(list((tmp_path / "out").iterdir())) == 12, "and no drafts"


def test_a_bad_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    todo = items(tmp_path, 6)
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture("PNG")[:-30])
    todo[1] = msgspec.structs.replace(todo[1], source=cut)
    todo[2] = msgspec.structs.replace(todo[2], source=tmp_path / "gone.png")
    blocked = tmp_path / "file"
    blocked.write_text("")
    todo[3] = msgspec.structs.replace(todo[3], target=blocked / "x.jpg")
    tight = msgspec.structs.replace(SPEC, format="png", max_bytes=1024)
    todo[4] = msgspec.structs.replace(todo[4], spec=tight)
    found = list(render_all(todo, workers=2))
    assert [outcome.status for outcome in found] == ["rendered", *["failed"] * 4, "rendered"]
    for outcome, text in zip(
        found[1:5], ("cut off", "gone.png", "cannot be written", "limit is 1,024"), strict=True
    ):
        assert text in outcome.problem


def test_what_is_unchanged_is_not_made_again(tmp_path: Path) -> None:
    todo = items(tmp_path, 5)
    made = list(render_all(todo, workers=2))
    again = [
        msgspec.structs.replace(one.item, made_key=one.item.key, made_bytes=one.size)
        for one in made
    ]
    again[1] = msgspec.structs.replace(again[1], key="another spec")
    again[2].target.unlink()
    again[3].target.write_bytes(b"cut off by a power cut")
    assert [outcome.status for outcome in render_all(again, workers=2)] == [
        "unchanged",
        "rendered",
        "rendered",
        "rendered",
        "unchanged",
    ]


def test_items_are_pulled_a_few_at_a_time(tmp_path: Path) -> None:
    pulled = 0
    template = items(tmp_path, 1)[0]

    def endless() -> Iterator[RenderItem]:
        nonlocal pulled
        while True:
            pulled += 1
            yield msgspec.structs.replace(template, target=tmp_path / f"{pulled % 5}.jpg")

    found = render_all(endless(), workers=2, processes=False)
    for _ in range(10):
        assert next(found).status == "rendered"
    found.close()  # type: ignore[attr-defined]
    assert pulled <= 10 + FEW + 1 + 2 * 4


def test_a_process_that_dies_takes_one_picture_with_it(tmp_path: Path) -> None:
    todo = items(tmp_path, 9)
    fatal = tmp_path / "fatal.png"
    photo((13, 13)).save(fatal)
    todo[4] = msgspec.structs.replace(todo[4], source=fatal)
    small = tmp_path / "small.png"
    photo((10, 10)).save(small)
    todo = [
        item if item.source == fatal else msgspec.structs.replace(item, source=small)
        for item in todo
    ]
    found = list(render_all(todo, workers=2, processes=True, upscaler=f"{__name__}:kill"))
    assert [outcome.status for outcome in found] == [*["rendered"] * 4, "failed", *["rendered"] * 4]
    assert "fatal.png: brought its process down" in found[4].problem


def test_a_script_without_a_guard_works_in_threads(tmp_path: Path) -> None:
    """Spawned processes import the script again; there they must not start processes anew."""
    items(tmp_path, 1)
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from pipeline.pictures.rendering import RenderItem, render_all\n"
        "from pipeline.pictures.renditions import RenditionSpec\n"
        "here = Path(__file__).parent\n"
        "spec = RenditionSpec(width=40, height=40)\n"
        "todo = [RenderItem(source=here / 'source.png', spec=spec, target=here / f'{n}.jpg')"
        " for n in range(3)]\n"
        "print([one.status for one in render_all(todo, workers=2, processes=True)])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert "['rendered', 'rendered', 'rendered']" in done.stdout, done.stderr


def test_an_upscaler_that_cannot_be_loaded_stops_everything_before_it_begins(
    tmp_path: Path,
) -> None:
    with pytest.raises(JobError, match="upscaler"):
        render_all(items(tmp_path, 2), upscaler="nobody")
    assert not (tmp_path / "out").exists()
