"""The worked examples do what their comments promise."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipeline import api
from pipeline.endpoints.catalog import model_spec
from pipeline.job import Job
from pipeline.models import Edit
from pipeline.preview import read_edits

ROOT = Path(__file__).parent.parent
EXAMPLES = {"catalog-white": 10, "lifestyle-scenes": 14}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The examples, copied: a rehearsal leaves its outputs beside them."""
    for folder in ("jobs", "manifests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def prompts(job: Job) -> dict[str, str]:
    rows = [*read_edits(job, model_spec(job.endpoint.model))]
    assert all(isinstance(row, Edit) for row in rows), rows
    return {row.id: row.prompt for row in rows if isinstance(row, Edit)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_rehearsed_to_its_end(
    name: str, shop: Path, command: Callable[..., "CompletedProcess[str]"]
) -> None:
    job = shop / "jobs" / f"{name}.yaml"
    checked = command("check", job)
    assert checked.returncode == 0, checked.stderr
    done = command("run", job, "--rehearse")
    assert done.returncode == 0, done.stderr
    outputs = shop / "outputs" / f"{name}-rehearsal"
    with (outputs / "results.csv").open(encoding="utf-8", newline="") as file:
        results = [*csv.DictReader(file)]
    assert len(results) == EXAMPLES[name]
    assert {result["status"] for result in results} == {"succeeded"}
    assert all((outputs / result["images"]).is_file() for result in results)
    renditions = [*outputs.glob("renditions/shop/*.jpg")]
    assert len(renditions) == (10 if name == "catalog-white" else 0)


def test_the_white_catalog_says_what_suits_each_product() -> None:
    said = prompts(api.load_job(ROOT / "jobs" / "catalog-white.yaml"))
    assert said["MUG-0012"].startswith("Put the ceramic mug on a seamless, pure white background")
    assert "contact shadow" in said["STL-0004"]
    assert "contact shadow" not in said["MUG-0012"]
    assert "Keep the glass clear" in said["PRF-0009"]
    assert "reflections soft" in said["WAT-0005"]
    assert all("Keep the product exactly as it is" in text for text in said.values())
    assert not any("\n\n" in text or "{" in text for text in said.values())


def test_the_scenes_are_chosen_by_room() -> None:
    said = prompts(api.load_job(ROOT / "jobs" / "lifestyle-scenes.yaml"))
    assert "Place the mug on the worktop of a bright kitchen" in said["mug/morning"]
    assert "walnut desk" in said["watch/evening"]


def test_a_changed_snippet_changes_only_what_it_is_part_of(
    shop: Path, command: Callable[..., "CompletedProcess[str]"]
) -> None:
    job = shop / "jobs" / "lifestyle-scenes.yaml"
    assert command("run", job, "--rehearse").returncode == 0
    (shop / "manifests" / "prompts" / "scenes" / "desk.txt").write_text("on a steel desk\n")
    plan = api.plan(job, rehearse=True)
    assert (plan.changed, plan.unchanged) == (4, 10)
