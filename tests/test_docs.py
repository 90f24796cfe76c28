"""The docs are true: what they name exists, what exists is named, and their examples run."""

import ast
import asyncio
import inspect
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pipeline import errors
from pipeline.api import JobStatus
from pipeline.cli.start import write_start
from pipeline.emulator.faultnames import FAULTS
from pipeline.emulator.profile import Profile, load_profile, shipped_profiles
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints.catalog import all_parameter_names, load_catalog
from pipeline.job import Job, load_job
from pipeline.ledger import AttemptTotal, RunRow
from pipeline.ledger.view import FIXED
from pipeline.manifest import read_manifests
from pipeline.models import Problem
from pipeline.preview import CheckReport, Plan
from pipeline.running import RunResult
from pipeline.summary import Totals
from tests.conftest import MUG, environment

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def errors_of_the_package() -> Iterator[type[errors.PipelineError]]:
    for _, found in inspect.getmembers(errors, inspect.isclass):
        if issubclass(found, errors.PipelineError):
            yield found


# --- what exists is named


def test_every_command_and_option_is_documented() -> None:
    import typer.main

    from pipeline.cli.commands import app

    root: Any = typer.main.get_command(app)
    page = text("docs/commands.md")
    assert "--version" in page
    for name, command in root.commands.items():
        section = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, f"no section for {name!r}"
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                if option not in ("--help", "-h"):
                    assert f"`{option}" in section[1], f"{name} {option}"


def test_every_option_in_the_docs_exists() -> None:
    import typer.main

    from pipeline.cli.commands import app

    root: Any = typer.main.get_command(app)
    known = {"--help", "-h", "--version"}
    for command in root.commands.values():
        known |= {option for parameter in command.params for option in parameter.opts}
    for page in PAGES:
        if page.parent.name == "demo-pictures":
            continue
        written = re.findall(r"pipeline [a-z]+ [^`\n]*|`(--[a-z-]+)", page.read_text("utf-8"))
        assert set(filter(None, written)) <= known, page.name


def job_keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if inspect.isclass(inner) and issubclass(inner, BaseModel):
            yield from job_keys(inner, f"{before}{name}.")
        else:
            yield before + name


def test_every_job_key_is_documented_with_its_default() -> None:
    page = text("docs/jobs.md")
    rows = dict(re.findall(r"^\| `([a-z0-9_.]+)` \| [^|]* \| (.*?) \| ", page, re.MULTILINE))
    reserved = {"schedule", "notify"}
    assert rows.keys() == set(job_keys(Job)) - reserved
    assert all(f"`{key}`" in page for key in reserved)
    for key, shown in rows.items():
        model: Any = Job
        for part in key.split("."):
            field = model.model_fields[part]
            model = field.annotation
        default = field.default
        if not re.fullmatch(r"`[^`]*`", shown) or key == "outputs.directory":
            assert field.is_required() or default in (None, ())
            continue
        value = yaml.safe_load(shown.strip("`"))
        if isinstance(value, str) and re.fullmatch(r"\d+MB", value):
            value = int(value[:-2]) * 10**6
        assert value == default, f"{key}: {shown} in the docs, {default!r} in the code"


def test_every_error_code_and_exit_code_is_documented() -> None:
    outputs = text("docs/outputs.md")
    python = text("docs/python.md")
    exit_codes = {0, 130}
    for error in errors_of_the_package():
        exit_codes.add(error.exit_code)
        assert f"`{error.__name__}`" in python, error
        if issubclass(error, errors.EditError):
            assert f"`{error.code}`" in outputs, error
        if issubclass(error, errors.FatalError) and error is not errors.FatalError:
            assert f"`{error.__name__}`" in outputs, error
    for name in ("README.md", "docs/commands.md"):
        shown = re.findall(r"^\| (\d+) \| ", text(name), re.MULTILINE)
        assert {int(code) for code in shown} == exit_codes, name


def test_every_result_column_is_documented() -> None:
    page = text("docs/outputs.md")
    assert all(f"`{name}`" in page for name in FIXED)


def test_every_model_is_documented() -> None:
    rows = {
        cells[0].strip(" `"): [cell.strip() for cell in cells[1:]]
        for line in text("docs/models.md").splitlines()
        if line.startswith("| `")
        for cells in [line.strip("|").split("|")]
    }
    assert rows.keys() == load_catalog().keys()
    for model_id, spec in load_catalog().items():
        inputs, count, price, parameters = rows[model_id]
        least, most = spec.min_images, spec.max_images
        assert inputs == (str(most) if least == most else f"{least} to {most}"), model_id
        assert count == (f"1 to {spec.max_count}" if spec.count_field else "one"), model_id
        assert price == (f"${spec.price_usd:g}" if spec.price_usd else "not known"), model_id
        named = set(re.findall(r"`([a-z0-9_]+)`: ", parameters))
        assert named == spec.parameters.keys() - {spec.count_field}, model_id


def test_every_profile_setting_and_fault_of_the_emulator_is_documented() -> None:
    page = text("docs/emulator.md")
    for name in (*shipped_profiles(), *FAULTS, *Profile.__struct_fields__):
        assert f"| `{name}` |" in page, name


