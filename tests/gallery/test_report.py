"""`report`: a folder that opens from disk, whole whatever happens, and true to the ledger."""

import json
import os
import sqlite3
import subprocess
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
from PIL import Image

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, LockedError, StoreError
from pipeline.gallery import ReportResult, write_report
from pipeline.gallery.writing import Progress
from pipeline.job import Job
from tests.conftest import Shop
from tests.gallery.samples import HOSTILE, Ran, data_folder, details_in, index_in, photo
from tests.ledger.samples import change

NOW = 1_794_616_320.0


def report(job: Job, **options: Any) -> ReportResult:
    return write_report(job, now=NOW, **options)


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    return Ran(tmp_path)


def test_the_index_says_what_the_ledger_says(ran: Ran) -> None:
    ran.plain("mug", variables={"Colour": "red", "size": "L"}, seconds=7.25)
    ran.add("lamp", status="refused", code="refused", message="no", variables={"Colour": "red"})
    ran.add("vase", status="unknown", code="connection_failed", cost=None)
    result = report(ran.written().job())
    assert (result.edits, result.made, result.unreadable) == (3, 2, 0)
    index = index_in(ran.report)
    edits, texts = index["edits"], index["texts"]
    assert index["version"] == 1
    assert index["generated_at"] == "2026-11-14T00:32:00+00:00"
    assert index["summary"] == {
        "edits": 3,
        "counts": {"succeeded": 1, "refused": 1, "unknown": 1},
        "pictures": 1,
        "cost_usd": 0.084,
        "unknown_usd": 0.042,
    }
    assert edits["id"] == ["mug", "lamp", "vase"]
    assert [index["statuses"][n] for n in edits["status"]] == ["succeeded", "refused", "unknown"]
    assert [texts[n] if n >= 0 else None for n in edits["reason"]] == [
        None,
        "refused",
        "connection_failed",
    ]
    assert edits["cost"] == [0.042, 0.042, None]
    assert edits["seconds"][0] == 7.25
    assert edits["size"] == [[600, 400], None, None]
    assert (edits["inputs"], edits["outputs"]) == ([1, 0, 0], [1, 0, 0])
    assert index["columns"] == ["Colour", "size"]
    assert [[texts[n] for n in column] for column in edits["columns"]] == [
        ["red", "red", ""],
        ["L", "", ""],
    ]
    assert len({len(column) for column in [*edits.values(), *edits["columns"]]} - {2}) == 1


def test_edits_come_in_the_manifest_s_order(ran: Ran) -> None:
    for number in (10, 9, 2):
        ran.add(f"e{number}", place=f"shop.csv:{number}")
    report(ran.written().job())
    assert index_in(ran.report)["edits"]["id"] == ["e2", "e9", "e10"]


def test_details_are_in_files_of_two_hundred_in_the_same_order(ran: Ran) -> None:
    for number in range(401):
        ran.add(f"e{number}")
    report(ran.written().job())
    ids = index_in(ran.report)["edits"]["id"]
    files = sorted(data_folder(ran.report).glob("details-*.js"))
    assert [file.name for file in files] == [f"details-000{n}.js" for n in range(3)]
    found = [details_in(ran.report, n) for n in range(3)]
    assert [len(part) for part in found] == [200, 200, 1]
    assert [item["id"] for part in found for item in part] == ids


def test_an_edit_s_details_tell_its_whole_story(ran: Ran) -> None:
    ran.plain("mug", inputs=[ran.input("a b#c%.png"), "https://example.com/x.png?y=1"])
    report(ran.written().job())
    [item] = details_in(ran.report)
    assert (item["place"], item["run"], item["message"]) == ("shop.csv:2", "run-1", "")
    local, remote = item["inputs"]
    assert (local["name"], local["remote"]) == ("a b#c%.png", False)
    assert (local["width"], local["height"]) == (600, 400)
    assert remote == {
        "name": "x.png",
        "src": "https://example.com/x.png?y=1",
        "thumb": "",
        "width": 0,
        "height": 0,
        "remote": True,
    }
    assert item["outputs"][0]["format"] == "png"
    assert item["attempts"] == [
        {
            "number": 1,
            "status": "succeeded",
            "seconds": 5.0,
            "cost": 0.042,
            "code": "",
            "message": "",
            "http": 200,
        }
    ]


