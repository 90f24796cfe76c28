"""The gallery as the server gives it: pictures by edit and number, decisions into the ledger."""

import asyncio
import csv
import io
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

import pipeline
from pipeline.emulator.testing import RunningEmulator
from tests.conftest import MUG, Shop
from tests.dashboard.serving import Server, serving


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A job that has run; its edits have ids that need care in addresses."""
    endpoint = RunningEmulator(pictures="plain")
    try:
        shop = Shop(tmp_path_factory.mktemp("served"))
        shop.write(
            "id,images,prompt\n"
            + "".join([f"ä &e={n},mug.jpg,edit number {n}\n" for n in range(4)])
            + "web,https://pictures.example/mug.jpg,from the web\n",
            endpoint={"base_url": endpoint.url},
        )
        asyncio.run(pipeline.run(shop.job, environ={}))
        yield shop
    finally:
        endpoint.stop()


@pytest.fixture(scope="module")
def server(shop: Shop) -> Iterator[Server]:
    with serving(shop.job.parent) as running:
        yield running


def data(script: str) -> Any:
    """What a data script says, as a browser would read it."""
    found = re.search(r"JSON\.parse\('(.*)'\)", script, re.DOTALL)
    assert found
    plain = re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|.)", unescaped, found[1])
    return json.loads(plain)


def unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if code[0] in "xu" and len(code) > 1 else code


def at(edit: str, number: int = 1, what: str = "output", where: str = "pictures") -> str:
    return f"/jobs/shop/gallery/{where}/{what}?edit={quote(edit)}&number={number}"


def test_the_page_and_its_data_are_served(server: Server) -> None:
    page = server.get("/jobs/shop/gallery/")
    assert page.status_code == 200
    token = server.json("/api/session")["csrf"]
    assert f'<meta name="csrf-token" content="{token}">' in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    for asset in re.findall(r'(?:src|href)="(/static/gallery/[^"]+)"', page.text):
        assert server.get(asset).status_code == 200
    index = data(server.get("/jobs/shop/gallery/data/index.js").text)
    assert index["live"] == {"decide": "/api/jobs/shop/decisions", "read_only": False}
    assert "ä &e=0" in index["edits"]["id"]
    details = data(server.get("/jobs/shop/gallery/data/details-0000.js").text)
    assert [each["id"] for each in details] == index["edits"]["id"]
    assert server.get("/jobs/shop/gallery/data/details-0001.js").text.endswith(
        "(1, JSON.parse('[]'));\n"
    )


def test_the_index_is_sent_again_only_when_the_ledger_changed(tmp_path: Path) -> None:
    endpoint = RunningEmulator(pictures="plain")
    try:
        shop = Shop(tmp_path).with_edits(2, endpoint={"base_url": endpoint.url})
        asyncio.run(pipeline.run(shop.job, environ={}))
    finally:
        endpoint.stop()
    for path in shop.outputs.glob("ledger.db*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # written long ago, as most ledgers
    index = "/jobs/shop/gallery/data/index.js"
    with serving(shop.job.parent) as server:
        first = server.get(index)
        assert first.headers["content-encoding"] == "gzip"
        assert first.headers["cache-control"] == "private, no-cache"
        plain = server.get(index, headers={"Accept-Encoding": "identity"})
        assert (plain.text, plain.headers.get("content-encoding")) == (first.text, None)
        known = {"If-None-Match": first.headers["etag"]}
        assert server.get(index, headers=known).status_code == 304
        server.post("/api/jobs/shop/decisions", [{"id": "e0", "decision": "rejected"}])
        decided = server.get(index, headers=known)
        assert decided.status_code == 200
        assert data(decided.text)["edits"]["decision"] == [2, 0]


def test_every_address_in_the_data_leads_to_a_picture(server: Server) -> None:
    [first, *_] = data(server.get("/jobs/shop/gallery/data/details-0000.js").text)
    for picture in (*first["inputs"], *first["outputs"]):
        whole = server.get(f"/jobs/shop/gallery/{picture['src']}")
        assert whole.status_code == 200
        assert whole.headers["content-type"].startswith("image/")
        assert "sandbox" in whole.headers["content-security-policy"]
        preview = server.get(f"/jobs/shop/gallery/thumbs/{picture['thumb']}")
        assert preview.headers["content-type"] == "image/webp"
        with Image.open(io.BytesIO(preview.content)) as image:
            assert max(image.size) <= 384
    assert server.get(at("ä &e=0", what="input")).content == MUG.read_bytes()


def test_previews_are_made_once_and_kept_where_the_report_keeps_its_own(
    server: Server, shop: Shop
) -> None:
    thumbs = shop.outputs / "report" / "thumbs"
    first = server.get(at("ä &e=1", where="thumbs")).content
    made = {path: path.stat().st_mtime_ns for path in thumbs.rglob("*.webp")}
    assert made
    assert server.get(at("ä &e=1", where="thumbs")).content == first
    assert {path: path.stat().st_mtime_ns for path in thumbs.rglob("*.webp")} == made
    pipeline.report(shop.job)
    kept = {path: path.stat().st_mtime_ns for path in thumbs.rglob("*.webp")}
    assert made.items() <= kept.items(), "a report makes no preview anew"


def test_pictures_on_the_web_are_linked_and_not_fetched(server: Server) -> None:
    details = data(server.get("/jobs/shop/gallery/data/details-0000.js").text)
    [web] = [each for each in details if each["id"] == "web"]
    assert web["inputs"][0]["src"] == "https://pictures.example/mug.jpg"
    assert server.get(at("web", what="input")).status_code == 404


@pytest.mark.parametrize("number", ["0", "2", "-1", "1e0", "", "9999999999"])
def test_numbers_of_no_picture_lead_nowhere(server: Server, number: str) -> None:
    address = f"/jobs/shop/gallery/pictures/output?edit=%C3%A4%20%26e%3D0&number={number}"
    assert server.get(address).status_code == 404


def test_a_ledger_that_was_tampered_with_leads_nowhere(tmp_path: Path) -> None:
    """Neither its paths nor links may lead out of the outputs, and what is no picture stays."""
    endpoint = RunningEmulator(pictures="plain")
    try:
        shop = Shop(tmp_path).with_edits(4, endpoint={"base_url": endpoint.url})
        asyncio.run(pipeline.run(shop.job, environ={}))
    finally:
        endpoint.stop()
    secret = tmp_path / "secret.png"
    secret.write_bytes(MUG.read_bytes())
    (shop.outputs / "images" / "link.png").symlink_to(secret)
    (shop.outputs / "images" / "page.png").write_text("<script>alert(1)</script>")
    with sqlite3.connect(shop.outputs / "ledger.db") as ledger:
        for edit, path in {
            "e0": "../../../secret.png",
            "e1": str(secret),
            "e2": "images/link.png",
            "e3": "images/page.png",
        }.items():
            ledger.execute("UPDATE images SET path = ? WHERE edit_id = ?", (path, edit))
    ledger.close()
    with serving(shop.job.parent) as server:
        for edit in ("e0", "e1", "e2", "e3"):
            assert server.get(at(edit)).status_code == 404, edit
            assert server.get(at(edit, where="thumbs")).status_code == 404, edit


def test_decisions_go_to_the_ledger_and_the_table_follows(server: Server, shop: Shop) -> None:
    said = [
        {"id": "ä &e=0", "decision": "approved", "note": "", "prompt_mode": "", "fingerprint": ""},
        {"id": "ä &e=1", "decision": "rejected", "note": "blurred"},
        {"id": "ä &e=2", "decision": "redo", "note": "brighter", "prompt_mode": "append"},
        {"id": "ä &e=3", "decision": "approved", "fingerprint": "of an older picture"},
        {"id": "nothing", "decision": "approved"},
    ]
    answer = server.post("/api/jobs/shop/decisions", said).json()
    assert answer["applied"] == ["ä &e=0", "ä &e=1", "ä &e=2"]
    assert [each["id"] for each in answer["problems"]] == ["ä &e=3", "nothing"]
    assert all(each["message"] for each in answer["problems"])
    assert server.json("/api/jobs/shop")["edits"]["rejected"] == 1
    plan = server.post("/api/jobs/shop/plan", {}).json()["plan"]
    assert (plan["redo"], plan["requests"]) == (1, 1)
    details = data(server.get("/jobs/shop/gallery/data/details-0000.js").text)
    [redone] = [each for each in details if each["id"] == "ä &e=2"]
    [picture] = redone["takes"][0]["outputs"]
    assert server.get(f"/jobs/shop/gallery/{picture['src']}").status_code == 200
    end = time.monotonic() + 60
    while "blurred" not in (shop.outputs / "results.csv").read_text():
        assert time.monotonic() < end, "results.csv follows a while after the last decision"
        time.sleep(0.05)
    with (shop.outputs / "results.csv").open(newline="") as file:
        table = {row["id"]: row["decision"] for row in csv.DictReader(file)}
    assert table["ä &e=0"] == "approved"


def test_a_job_that_never_ran_has_no_gallery_and_says_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path).with_edits(1)
    with serving(shop.job.parent) as server:
        answer = server.get("/jobs/shop/gallery/", headers={"Accept": "text/html"})
        assert answer.status_code == 404
        assert "has never run" in answer.text


def test_an_earlier_picture_is_taken_back_by_its_number(server: Server) -> None:
    def details() -> dict[str, Any]:
        found = data(server.get("/jobs/shop/gallery/data/details-0000.js").text)
        [one] = [each for each in found if each["id"] == "ä &e=3"]
        assert isinstance(one, dict)
        return one

    def said(**decision: Any) -> dict[str, Any]:
        posted = [{"id": "ä &e=3", **decision}]
        answer: dict[str, Any] = server.post("/api/jobs/shop/decisions", posted).json()
        return answer

    assert said(decision="redo")["applied"] == ["ä &e=3"]
    [take] = details()["takes"]
    [problem] = said(decision="restore", take=take["number"] + 6)["problems"]
    assert "it has no take 7" in problem["message"]
    assert said(decision="restore", take=take["number"])["applied"] == ["ä &e=3"]
    assert details()["takes"] == []
    assert details()["outputs"][0]["sha256"] == take["outputs"][0]["sha256"]