# --- what is named exists


def anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), target


def test_every_page_is_linked_from_the_readme() -> None:
    readme = text("README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"performance.md"}
    assert all(f"(docs/{name})" in readme for name in pages)


def test_the_pictures_are_small() -> None:
    assert (ROOT / "docs/images/demo.jpg").stat().st_size < 350_000
    assert (ROOT / "docs/images/run.svg").stat().st_size < 100_000


# --- examples


@pytest.mark.parametrize("name", ["docs/jobs.md", "docs/models.md"])
def test_the_job_examples_load(name: str, tmp_path: Path) -> None:
    examples = blocks(name, "yaml")
    assert examples
    for number, example in enumerate(examples):
        path = tmp_path / "jobs" / f"example-{number}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(example, encoding="utf-8")
        assert load_job(path).manifest


@pytest.mark.parametrize("language", ["csv", "json", "yaml"])
@pytest.mark.parametrize("name", ["README.md", "docs/manifests.md"])
def test_the_manifest_examples_read(name: str, language: str, tmp_path: Path) -> None:
    for file in ("mug.jpg", "lamp.jpg", "table.jpg", "shoes/red.jpg", "shoes/blue.jpg"):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(MUG.read_bytes())
    model = load_catalog()["google/gemini-2.5-flash-image-edit"]
    for number, example in enumerate(blocks(name, language)):
        suffix = {"json": "jsonl"}.get(language, language)
        manifest = tmp_path / f"example-{number}.{suffix}"
        manifest.write_text(example, encoding="utf-8")
        edits = [
            *read_manifests(
                [manifest],
                model=model,
                root=None,
                prompt="Do it",
                parameters={},
                known_parameters=all_parameter_names(),
            )
        ]
        assert len(edits) > 1
        assert not [str(edit) for edit in edits if isinstance(edit, Problem)]


def test_the_json_that_commands_print_has_the_documented_shape() -> None:
    shown = [json.loads(block) for block in blocks("docs/commands.md", "json")]
    kinds = (CheckReport, Plan, RunResult, JobStatus)
    assert [list(each) for each in shown] == [list(kind.__struct_fields__) for kind in kinds]
    assert list(shown[2]["totals"]) == list(Totals.__struct_fields__)
    assert shown[3]["run"].keys() == set(RunRow.__struct_fields__)
    assert list(shown[3]["attempts"][0]) == list(AttemptTotal.__struct_fields__)


def test_the_profile_example_loads(tmp_path: Path) -> None:
    [example] = blocks("docs/emulator.md", "yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    assert load_profile(path).limits.concurrency == 4


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    """All but those that need the network, a key, or the checkout."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "pipeline"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pipeline "$@"\n')
    command.chmod(0o755)
    lines = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    lines = [line for line in lines if re.match(r"pipeline|echo", line)]
    lines.remove("pipeline serve shop/jobs")  # goes on until Ctrl-C
    real = [line for line in lines if not line.startswith("pipeline run") or "--rehearse" in line]
    assert len(real) < len(lines), "one run is for real"
    words = {line.split()[1] for line in real if line.startswith("pipeline")}
    assert words == {"init", "check", "plan", "run", "status", "report"}
    done = subprocess.run(
        ["/bin/sh", "-e", "-x"],
        input="\n".join(real),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=environment({"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}),
    )
    assert done.returncode == 0, done.stderr
    assert "2 edits, 2 pictures: all is well" in done.stdout
    assert "3  succeeded" in done.stdout
    images = tmp_path / "shop" / "outputs" / "catalog-rehearsal" / "images"
    assert len(list(images.iterdir())) == 3


def test_the_readme_shows_what_init_writes() -> None:
    [example, *_] = blocks("README.md", "csv")
    assert example == text("pipeline/cli/start/manifests/catalog.csv")


@pytest.mark.parametrize("name", ["docs/python.md", "README.md"])
def test_the_python_examples_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_start(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("AIMLAPI"):
            monkeypatch.delenv(variable)
    here: dict[str, Any] = {"__name__": "example"}
    for example in blocks(name, "python"):
        code = compile(example, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, here))
        else:
            exec(code, here)
    assert here["result"].totals.finished or here["result"].totals.unchanged
    ledger = sqlite3.connect(tmp_path / "shop/outputs/catalog-rehearsal/ledger.db")
    try:
        for query in blocks("docs/outputs.md", "sql"):
            ledger.execute(query).fetchall()
    finally:
        ledger.close()


def test_the_fixture_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_start(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    conftest, example = blocks("docs/emulator.md", "python")
    here: dict[str, Any] = {"__name__": "example"}
    exec(conftest, here)
    exec(example, here)
    running: list[RunningEmulator] = []

    def start(*arguments: Any, **settings: Any) -> RunningEmulator:
        running.append(RunningEmulator(*arguments, **settings))
        return running[-1]

    try:
        here["test_my_job_survives_a_bad_day"](start)
    finally:
        for one in running:
            one.stop()