def test_links_lead_to_the_pictures_and_previews(ran: Ran) -> None:
    ran.plain("mug", inputs=[ran.input("sub/ü #1?.png")], images=[ran.output("a & b's.png")])
    report(ran.written().job())
    [item] = details_in(ran.report)
    for picture in (*item["inputs"], *item["outputs"]):
        assert not Path(picture["src"]).is_absolute()
        full = ran.report / urllib.parse.unquote(picture["src"])
        with Image.open(full) as whole:
            assert whole.size == (600, 400)
        with Image.open(ran.report / "thumbs" / picture["thumb"]) as preview:
            assert preview.size == (384, 256)
    index = index_in(ran.report)["edits"]
    assert index["before"] == [item["inputs"][0]["thumb"]]
    assert index["after"] == [item["outputs"][0]["thumb"]]


def test_a_second_report_makes_only_what_is_new(ran: Ran) -> None:
    ran.plain("mug").plain("lamp")
    job = ran.written().job()
    assert report(job).made == 2, "two inputs alike, two outputs alike: each preview once"
    before = {path: path.stat().st_mtime_ns for path in ran.report.glob("thumbs/*/*.webp")}
    ran.add("vase", images=[ran.output("vase.png", "red")]).written()
    result = report(job)
    assert (result.made, result.kept, result.removed) == (1, 2, 0)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_previews_nobody_needs_are_removed_and_strays_too(ran: Ran) -> None:
    job = ran.plain("mug").written().job()
    report(job)
    stray = next(ran.report.glob("thumbs/*/*.webp")).with_name("half-written.tmp")
    stray.write_text("x")
    photo(ran.folder / "manifests" / "in-mug.png", "red")
    result = report(job)
    assert (result.made, result.kept, result.removed) == (1, 1, 1)
    assert not stray.exists()
    assert len(list(ran.report.glob("thumbs/*/*.webp"))) == 2


def test_a_preview_cut_off_by_a_power_cut_is_made_again(ran: Ran) -> None:
    job = ran.plain("mug").written().job()
    report(job)
    next(ran.report.glob("thumbs/*/*.webp")).write_bytes(b"")
    assert report(job).made == 1


