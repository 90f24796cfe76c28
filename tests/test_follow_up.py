"""What follows a run: renditions and exports, told of when they are there, and stopped cleanly."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.running import RunResult
from tests.conftest import Shop, command_line, environment
from tests.notifying.conftest import Hook, hook
from tests.test_command import until

__all__ = ["hook"]

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]

EXPORTS: list[dict[str, Any]] = [
    {"format": "csv", "output": "../made/all.csv"},
    {"format": "folder", "output": "../made/folder"},
]
SMALL = {"small": {"width": 32, "height": 32}}

HELD = """
import os, sys, time
if "export" in sys.orig_argv:
    open(os.environ["HELD"], "w").close()
    while True:
        time.sleep(0.05)
"""
"""`sitecustomize` of a process that makes exports: says that it is there, and goes no further."""


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    environ = options.pop("environ", {})
    work = pipeline.run(shop.job, base_url=endpoint.url, environ=environ, **options)
    return asyncio.run(work)


def made(shop: Shop) -> set[str]:
    folder = shop.folder / "made"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_exports_are_made_where_they_are_asked_for(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(2, exports=EXPORTS, renditions=SMALL)
    plain = run(shop, endpoint)
    assert (plain.exports, made(shop)) == (None, set())
    assert plain.made == ("renditions: 2 made",)
    result = run(shop, endpoint, export=True)
    assert made(shop) == {"all.csv", "folder"}
    assert (result.exit_code, result.made[0]) == (0, "renditions: nothing new")
    folder = shop.folder / "made" / "folder"
    assert result.made[1:] == (
        f"export csv {folder.with_name('all.csv')}: 2 rows",
        f"export folder {folder}: 2 examples, 2 written",
    )


def test_what_was_made_is_in_the_history_and_in_the_runs_file(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    result = run(shop.with_edits(1, exports=EXPORTS), emulator(pictures="plain"), export=True)
    [past] = pipeline.history(shop.job)
    assert past.made == result.made
    file = shop.outputs / "runs" / f"{result.run_id}.json"
    assert [one["format"] for one in json.loads(file.read_text())["exports"]["results"]] == [
        "csv",
        "folder",
    ]
    assert "export folder" in " ".join(command("history", shop.job).stdout.split())


def test_a_message_leaves_after_all_of_it_and_says_what_came_out(
    shop: Shop, emulator: Emulators, hook: Hook
) -> None:
    """The receiver looks at the moment at which the message comes."""
    notify = [{"url_env": "HOOK", "body": "{{ made | join('; ') }}"}]
    shop.with_edits(2, exports=EXPORTS, renditions=SMALL, notify=notify)
    there: list[bool] = []
    hook.look = lambda: there.append(
        made(shop) == {"all.csv", "folder"}
        and len([*(shop.outputs / "renditions").rglob("*.jpg")]) == 2
    )
    run(shop, emulator(pictures="plain"), export=True, environ={"HOOK": hook.url})
    assert there == [True]
    assert hook.calls[0]["message"].startswith("renditions: 2 made; export csv ")


def test_an_export_that_fails_fails_no_edit_and_is_told_once(
    shop: Shop, emulator: Emulators, hook: Hook
) -> None:
    taken = shop.folder / "taken"
    taken.mkdir(parents=True)
    (taken / "mine.txt").write_text("not an export")
    exports = [{"format": "folder", "output": "../taken"}, *EXPORTS]
    notify = [{"url_env": "HOOK", "on": ["failure"]}]
    shop.with_edits(1, exports=exports, notify=notify)
    endpoint, environ = emulator(pictures="plain"), {"HOOK": hook.url}
    for _ in range(2):
        result = run(shop, endpoint, export=True, environ=environ)
        assert (result.ended, result.exit_code, result.totals.failed) == ("finished", 3, 0)
    assert made(shop) == {"all.csv", "folder"}, "the others are made all the same"
    assert hook.titles == ["shop: an export is not whole"]
    assert "taken" in hook.calls[0]["message"]
    assert f"pipeline export {shop.job}" in hook.calls[0]["message"]


def test_nothing_to_export_yet_is_no_failure(shop: Shop, emulator: Emulators) -> None:
    exports = [{"format": "folder", "output": "../made/good", "where": "decision=approved"}]
    shop.with_edits(1, exports=exports)
    result = run(shop, emulator(pictures="plain"), export=True)
    assert result.exit_code == 0
    assert "nothing to export" in result.made[-1]


def test_a_run_that_was_cut_short_is_not_followed(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(accepted_key="right")
    shop.with_edits(1, exports=EXPORTS)
    result = run(shop, endpoint, export=True, environ={"AIMLAPI_API_KEY": "wrong"})
    assert (result.ended, result.exports, made(shop)) == ("fatal", None, set())


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_exports_and_leaves_the_run_whole(
    shop: Shop, emulator: Emulators, tmp_path: Path, number: signal.Signals
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, exports=EXPORTS)
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "sitecustomize.py").write_text(HELD)
    held = tmp_path / "there"
    env = environment({"PYTHONPATH": str(tmp_path / "held"), "HELD": str(held)})
    line = command_line("run", shop.job, "--base-url", endpoint.url, "--export", "--json")
    process = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        until(held.exists, seconds=60)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    told = json.loads(out)
    assert (process.returncode, told["ended"], told["totals"]["succeeded"]) == (130, "finished", 1)
    assert told["exports"]["stopped"]
    [past] = pipeline.history(shop.job)
    assert past.made[-1].startswith("interrupted: what is made stays")
    assert run(shop, endpoint, export=True).exit_code == 0
    assert made(shop) == {"all.csv", "folder"}


def test_the_exports_of_several_models_are_beside_each_other(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    models = [
        {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
        {"model": "google/nano-banana-edit", "name": "banana"},
    ]
    shop.with_edits(1, models=models, exports=EXPORTS)
    url = emulator(pictures="plain").url
    done = command("run", shop.job, "--base-url", url, "--export", "--quiet")
    assert done.returncode == 0, done.stderr
    assert made(shop) == {"all-flash.csv", "folder-flash", "all-banana.csv", "folder-banana"}
