"""Renditions of a job: made where they are missing, and nowhere else."""

import asyncio
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, LockedError, ManifestError
from pipeline.rendering.making import Progress
from tests.conftest import Shop, command_line, environment
from tests.rendering.making import SMALL, decide, files, last_line, render, run
from tests.test_command import until

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}


def made(shop: Shop) -> dict[str, int]:
    """Each rendition with the time at which it was written."""
    folder = shop.outputs / "renditions"
    return {name: (folder / name).stat().st_mtime_ns for name in files(folder)}


def test_a_run_makes_the_renditions_at_its_end(shop: Shop, emulator: Emulators) -> None:
    shop.write(
        "id,images,num_images,Brand\nmug,mug.jpg,2,Blue & Co\nlamp,mug.jpg,1,Red\n",
        renditions={
            "shop": {**SMALL, "file": "{{ brand|slug }}-{{ id }}-{{ position }}"},
            "web": {"preset": "web-320", "folder": "small"},
        },
    )
    result = run(shop, emulator(**PLAIN))
    assert result.exit_code == 0
    assert result.renditions is not None
    assert (result.renditions.made, result.renditions.failed) == (6, 0)
    assert files(shop.outputs / "renditions") == [
        "shop/Blue & Co-mug-1.jpg",
        "shop/Blue & Co-mug-2.jpg",
        "shop/Red-lamp-1.jpg",
        "small/lamp.webp",
        "small/mug-2.webp",
        "small/mug.webp",
    ]


def test_only_what_has_changed_is_made_again(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    renditions = {"one": SMALL, "two": {**SMALL, "format": "png"}}
    run(shop.with_edits(3, renditions=renditions), endpoint)
    before = made(shop)
    assert (render(shop).made, made(shop)) == (0, before)
    shop.with_edits(3, renditions={**renditions, "two": {**SMALL, "width": 30, "format": "png"}})
    again = render(shop)
    assert (again.made, again.unchanged) == (3, 3)
    after = made(shop)
    assert {name for name in before if before[name] != after[name]} == {
        f"two/e{n}.png" for n in range(3)
    }
    assert render(shop, force=True).made == 6


def test_a_rendition_that_was_lost_or_cut_is_made_again(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(3, renditions={"one": SMALL}), emulator(**PLAIN))
    folder = shop.outputs / "renditions" / "one"
    (folder / "e0.jpg").unlink()
    (folder / "e1.jpg").write_bytes(b"cut")
    assert render(shop).made == 2
    assert (folder / "e1.jpg").stat().st_size > 100


def test_what_nobody_wants_any_more_is_removed(shop: Shop, emulator: Emulators) -> None:
    """Rejected edits, renditions that left the job, other names: but no file of anybody else."""
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(3, renditions={"one": SMALL, "two": SMALL}), endpoint)
    mine = shop.outputs / "renditions" / "one" / "mine.jpg"
    mine.write_bytes(b"mine")
    decide(shop, e1="rejected")
    assert render(shop).removed == 2
    shop.with_edits(3, renditions={"one": {**SMALL, "file": "{{ id }}-x"}})
    found = render(shop)
    assert (found.made, found.removed) == (2, 4)
    assert files(shop.outputs / "renditions") == ["one/e0-x.jpg", "one/e2-x.jpg", "one/mine.jpg"]
    assert not (shop.outputs / "renditions" / "two").exists()


def test_a_part_leaves_the_rest_alone(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(2), emulator(**PLAIN))
    shop.with_edits(2, renditions={"one": SMALL, "two": SMALL})
    assert render(shop, renditions=["one"], only=["e1"]).made == 1
    assert files(shop.outputs / "renditions") == ["one/e1.jpg"]
    assert render(shop, renditions=["two"]).made == 2
    assert files(shop.outputs / "renditions") == ["one/e1.jpg", "two/e0.jpg", "two/e1.jpg"]
    with pytest.raises(ConfigError, match="no rendition 'thee'"):
        render(shop, renditions=["thee"])
    with pytest.raises(ConfigError, match="no edit that succeeded is called nobody"):
        render(shop, only=["nobody"])


def test_a_preset_that_the_job_does_not_have(shop: Shop, emulator: Emulators) -> None:
    """It stays when the job's own renditions are made, and goes with its edit."""
    run(shop.with_edits(2, renditions={"one": SMALL}), emulator(**PLAIN))
    assert render(shop, presets=["web-320"]).made == 2
    assert (render(shop).removed, render(shop).made) == (0, 0)
    decide(shop, e0="rejected")
    render(shop)
    assert files(shop.outputs / "renditions") == ["one/e1.jpg", "web-320/e1.webp"]


def test_a_preset_means_the_jobs_own_rendition_of_it(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1), emulator(**PLAIN))
    shop.with_edits(1, renditions={"thumb": {"preset": "web-320", "width": 50}, "one": SMALL})
    assert render(shop, presets=["web-320"]).renditions == ("thumb",)
    assert files(shop.outputs / "renditions") == ["thumb/e0.webp"]


