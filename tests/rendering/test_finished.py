"""Finished pictures follow the job: made again from what is stored, and nothing is sent."""

import asyncio
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.job import load_job
from pipeline.ledger import open_reader
from pipeline.locking import locked
from pipeline.rendering.finished import refinish
from tests.conftest import Shop
from tests.rendering.making import SMALL, files, last_line, render, results, rows, run

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}


def odd(shop: Shop, count: int = 1, **job: Any) -> Shop:
    """Edits of a picture whose shape no model has, with a transparent ground."""
    shop.write("id,images\n" + "".join([f"e{n},odd.png\n" for n in range(count)]), **job)
    picture = Image.new("RGBA", (300, 500), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((60, 60, 240, 440), fill=(200, 40, 40, 255))
    picture.save(shop.manifest.parent / "odd.png")
    return shop


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture
def done(shop: Shop, emulator: Emulators) -> tuple[Shop, RunningEmulator]:
    """Two edits, finished in their input's size."""
    endpoint = emulator(**PLAIN)
    odd(shop, 2, inputs={"fit": "pad"}, outputs={"size": "same_as_input"})
    assert run(shop, endpoint).exit_code == 0
    assert size_of(shop.outputs / "finished" / "e0.png") == (300, 500)
    return shop, endpoint


def test_another_size_is_made_from_what_is_stored(
    done: tuple[Shop, RunningEmulator], command: Command
) -> None:
    shop, endpoint = done
    odd(shop, 2, inputs={"fit": "pad"}, outputs={"size": "120x200"})
    said = command("render", shop.job)
    assert said.returncode == 0, said.stderr
    assert "finished pictures: 2 made again" in said.stdout
    assert size_of(shop.outputs / "finished" / "e0.png") == (120, 200)
    assert len(endpoint.requests) == 2, "nothing was sent"
    again = last_line(command("render", shop.job, "--json").stdout)
    assert (again["finished"]["made"], again["finished"]["unchanged"]) == (0, 2)


def test_a_run_with_nothing_to_ask_does_it_too(done: tuple[Shop, RunningEmulator]) -> None:
    shop, endpoint = done
    odd(shop, 2, inputs={"fit": "pad"}, outputs={"size": "120x200"})
    result = run(shop, endpoint)
    assert (result.totals.unchanged, len(endpoint.requests)) == (2, 2)
    assert result.renditions is not None
    assert result.renditions.finished is not None
    assert result.renditions.finished.made == 2
    assert size_of(shop.outputs / "finished" / "e1.png") == (120, 200)
    assert run(shop, endpoint).renditions is None, "there was nothing to say"


def test_a_job_that_begins_to_want_them_gets_them_and_loses_them_again(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(odd(shop), endpoint)
    assert results(shop)["e0"]["finished"] == ""
    run(odd(shop, outputs={"size": "200x200"}), endpoint)
    assert results(shop)["e0"]["finished"] == "finished/e0.png"
    assert size_of(shop.outputs / "finished" / "e0.png") == (200, 200)
    found = run(odd(shop), endpoint)
    assert found.renditions is not None
    assert found.renditions.finished is not None
    assert found.renditions.finished.removed == 1
    assert results(shop)["e0"]["finished"] == ""
    assert files(shop.outputs / "finished") == []
    assert run(shop, endpoint).renditions is None
    assert len(endpoint.requests) == 1


def test_one_that_is_the_picture_itself_leaves_no_file(shop: Shop, emulator: Emulators) -> None:
    """And the file that was made with other settings goes."""
    endpoint = emulator(**PLAIN)
    run(odd(shop, outputs={"size": "200x200"}), endpoint)
    width, height = size_of(shop.outputs / "images" / "e0.png")
    run(odd(shop, outputs={"size": f"{width}x{height}"}), endpoint)
    assert results(shop)["e0"]["finished"] == "images/e0.png"
    assert files(shop.outputs / "finished") == []
    found = render(shop)
    assert found.finished is not None
    assert (found.finished.made, found.finished.unchanged) == (0, 1)


def test_what_was_lost_is_made_again_and_the_rest_left_alone(
    done: tuple[Shop, RunningEmulator],
) -> None:
    shop, _ = done
    kept = (shop.outputs / "finished" / "e0.png").stat().st_mtime_ns
    (shop.outputs / "finished" / "e1.png").unlink()
    found = render(shop)
    assert found.finished is not None
    assert (found.finished.made, found.finished.unchanged) == (1, 1)
    assert size_of(shop.outputs / "finished" / "e1.png") == (300, 500)
    assert (shop.outputs / "finished" / "e0.png").stat().st_mtime_ns == kept


def test_of_an_older_ledger_they_are_made_once_more(done: tuple[Shop, RunningEmulator]) -> None:
    """It does not say what they were made as, nor how the input went out."""
    import sqlite3

    shop, _ = done
    odd(shop, 2, outputs={"size": "same_as_input"}, inputs={"fit": "pad"})
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    with connection:
        connection.execute("UPDATE finished SET made_as = ''")
        connection.execute("UPDATE edits SET sent = '' WHERE id = 'e1'")
    connection.close()
    found = render(shop)
    assert found.finished is not None
    assert found.finished.made == 2
    assert size_of(shop.outputs / "finished" / "e1.png") == (300, 500)


def test_transparency_is_restored_from_the_input_that_the_manifest_names(
    done: tuple[Shop, RunningEmulator],
) -> None:
    shop, _ = done
    odd(shop, 2, inputs={"fit": "pad"}, outputs={"size": "same_as_input", "alpha": "restore"})
    assert render(shop).exit_code == 0
    with Image.open(shop.outputs / "finished" / "e0.png") as picture:
        alpha = picture.getchannel("A")
        assert (alpha.getpixel((2, 2)), alpha.getpixel((150, 250))) == (0, 255)


def test_what_cannot_be_made_is_named_and_turns_no_edit_down(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    """What lies there would be of other settings, so it goes; the edit was paid for and stays."""
    endpoint = emulator(**PLAIN, script=[{"fault": "wrong_shape"}])
    run(odd(shop, outputs={"size": "200x200"}), endpoint)
    odd(shop, outputs={"size": "200x200", "alpha": "restore"})
    said = command("render", shop.job)
    assert said.returncode == 3, said.stdout
    assert "1 failed" in said.stdout
    assert "transparency does not fit" in " ".join(said.stdout.split())
    assert rows(shop, "SELECT status FROM edits") == [("succeeded",)]
    assert (results(shop)["e0"]["finished"], files(shop.outputs / "finished")) == ("", [])
    odd(shop, outputs={"size": "200x200"})
    assert command("render", shop.job).returncode == 0
    assert results(shop)["e0"]["finished"] == "finished/e0.png"


def test_beside_a_run_they_are_left_to_it_and_renditions_are_right_all_the_same(
    done: tuple[Shop, RunningEmulator],
) -> None:
    shop, _ = done
    inside = {"width": 60, "fit": "inside", "format": "png"}
    wanted: dict[str, Any] = {"inputs": {"fit": "pad"}, "outputs": {"size": "100x100"}}
    odd(shop, 2, **wanted, renditions={"one": inside})
    with locked(shop.outputs):
        found = render(shop)
    assert found.finished is not None
    assert (found.finished.left_to_run, found.finished.made, found.made) == (2, 0, 2)
    assert size_of(shop.outputs / "finished" / "e0.png") == (300, 500)
    assert size_of(shop.outputs / "renditions" / "one" / "e0.png") == (60, 60)
    later = render(shop)
    assert later.finished is not None
    assert (later.finished.made, later.unchanged) == (2, 2)


def test_a_finished_picture_is_as_old_as_its_answer(done: tuple[Shop, RunningEmulator]) -> None:
    shop, _ = done
    before = pipeline.inspect(shop.outputs / "finished" / "e0.png")
    odd(shop, 2, inputs={"fit": "pad"}, outputs={"size": "120x200"}, checks={"min_size": 10})
    for again in (render, lambda shop: asyncio.run(pipeline.recheck(shop.job))):
        again(shop)
        after = pipeline.inspect(shop.outputs / "finished" / "e0.png")
        assert after.digital_source == before.digital_source
        assert (after.fingerprint, after.model) == (before.fingerprint, before.model)
        [(finished_at,)] = rows(
            shop,
            "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', finished_at, 'unixepoch') FROM edits "
            "WHERE id = 'e0'",
        )
        assert after.created == finished_at


def test_pictures_in_another_store_are_fetched(
    shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    store = (tmp_path / "elsewhere").as_uri()
    run(odd(shop, 3, outputs={"store": store}), emulator(**PLAIN))
    odd(shop, 3, outputs={"store": store, "size": "90x90"}, renditions={"one": SMALL})
    found = render(shop)
    assert found.finished is not None
    assert (found.finished.made, found.made) == (3, 3)
    assert files(shop.outputs / "finished") == ["e0.png", "e1.png", "e2.png"]


def test_stopped_it_ends_and_the_next_one_goes_on(shop: Shop, emulator: Emulators) -> None:
    run(odd(shop, 20), emulator(**PLAIN))
    odd(shop, 20, outputs={"size": "30x50"})
    job, stop = load_job(shop.job), threading.Event()
    reader = open_reader(shop.outputs / "ledger.db")
    assert reader is not None
    with reader:
        ids = [f"e{n}" for n in range(20)]
        found = refinish(job, reader, ids, observe=lambda done, total: stop.set(), stop=stop)
    assert found is not None
    assert found.stopped
    assert 0 < found.made < 20
    later = render(shop)
    assert later.finished is not None
    assert (later.finished.made, later.finished.unchanged) == (20 - found.made, found.made)


def test_only_some_leave_the_others_as_they_are(done: tuple[Shop, RunningEmulator]) -> None:
    shop, _ = done
    odd(shop, 2, inputs={"fit": "pad"}, outputs={"size": "120x200"})
    render(shop, only=["e1"])
    assert size_of(shop.outputs / "finished" / "e0.png") == (300, 500)
    assert size_of(shop.outputs / "finished" / "e1.png") == (120, 200)


def test_checking_again_leaves_no_file_that_nobody_names(
    done: tuple[Shop, RunningEmulator],
) -> None:
    shop, _ = done
    odd(shop, 2, checks={"min_size": 10})
    asyncio.run(pipeline.recheck(shop.job))
    assert rows(shop, "SELECT count(*) FROM finished") in ([(0,)], [(2,)])
    named = {path for (path,) in rows(shop, "SELECT path FROM finished")}
    assert {f"finished/{name}" for name in files(shop.outputs / "finished")} == named
