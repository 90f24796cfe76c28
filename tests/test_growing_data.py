"""A folder that grows: the next run asks for what is new, and for nothing else."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints.catalog import load_catalog
from pipeline.manifest import read_manifests
from pipeline.models import Problem
from pipeline.running import RunResult
from tests.conftest import MUG, Shop

Emulators = Callable[..., RunningEmulator]
PLAIN: dict[str, Any] = {"pictures": "plain", "latency": {"median_s": 0}}

DESIGN = """
image_sets: [{each: 'nightly/**/*.jpg', ids: path}]
prompts:
  white: on white
  paint: "paint it {{ colour }}"
words: {colour: {list: [red, green, blue, gold], pick: 2}}
"""


def picture(shop: Shop, name: str, number: int) -> None:
    """Unlike all others: a comment of its own after the end."""
    path = shop.manifest.parent / "nightly" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MUG.read_bytes() + b"\0" * number)


def designed(shop: Shop, text: str = DESIGN, **job: Any) -> Shop:
    shop.write("id\n", manifest="../manifests/night.yaml", **job)
    (shop.manifest.parent / "night.yaml").write_text(text)
    return shop


def run(shop: Shop, endpoint: RunningEmulator) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}))


def pictures(shop: Shop) -> dict[str, bytes]:
    folder = shop.outputs / "images"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def test_new_files_are_picked_up_and_removed_ones_are_orphaned(
    shop: Shop,
    emulator: Emulators,
    command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    endpoint = emulator(**PLAIN)
    designed(shop)
    for n in range(3):
        picture(shop, f"monday/{n}.jpg", n)
    first = run(shop, endpoint)
    assert first.totals.succeeded == 9, "on white, and painted in two colours"
    before = pictures(shop)

    picture(shop, "tuesday/0.jpg", 7)  # a name that is there already, and sorts in between
    picture(shop, "early/9.jpg", 8)
    plan = pipeline.plan(shop.job)
    assert (plan.new, plan.unchanged, plan.orphaned, plan.requests) == (6, 9, 0, 6)
    second = run(shop, endpoint)
    assert (second.totals.succeeded, second.totals.unchanged) == (6, 9)
    assert endpoint.bill.pictures == 15
    assert before.items() <= pictures(shop).items(), "what was there is there as it was"

    (shop.manifest.parent / "nightly/monday/1.jpg").unlink()
    plan = pipeline.plan(shop.job)
    assert (plan.new, plan.unchanged, plan.orphaned, plan.requests) == (0, 12, 3, 0)
    said = command("plan", shop.job)
    assert "3  orphaned" in said.stdout
    third = run(shop, endpoint)
    assert third.totals.finished == 0
    assert endpoint.bill.pictures == 15
    assert len(pictures(shop)) == 15, "nothing of an orphan is thrown away"


def test_a_sample_of_a_growing_folder_asks_only_for_what_came_in(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    designed(shop, f"{DESIGN}count: {{per_set: 1}}\n")
    for n in range(4):
        picture(shop, f"{n}.jpg", n)
    assert run(shop, endpoint).totals.succeeded == 4
    for n in range(4, 6):
        picture(shop, f"{n}.jpg", n)
    second = run(shop, endpoint)
    assert (second.totals.succeeded, second.totals.unchanged) == (2, 4)


def test_a_plan_shows_what_will_be_made(
    shop: Shop, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    designed(shop, f"{DESIGN}matrix: {{aspect_ratio: ['1:1', '16:9']}}\n")
    for n in range(2):
        picture(shop, f"{n}.jpg", n)
    said = command("plan", shop.job).stdout
    assert "by image set (2)" in said
    assert "by prompt (2)" in said
    assert "aspect_ratio=16:9" in said
    assert "paint it " in said
    assert "12 requests for 12 pictures, $0.50" in said
    made = json.loads(command("plan", shop.job, "--json").stdout)["made"]
    assert {row["name"]: row["to_ask"] for row in made["by_prompt"]} == {"paint": 8, "white": 4}
    assert {row["name"]: row["edits"] for row in made["by_set"]} == {"nightly-0": 6, "nightly-1": 6}
    assert made["examples"][0] == {"id": "nightly-0/white/1_1", "prompt": "on white"}


def test_a_plan_of_many_like_sets_says_so_in_a_line(
    shop: Shop, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    designed(shop, "image_sets: [{each: 'nightly/*.jpg'}]\nprompts: {a: x, b: y}\n")
    for n in range(20):
        picture(shop, f"{n}.jpg", 0)
    assert "20 image sets, 2 edits each" in command("plan", shop.job).stdout


def test_a_table_of_rows_is_counted_by_picture_and_prompt(shop: Shop, tmp_path: Path) -> None:
    shop.write("id,images,prompt\na,mug.jpg,on white\nb,mug.jpg,on white\nc,mug.jpg,red\n")
    made = pipeline.plan(shop.job).made
    assert made is not None
    assert [(row.name, row.edits) for row in made.by_prompt] == [("on white", 2), ("red", 1)]
    assert [(row.name, row.edits) for row in made.by_set] == [("mug.jpg", 3)]


def test_the_examples_of_the_docs_read(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "datasets.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name in ("mug.jpg", "lamp.jpg", "shoes/red.jpg", "shoes/blue.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(MUG.read_bytes())
    kinds = set()
    for example in examples:
        path = tmp_path / "example.yaml"
        path.write_text(example, encoding="utf-8")
        job = "manifest:" in example
        kinds.add(job)
        if job:
            assert pipeline.load_job(path).manifest
            continue
        model = load_catalog()["google/gemini-2.5-flash-image-edit"]
        found = list(read_manifests([path], model=model, root=None, prompt=None, parameters={}))
        assert len(found) > 1
        assert not [str(each) for each in found if isinstance(each, Problem)]
    assert kinds == {True, False}