def test_two_files_of_one_name_are_refused_before_anything_is_written(
    shop: Shop, emulator: Emulators
) -> None:
    shop.write("id,images,sku\na,mug.jpg,X\nb,mug.jpg,x\n")
    run(shop, emulator(**PLAIN))
    rows = "id,images,sku\na,mug.jpg,X\nb,mug.jpg,x\n"
    shop.write(rows, renditions={"one": {**SMALL, "file": "{{ sku }}"}})
    with pytest.raises(ConfigError, match=r"shop.csv:3: b: one/x.jpg is what a rendition of a is"):
        render(shop)
    assert not (shop.outputs / "renditions").exists()


@pytest.mark.parametrize("sku", ["../../etc/passwd", "a/../b", "con", "x:y", "a\u202eb", " ", "."])
def test_a_name_that_no_file_should_have_is_refused(
    shop: Shop, emulator: Emulators, sku: str
) -> None:
    rows = f'id,images,sku\na,mug.jpg,"{sku}"\n'
    run(shop.write(rows), emulator(**PLAIN))
    shop.write(rows, renditions={"one": {**SMALL, "file": "{{ sku }}"}})
    with pytest.raises(ConfigError, match=r"cannot be a file's name"):
        render(shop)
    shop.write(rows, renditions={"one": {**SMALL, "file": "p{{ sku|slug }}"}})
    assert render(shop).made == 1
    [name] = files(shop.outputs / "renditions")
    assert name.startswith("one/p")
    assert name.count("/") == 1