def test_bad_pictures_have_no_preview_and_stop_nothing(ran: Ran) -> None:
    (ran.folder / "manifests").mkdir(parents=True)
    (ran.folder / "manifests" / "text.png").write_text("no picture")
    whole = photo(ran.folder / "whole.jpg").read_bytes()
    (ran.folder / "manifests" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    gone = ran.output("gone.png", "navy")
    ran.add("text", inputs=["text.png"])
    ran.add("cut", inputs=["cut.jpg"])
    ran.add("away", inputs=["away.png"])
    ran.add("data", inputs=["data:image/png;base64,AAAA…"])
    ran.add("gone", images=[gone])
    job = ran.plain("good").written().job()
    (ran.outputs / "images" / "gone.png").unlink()
    for _ in range(2):
        result = report(job)
        assert result.unreadable == 4, "text, cut, away, gone; nobody expects one of a data URI"
        edits = index_in(ran.report)["edits"]
        assert [bool(path) for path in edits["before"]] == [False] * 5 + [True]
        assert [bool(path) for path in edits["after"]] == [False] * 5 + [True]
    assert result.made == 0, "and nobody tries the same bytes again"
    assert [item["outputs"][0]["src"] for item in details_in(ran.report)[4:5]] == [""]


def test_a_picture_that_came_back_gets_its_preview(ran: Ran) -> None:
    image = ran.output("mug.png")
    job = ran.add("mug", images=[image]).written().job()
    path = ran.outputs / image.path
    data = path.read_bytes()
    path.unlink()
    assert report(job).unreadable == 1
    path.write_bytes(data)
    assert (report(job).made, report(job).unreadable) == (1, 0)


def test_inputs_outside_the_root_are_not_looked_at(ran: Ran) -> None:
    photo(ran.folder / "secret.png")
    (ran.folder / "manifests").mkdir()
    (ran.folder / "manifests" / "link.png").symlink_to(ran.folder / "secret.png")
    ran.add("up", inputs=["../secret.png"]).add("link", inputs=["link.png"])
    ran.add("absolute", inputs=[str(ran.folder / "secret.png")])
    report(ran.written().job())
    assert index_in(ran.report)["edits"]["before"] == ["", "", ""]
    assert all(item["inputs"][0]["src"] == "" for item in details_in(ran.report))


def test_hostile_text_stays_text(ran: Ran) -> None:
    ran.plain(
        HOSTILE.replace("\ufeff", ""),
        inputs=[ran.input("plain.png")],
        images=[ran.output("plain.png")],
        prompt=HOSTILE,
        message=HOSTILE,
        variables={HOSTILE: HOSTILE, "__proto__": "1"},
        parameters={"__proto__": {"polluted": True}, "constructor": 1},
    )
    report(ran.written().job())
    index = index_in(ran.report)
    assert index["texts"][index["edits"]["prompt"][0]] == HOSTILE
    assert HOSTILE in index["columns"]
    [item] = details_in(ran.report)
    assert item["prompt"] == item["message"] == HOSTILE
    assert item["parameters"] == {"__proto__": {"polluted": True}, "constructor": 1}
    for path in data_folder(ran.report).iterdir():
        written = path.read_text("utf-8")
        assert not set("<\u2028\u2029\ufeff") & set(written)
    assert "onerror" not in (ran.report / "index.html").read_text("utf-8")


def test_the_job_s_name_is_escaped_in_the_page(ran: Ran) -> None:
    job = ran.add("mug").written().job()
    report(job.model_copy(update={"name": "a<b>&'\""}))
    page = (ran.report / "index.html").read_text("utf-8")
    assert "a<b>" not in page
    assert "a&lt;b&gt;&amp;" in page


def test_the_page_needs_nothing_but_its_folder(ran: Ran) -> None:
    report(ran.plain("mug").written().job())
    page = (ran.report / "index.html").read_text("utf-8")
    import re

    for address in re.findall(r'(?:src|href)="([^"#]+)"', page):
        if not address.startswith("data:"):
            assert (ran.report / address).is_file(), address


def test_a_report_that_is_cut_off_leaves_the_old_one_whole(ran: Ran) -> None:
    job = ran.plain("mug").written().job()
    report(job)
    page = (ran.report / "index.html").read_bytes()
    before = index_in(ran.report)
    ran.plain("lamp", images=[ran.output("lamp.png", "red")]).written()

    def cut(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(job, observe=cut)
    assert (ran.report / "index.html").read_bytes() == page
    assert index_in(ran.report) == before
    assert all(
        (ran.report / "thumbs" / path).is_file() for path in before["edits"]["after"] if path
    )
    report(job)
    assert index_in(ran.report)["edits"]["id"] == ["mug", "lamp"]


def test_an_open_page_keeps_its_data_for_one_more_report(ran: Ran) -> None:
    job = ran.add("mug").written().job()
    folders = []
    for second in range(4):
        write_report(job, now=NOW + second)
        folders.append(data_folder(ran.report))
    assert [folder.is_dir() for folder in folders] == [False, False, True, True]


def test_two_reports_of_a_job_do_not_meet(ran: Ran) -> None:
    job = ran.add("mug").written().job()
    ran.report.mkdir(parents=True)
    with filelock.FileLock(ran.report / ".lock"), pytest.raises(LockedError, match="report"):
        report(job)


def test_only_some_edits_and_the_previews_of_others_stay(ran: Ran) -> None:
    ran.plain("mug-1", images=[ran.output("1.png", "red")]).plain("lamp")
    job = ran.written().job()
    report(job)
    result = report(job, only=["mug-*"])
    assert (result.edits, result.removed) == (1, 0)
    assert index_in(ran.report)["edits"]["id"] == ["mug-1"]
    assert [item["id"] for item in details_in(ran.report)] == ["mug-1"]
    with pytest.raises(ConfigError, match="no edit"):
        report(job, only=["nothing"])


def test_decisions_and_earlier_takes_are_shown(ran: Ran) -> None:
    ran.plain("mug")
    job = ran.written().job()
    change(
        ran.outputs / "ledger.db",
        "INSERT INTO decisions VALUES ('mug', 'approved', 'nice', 'append', '', 1, 'succeeded',"
        " NULL, NULL)",
        "INSERT INTO takes SELECT 'mug', 1, status, fingerprint, base, 'earlier', model,"
        " parameters, variables, inputs, place, 1, 1, 0.042, NULL, NULL, 1, 2, run_id,"
        " 'redo', 'whiter', 'append', 3, '' FROM edits",
        "INSERT INTO take_images SELECT 'mug', 1, 1, path, sha256, size, width, height, format"
        " FROM images",
    )
    report(job)
    index = index_in(ran.report)
    edits = index["edits"]
    assert index["decisions"][edits["decision"][0]] == "approved"
    assert index["texts"][edits["note"][0]] == "nice"
    [take] = details_in(ran.report)[0]["takes"]
    assert (take["prompt"], take["decision"], take["note"]) == ("earlier", "redo", "whiter")
    assert take["number"] == 1, "what a person has to name to take it back"
    assert (ran.report / "thumbs" / take["outputs"][0]["thumb"]).is_file()


def test_a_picture_no_browser_shows_is_shown_by_its_preview(ran: Ran) -> None:
    photo(ran.folder / "manifests" / "scan.tiff")
    report(ran.add("scan", inputs=["scan.tiff"]).written().job())
    [item] = details_in(ran.report)
    assert item["inputs"][0]["src"] == ""
    assert item["inputs"][0]["thumb"]


def test_pictures_in_a_store_are_read_from_there(ran: Ran) -> None:
    image = ran.output("mug.png")
    job = (
        ran.add("mug", images=[image])
        .written()
        .job(outputs={"directory": "../outputs/shop", "store": f"file://{ran.folder}/bucket"})
    )
    (ran.folder / "bucket").mkdir()
    (ran.outputs / "images").rename(ran.folder / "bucket" / "images")
    assert report(job).made == 1


def test_the_key_of_a_ledger_is_its_own_and_stays(ran: Ran, tmp_path: Path) -> None:
    report(ran.add("mug").written().job())
    key = index_in(ran.report)["key"]
    moved = Ran(tmp_path / "moved")
    moved.folder.mkdir()
    for name in ("manifests", "outputs"):
        (ran.folder / name).rename(moved.folder / name)
    report(moved.job())
    assert index_in(moved.report)["key"] == key


def test_an_empty_ledger_gives_an_empty_page(ran: Ran) -> None:
    result = report(ran.written().job())
    assert result.edits == 0
    assert index_in(ran.report)["edits"]["id"] == []
    assert "<svg" not in (ran.report / "index.html").read_text("utf-8")


def test_without_a_ledger_it_says_what_to_do(ran: Ran) -> None:
    with pytest.raises(ConfigError, match="run the job first"):
        report(ran.job())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_a_store_error(ran: Ran) -> None:
    job = ran.add("mug").written().job()
    ran.outputs.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="still whole"):
            report(job)
    finally:
        ran.outputs.chmod(0o700)


def test_a_file_in_the_way_is_a_store_error(ran: Ran) -> None:
    job = ran.add("mug").written().job()
    ran.report.write_text("in the way")
    with pytest.raises(StoreError, match="report"):
        report(job)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_command_after_a_real_run(
    shop: Shop, emulator: Callable[..., RunningEmulator], command: Command
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(3)
    assert command("run", shop.job, "--base-url", endpoint.url, "--yes").returncode == 0
    sheet = shop.folder / "sheet.pdf"
    done = command("report", shop.job, "--contact-sheet", sheet, "--status", "succeeded,failed")
    assert done.returncode == 0, done.stderr
    assert "3 edits" in done.stdout
    assert "pipeline review" in done.stdout
    assert sheet.read_bytes().startswith(b"%PDF")
    browser = shop.folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{shop.folder}/opened"\n')
    browser.chmod(0o755)
    again = command(
        "report", shop.job, "--json", "--open", env={"BROWSER": f"{browser} %s", "DISPLAY": ""}
    )
    said = json.loads(again.stdout)
    index_html = shop.outputs / "report" / "index.html"
    assert (shop.folder / "opened").read_text().strip() == index_html.as_uri()
    assert list(said) == [
        *("index", "edits", "made", "kept", "unreadable", "removed", "sheet", "orphaned_redos")
    ]
    assert said["made"] == 0
    assert said["kept"] == 4, "three results, and the one input that they share"
    index = index_in(shop.outputs / "report")
    assert index["edits"]["id"] == ["e0", "e1", "e2"]
    assert (index["job"], index["title"], index["options"]) == (str(shop.job), "shop", [])
    assert pipeline.report(shop.job).edits == 3


def test_a_rehearsal_s_page_says_so(ran: Ran) -> None:
    report(ran.add("mug").written().job(), rehearsal=True)
    index = index_in(ran.report)
    assert (index["title"], index["options"]) == ("shop (rehearsal)", ["--rehearse"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sheet": Path("sheet.png")}, r"\.jpg or a \.pdf"),
        ({"sheet": Path("sheet.pdf"), "statuses": ["failed, lost"]}, "'lost' is no status"),
        ({"only": ["nothing"]}, "no edit"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    ran: Ran, options: dict[str, Any], said: str
) -> None:
    job = ran.plain("mug").written().job()
    with pytest.raises(ConfigError, match=said):
        report(job, **options)
    assert not (ran.report / "index.html").exists()
    assert not (ran.report / "thumbs").exists()


def test_statuses_without_a_sheet_are_refused(ran: Ran, command: Command) -> None:
    done = command("report", ran.add("mug").written().job().path, "--status", "failed")
    assert done.returncode == 2
    assert "--contact-sheet" in done.stderr


def test_it_works_while_another_process_writes(ran: Ran) -> None:
    job = ran.plain("mug").written().job()
    writer = sqlite3.connect(ran.outputs / "ledger.db")
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE edits SET prompt = 'not yet'")
        report(job)
        writer.execute("ROLLBACK")
    finally:
        writer.close()
    assert details_in(ran.report)[0]["prompt"] == "Make it white"