def test_a_column_that_is_not_there_shows_before_anything_is_sent(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(
        1,
        renditions={"one": {**SMALL, "file": "{{ sku }}"}},
        provenance={"alt_text": "{{ titel }}"},
    )
    with pytest.raises(ManifestError) as caught:
        run(shop, endpoint)
    assert "shop.csv:2: provenance: the template's 'titel' is not defined" in str(caught.value)
    assert "renditions.one: the template's 'sku' is not defined" in str(caught.value)
    assert not endpoint.requests


def test_a_rendition_that_fails_fails_no_edit(shop: Shop, emulator: Emulators) -> None:
    """The edits succeeded and were paid for: the exit code says that something is left to do."""
    shop.with_edits(2, renditions={"one": {**SMALL, "max_bytes": 1024, "min_quality": 100}})
    result = run(shop, emulator())
    assert (result.ended, result.totals.succeeded, result.exit_code) == ("finished", 2, 3)
    assert result.renditions is not None
    assert {problem.id for problem in result.renditions.problems} == {"e0", "e1"}
    assert files(shop.outputs / "renditions") == []


def test_a_failing_rendition_does_not_leave_the_old_picture(
    shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(1, renditions={"one": SMALL}), emulator())
    shop.with_edits(1, renditions={"one": {**SMALL, "max_bytes": 1024, "min_quality": 100}})
    assert render(shop).exit_code == 3
    assert files(shop.outputs / "renditions") == []


def test_a_picture_that_is_not_what_the_ledger_says_is_not_rendered(
    shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(2), emulator(**PLAIN))
    (shop.outputs / "images" / "e0.png").write_bytes(b"something else")
    (shop.outputs / "images" / "e1.png").unlink()
    shop.with_edits(2, renditions={"one": SMALL})
    found = render(shop)
    assert (found.failed, found.exit_code) == (2, 3)
    assert all("pipeline fsck" in problem.message for problem in found.problems)


def test_a_redo_takes_its_renditions_along(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(2, renditions={"one": SMALL}), endpoint)
    decide(shop, e0="redo")
    assert render(shop).removed == 1
    result = run(shop, endpoint)
    assert result.renditions is not None
    assert (result.renditions.made, result.renditions.unchanged) == (1, 1)


GATE = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def enlarge(picture, size):
    if not any(taken(f"ticket-{number}") for number in range(3)):
        while not (HERE / "open").exists():
            time.sleep(0.01)
    return picture.resize(size)

def taken(ticket):
    try:
        (HERE / ticket).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
"""
"""An upscaler that makes three pictures, and no more until the gate is open."""


def test_a_killed_render_leaves_whole_files_and_goes_on(
    shop: Shop, emulator: Emulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate_of_render.py").write_text(GATE)
    monkeypatch.syspath_prepend(str(tmp_path))
    run(shop.with_edits(12), emulator(**PLAIN))
    larger = {"width": 1300, "height": 1300, "upscaler": "gate_of_render:enlarge"}
    shop.with_edits(12, renditions={"one": larger})
    process = subprocess.Popen(
        command_line("render", shop.job, "--json"),
        env=environment({"PYTHONPATH": str(tmp_path)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: bool(files(shop.outputs / "renditions")), seconds=60)
        assert process.poll() is None, "it waits at the gate"
    finally:
        process.kill()  # SIGKILL
        process.communicate()
    there = files(shop.outputs / "renditions")
    assert 1 <= len(there) <= 3
    for name in there:
        assert (shop.outputs / "renditions" / name).read_bytes()[-2:] == b"\xff\xd9"
    (tmp_path / "open").touch()
    found = render(shop)
    assert (found.made + found.unchanged, found.made >= 9) == (12, True)
    assert len([name for name in files(shop.outputs / "renditions") if "/." not in name]) == 12
    assert render(shop).unchanged == 12


def test_a_torn_journal_costs_no_more_than_its_last_line(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(3, renditions={"one": SMALL}), emulator(**PLAIN))
    journal = shop.outputs / "renditions" / "made.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert (render(shop).made, render(shop).unchanged) == (1, 3)


def test_a_journal_that_was_tampered_with_removes_nothing_outside(
    shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(1, renditions={"one": SMALL}), emulator(**PLAIN))
    with (shop.outputs / "renditions" / "made.jsonl").open("a") as file:
        file.write('{"path": "../results.csv", "edit_id": "nobody"}\n')
    render(shop)
    assert (shop.outputs / "results.csv").exists()


def test_two_renders_at_once_are_refused(shop: Shop, emulator: Emulators) -> None:
    import filelock

    run(shop.with_edits(1, renditions={"one": SMALL}), emulator(**PLAIN))
    with (
        filelock.FileLock(shop.outputs / "renditions" / ".lock"),
        pytest.raises(LockedError, match="are being made already"),
    ):
        render(shop)


def test_pictures_in_another_store_are_fetched(
    shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    store = (tmp_path / "elsewhere").as_uri()
    run(shop.with_edits(3, outputs={"store": store}, renditions={"one": SMALL}), emulator(**PLAIN))
    assert files(shop.outputs / "renditions") == [f"one/e{n}.jpg" for n in range(3)]
    assert not (shop.outputs / "images").exists()


def test_they_are_made_from_the_finished_picture(shop: Shop, emulator: Emulators) -> None:
    """As the job wants its shape now, whatever it wanted when the pictures came."""
    endpoint = emulator(**PLAIN)
    inside = {"width": 400, "fit": "inside"}
    shop.with_edits(1, renditions={"one": inside}, inputs={"fit": "pad"})
    shop.manifest.parent.joinpath("mug.jpg").unlink()
    image = Image.new("RGB", (300, 100), "red")
    image.save(shop.manifest.parent / "mug.jpg")
    run(shop, endpoint)
    picture = shop.outputs / "renditions" / "one" / "e0.jpg"

    def shape() -> float:
        with Image.open(picture) as opened:
            return opened.width / opened.height

    assert shape() == pytest.approx(3.0, abs=0.05)
    assert render(shop).unchanged == 1
    shop.manifest.write_text(shop.manifest.read_text())
    shop.job.write_text(shop.job.read_text() + "outputs: {size: 200x200}\n")
    assert render(shop).made == 1
    assert shape() == pytest.approx(1.0)


def test_the_command_says_what_it_did(shop: Shop, emulator: Emulators, command: Command) -> None:
    run(shop.with_edits(2), emulator(**PLAIN))
    nothing = command("render", shop.job)
    assert nothing.returncode == 2
    assert "the job has no renditions" in nothing.stderr
    shop.with_edits(2, renditions={"one": SMALL})
    done = command("render", shop.job)
    assert done.returncode == 0, done.stderr
    assert "2  made" in done.stdout
    again = last_line(command("render", shop.job, "--rendition", "one", "--json").stdout)
    assert (again["unchanged"], again["made"], again["exit_code"]) == (2, 0, 0)


def test_a_run_says_it_too_and_a_quiet_one_does_not(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(1, renditions={"one": SMALL})
    done = command("run", shop.job, "--base-url", endpoint.url)
    assert (done.returncode, "1  made" in done.stdout) == (0, True), done.stderr
    found = last_line(command("run", shop.job, "--base-url", endpoint.url, "--json").stdout)
    assert found["renditions"]["unchanged"] == 1
    assert command("run", shop.job, "--base-url", endpoint.url, "--quiet").stdout == ""


def test_cancelled_it_ends_and_keeps_what_is_made(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(8), emulator())
    shop.with_edits(8, renditions={"one": {"width": 900, "height": 900}})

    async def cancelled() -> None:
        began, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def observe(progress: Progress) -> None:
            loop.call_soon_threadsafe(began.set)
            go_on.wait(60)

        task = asyncio.create_task(pipeline.render(shop.job, observe=observe))
        await began.wait()
        task.cancel()
        await asyncio.sleep(0)  # it hears of it, and tells its thread
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    found = render(shop)
    assert found.unchanged >= 1
    assert found.made + found.unchanged == 8
