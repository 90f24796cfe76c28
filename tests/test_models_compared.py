"""Several models over the same edits: a ledger each, one purse, figures, a page, and votes."""

import base64
import csv
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.comparing import compare, read_votes, summed_up, write_page
from pipeline.comparing.votes import Vote
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError, JobError, ManifestError
from pipeline.ledger import open_reader
from pipeline.models import Edit
from pipeline.preview import read_edits
from tests.conftest import Shop
from tests.ledger.samples import change
from tests.test_command import started, until

posix = pytest.mark.skipif(os.name == "nt", reason="there are no local sockets")

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain", "latency": {"median_s": 0}}
FLASH = "google/gemini-2.5-flash-image-edit"
KONTEXT = "flux/kontext-pro/image-to-image"
DUEL: dict[str, Any] = {
    "models": [
        {"model": FLASH, "name": "flash"},
        {
            "model": KONTEXT,
            "name": "kontext",
            "parameters": {"guidance_scale": 4},
            "price_usd": 0.06,
        },
    ]
}


def run_all(command: Command, shop: Shop, endpoint: RunningEmulator, *more: str) -> Any:
    return command("run", shop.job, "--base-url", endpoint.url, "--json", *more)


def held(shop: Shop, name: str) -> dict[str, dict[str, Any]]:
    reader = open_reader(shop.outputs / name / "ledger.db")
    assert reader is not None
    with reader:
        return {row["id"]: row for row in reader.results()}


# --- running


def test_each_model_gets_every_edit_and_a_ledger_of_its_own(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(3, **DUEL)
    done = run_all(command, shop, endpoint)
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert [end["totals"]["succeeded"] for end in ends] == [3, 3]
    assert list(held(shop, "flash")) == list(held(shop, "kontext")) == ["e0", "e1", "e2"]
    assert {row["model"] for row in held(shop, "kontext").values()} == {KONTEXT}
    assert (shop.outputs / "kontext" / "images" / "e0.png").is_file()
    again = run_all(command, shop, endpoint)
    assert again.returncode == 0
    assert endpoint.bill.pictures == 6


def test_parameters_are_checked_by_the_model_that_gets_them(shop: Shop) -> None:
    shop.with_edits(1, **DUEL)
    job = pipeline.load_job(f"{shop.job}@kontext")
    [edit] = read_edits(job, model_spec(KONTEXT))
    assert isinstance(edit, Edit)
    assert edit.parameters == {"guidance_scale": 4.0}
    assert pipeline.check(job).problem_count == 0
    wrong = {"models": [{"model": FLASH, "name": "flash", "parameters": {"guidance_scale": 4}}]}
    shop.with_edits(1, **wrong)
    with pytest.raises(JobError, match="takes no 'guidance_scale'"):
        pipeline.check(f"{shop.job}@flash")


def test_a_plan_of_several_models_adds_them_up(shop: Shop, command: Command) -> None:
    said = command("plan", shop.with_edits(2, **DUEL).job).stdout
    assert "shop.yaml@flash" in said
    assert "2 models: 4 requests, $0.20" in said


def test_the_address_of_a_model_works_with_every_command(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(2, **DUEL)
    one = f"{shop.job}@kontext"
    assert command("run", one, "--base-url", endpoint.url).returncode == 0
    assert endpoint.bill.pictures == 2
    for words in (["status"], ["plan"], ["check"], ["report"], ["fsck"]):
        done = command(*words, one)
        assert done.returncode == 0, done.stderr
    assert (shop.outputs / "kontext" / "report" / "index.html").is_file()


def test_what_looks_at_one_ledger_goes_through_the_models(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(
        2, **DUEL, checks={"not_blank": True}, renditions={"web": {"preset": "web-1280"}}
    )
    assert run_all(command, shop, endpoint).returncode == 0
    for words in (["report"], ["recheck"], ["render"]):
        done = command(*words, shop.job)
        assert done.returncode == 0, done.stderr
        assert done.stdout.index(" shop.yaml@flash ") < done.stdout.index(" shop.yaml@kontext ")
    lines = command("reconcile", shop.job, "--base-url", endpoint.url, "--json").stdout.splitlines()
    assert [json.loads(line)["exit_code"] for line in lines] == [0, 0]
    again = command(
        "retry", shop.job, "--base-url", endpoint.url, "--only", "e0", "--status", "succeeded"
    )
    assert again.returncode == 0, again.stderr
    assert endpoint.bill.pictures == 6
    # One model that cannot be looked at does not hide the other.
    (shop.outputs / "flash" / "images" / "e0.png").unlink()
    (shop.outputs / "kontext" / "ledger.db").rename(shop.folder / "away.db")
    done = command("fsck", shop.job)
    assert "the picture is gone" in done.stdout
    assert "kontext/ledger.db: there is no ledger yet" in done.stderr
    assert done.returncode == 3


def test_what_is_about_one_models_pictures_names_the_models(shop: Shop, command: Command) -> None:
    shop.with_edits(1, **DUEL, renditions={"web": {"preset": "web-1280"}})
    (shop.folder / "decisions.csv").write_text("id,decision\ne0,approved\n")
    for words in (
        ["deliver", "--to", shop.folder / "to"],
        ["review", shop.folder / "decisions.csv"],
        ["report", "--contact-sheet", shop.folder / "sheet.jpg"],
        ["export", "--format", "csv", "--output", shop.folder / "out.csv"],
    ):
        refused = command(words[0], shop.job, *words[1:])
        assert refused.returncode == 2
        assert "shop.yaml@flash, shop.yaml@kontext" in refused.stderr


# --- how it stands, and steering


def test_the_status_of_several_models_is_a_line_each_and_their_sum(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(2, **DUEL)
    assert "has not run yet" in command("status", shop.job).stdout
    assert command("run", f"{shop.job}@flash", "--base-url", endpoint.url).returncode == 0
    said = command("status", shop.job).stdout
    assert re.search(r"flash +2 +\$0\.084 +finished \(0\)\n", said)
    assert re.search(r"kontext +0 +\$0\.00 +not run yet\n", said)
    assert run_all(command, shop, endpoint).returncode == 0
    said = command("status", shop.job).stdout
    assert re.search(r"sum +4 +\$0\.", said)
    lines = command("status", shop.job, "--json").stdout.splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["flash", "kontext"]


@posix
def test_steering_is_for_the_model_that_runs_now(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    endpoint.hold(after=4)
    shop.with_edits(3, **DUEL, limits={"concurrency": 1})
    for words in ("pause", "stop"):
        refused = command(words, shop.job)
        assert refused.returncode == 2
        assert "no run of any of its 2 models is going on" in refused.stderr
    with started("run", shop.job, "--base-url", endpoint.url) as run:
        until(lambda: endpoint.bill.pictures == 4)
        until(lambda: pipeline.status(f"{shop.job}@kontext").live is not None)
        assert "of shop@kontext is paused" in command("pause", shop.job).stdout
        assert pipeline.resume(shop.job).job == "shop@kontext"
        tuned = command("tune", shop.job, "--concurrency", "2", "--json")
        assert json.loads(tuned.stdout)["stated_concurrency"] == 2
        said = command("status", shop.job).stdout
        assert "shop@kontext" in said
        assert re.search(r"kontext +1 +\$\d\.\d+ +running\n", said)
        assert "of shop@kontext is stopping" in command("stop", shop.job).stdout
        endpoint.go_on()
        assert run.wait(60) == 130


@posix
def test_watching_goes_on_from_model_to_model(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    endpoint.hold(after=1)
    shop.with_edits(3, **DUEL, limits={"concurrency": 1})
    with started("run", shop.job, "--base-url", endpoint.url) as run:
        until(lambda: endpoint.bill.pictures == 1)
        until(lambda: pipeline.status(f"{shop.job}@flash").live is not None)
        with started("status", shop.job, "--watch") as watching:
            assert watching.stdout is not None
            assert "of 3 edits" in watching.stdout.readline()
            endpoint.go_on()
            said = watching.stdout.read()
            assert watching.wait(60) == 0
        assert run.wait(60) == 0
    assert re.search(r"flash +3 .*finished \(0\)\n +kontext +3 .*finished \(0\)\n", said)


def test_all_models_share_the_days_money(shop: Shop, emulator: Emulators, command: Command) -> None:
    """$0.25 a day: four pictures at 0.042, and of the rest one at 0.06."""
    endpoint = emulator(**PLAIN)
    shop.with_edits(4, **DUEL, budget={"day_usd": 0.25}, limits={"concurrency": 1})
    assert command("run", f"{shop.job}@flash", "--base-url", endpoint.url).returncode == 0
    # Counts today also if midnight comes before the other model is asked.
    change(shop.outputs / "flash/ledger.db", "UPDATE attempts SET started_at = started_at + 86400")
    done = run_all(command, shop, endpoint)
    assert done.returncode == 5
    assert len(held(shop, "flash")) == 4
    assert len(held(shop, "kontext")) <= 1


def test_one_run_of_all_models_keeps_to_one_cap(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(4, **DUEL, limits={"concurrency": 1})
    done = run_all(command, shop, endpoint, "--max-cost", "0.2")
    assert done.returncode == 5
    assert len(held(shop, "flash")) == 4
    assert not held(shop, "kontext")


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([FLASH, FLASH], "two models are called"),
        ([{"model": FLASH, "name": "a@b"}], "cannot name a model"),
        ([{"model": FLASH, "name": "compare"}], "a folder of the outputs is called like that"),
        (FLASH, "it is no list"),
    ],
)
def test_models_that_could_not_be_told_apart_are_refused(
    shop: Shop, models: Any, said: str
) -> None:
    with pytest.raises(JobError, match=said):
        pipeline.load_job(shop.with_edits(1, models=models).job)


def test_a_model_beside_models_is_refused(shop: Shop) -> None:
    shop.with_edits(1, **DUEL, endpoint={"model": FLASH})
    with pytest.raises(JobError, match=r"endpoint\.model or endpoint\.price_usd is there, too"):
        pipeline.load_job(shop.job)


def test_an_unknown_name_is_refused_with_the_nearest(shop: Shop) -> None:
    shop.with_edits(1, **DUEL)
    with pytest.raises(JobError, match=r"did you mean 'kontext'\?"):
        pipeline.load_job(f"{shop.job}@kontxt")


# --- figures


def test_the_comparison_is_over_edits_that_all_have_had(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(4, **DUEL)
    command("run", f"{shop.job}@flash", "--base-url", endpoint.url)
    refusing = emulator(**PLAIN, faults={"refused_400": 1.0})
    command("run", f"{shop.job}@kontext", "--base-url", refusing.url, "--limit", "3")
    found = compare(pipeline.load_job(shop.job))
    assert (found.common, found.partial) == (3, 1)
    flash, kontext = found.models
    assert (flash.own, flash.edits, flash.succeeded, kontext.refused) == (4, 3, 3, 3)
    assert flash.succeeded_share.low < 1.0 == flash.succeeded_share.value
    assert kontext.reasons == {"refused": 3}
    assert flash.cost_usd == pytest.approx(3 * flash.cost_per_edit.value)  # type: ignore[union-attr]
    assert kontext.cost_per_success is None
    assert flash.seconds_p95 is not None
    said = command("compare", shop.job)
    assert said.returncode == 0, said.stderr
    assert "3 edits that all models have had; 1 that only some" in said.stdout
    assert "code refused" in said.stdout


def test_there_is_nothing_to_compare_with_one_model(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        compare(pipeline.load_job(shop.with_edits(1).job))


def test_a_model_that_never_ran_is_named(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="flash has no ledger yet"):
        compare(pipeline.load_job(shop.with_edits(1, **DUEL).job))


# --- the page


def test_neither_the_page_nor_its_files_name_the_models(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(**PLAIN)
    run_all(command, shop.with_edits(5, **DUEL), endpoint)
    found = write_page(pipeline.load_job(shop.job))
    assert (found.edits, found.votable) == (5, 5)
    folder = found.index.parent
    written = "".join([path.name for path in folder.rglob("*")])
    texts = (folder / "compare-data.js").read_text() + found.index.read_text()
    for name in ("flash", "kontext", "gemini"):
        assert name not in written.lower()
        assert name not in texts.lower()
    again = write_page(pipeline.load_job(shop.job))
    assert (found.made, again.made) == (11, 0), "the input once, and a picture of each"


def test_the_page_says_what_all_attempts_of_an_edit_cost(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    """As the figures do, and not what the last one cost."""
    endpoint = emulator(**PLAIN, faults={"bad_base64": 1.0})
    shop.with_edits(1, **DUEL, retry={"attempts": 3, "wait_initial_s": 0.01, "wait_max_s": 0.01})
    run_all(command, shop, endpoint)
    page = write_page(pipeline.load_job(shop.job))
    script = (page.index.parent / "compare-data.js").read_text(encoding="utf-8")
    [sealed] = re.findall(r'"sealed": ?"([^"]+)"', script)
    outcomes = json.loads(base64.b64decode(sealed))["of"]
    rows = [held(shop, name)["e0"] for name in ("flash", "kontext")]
    assert [row["attempts"] for row in rows] == [3, 3]
    assert [outcomes[at][1] for at in ("0", "1")] == [row["cost_usd"] for row in rows]
    assert rows[0]["cost_usd"] > model_spec(FLASH).price_usd


def test_letters_are_dealt_by_edit() -> None:
    from pipeline.comparing.page import _shuffled

    first = [min("flash", "kontext", key=lambda n: _shuffled(f"e{e}", n)) for e in range(400)]
    assert 150 < first.count("flash") < 250


# --- votes


def vote(edit: str, choice: str, **more: Any) -> Vote:
    shown = ("flash", "kontext")
    model = {"A": "flash", "B": "kontext"}.get(choice, "")
    return Vote(edit=edit, choice=choice, model=model, shown=shown, **more)


def test_votes_are_summed_up_with_intervals() -> None:
    votes = [vote(f"e{n}", "A") for n in range(40)] + [vote(f"f{n}", "B") for n in range(10)]
    votes += [vote("t", "tie"), vote("n", "none"), vote("x", "B", blind=False)]
    found = summed_up(votes)
    assert (found.votes, found.not_blind, found.edits) == (52, 1, 52)
    flash, kontext = found.models
    assert (flash.model, flash.best, flash.ties, flash.none) == ("flash", 40, 1, 1)
    assert (flash.share.value, flash.chance) == (0.8, 0.5)
    assert flash.share.low == pytest.approx(0.67, abs=0.01)
    assert kontext.best == 10
    [duel] = found.duels
    assert (duel.wins, duel.losses, duel.clear) == (40, 10, True)


def test_few_votes_could_be_chance() -> None:
    [duel] = summed_up([vote("a", "A"), vote("b", "A"), vote("c", "B")]).duels
    assert not duel.clear


def test_the_last_vote_of_a_person_counts(tmp_path: Path) -> None:
    path = votes_file(
        tmp_path,
        ["e1", "A", "flash", "A=flash;B=kontext", "ann", "", "yes"],
        ["e1", "B", "kontext", "A=flash;B=kontext", "ann", "", "yes"],
        ["e1", "A", "flash", "A=flash;B=kontext", "bob", "", "yes"],
    )
    assert [each.model for each in read_votes([path])] == ["kontext", "flash"]


def votes_file(folder: Path, *rows: list[str]) -> Path:
    path = folder / "votes.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        head = ["edit", "choice", "model", "shown", "voter", "voted_at", "blind"]
        csv.writer(file).writerows([head, *rows])
    return path


def test_people_without_a_name_are_told_apart_by_their_files(tmp_path: Path) -> None:
    row = ["e1", "A", "flash", "A=flash;B=kontext", "", "", "yes"]
    files = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        files.append(votes_file(tmp_path / name, row))
    found = summed_up(read_votes(files))
    assert (found.votes, found.voters, found.edits) == (2, 2, 1)


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8"), ("\t", "utf-16")])
def test_votes_may_have_been_through_a_spreadsheet(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    path = votes_file(tmp_path, ["=e1", "A", "flash", "A=flash;B=kontext", "ann", "", "yes"])
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    [vote] = read_votes([path])
    assert (vote.edit, vote.model) == ("=e1", "flash")


def test_a_quote_that_is_never_closed_is_said(tmp_path: Path) -> None:
    path = votes_file(tmp_path)
    path.write_text(path.read_text() + 'e1,A,"flash,A=flash;B=kontext\n')
    with pytest.raises(ManifestError, match=r"votes\.csv: .*is a quote never closed"):
        read_votes([path])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["e1", "C", "", "A=flash;B=kontext", "", "", ""], "votes.csv:2: choice 'C' is none of"),
        (["", "A", "", "A=flash;B=kontext", "", "", ""], "votes.csv:2: "),
    ],
)
def test_a_vote_that_makes_no_sense_is_refused_with_its_row(
    tmp_path: Path, row: list[str], said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        read_votes([votes_file(tmp_path, row)])


def test_another_table_is_no_votes(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_text("id,decision\na,approved\n")
    with pytest.raises(ManifestError, match="no column edit, choice, model, shown"):
        read_votes([path])


def test_the_command_sums_up_votes(
    shop: Shop, emulator: Emulators, command: Command, tmp_path: Path
) -> None:
    run_all(command, shop.with_edits(1, **DUEL), emulator(**PLAIN))
    path = votes_file(tmp_path, ["e0", "B", "kontext", "A=flash;B=kontext", "ann", "", "yes"])
    said = command("compare", shop.job, "--votes", path)
    assert "1 blind vote of 1 person on 1 edit" in said.stdout
    assert "kontext against flash" in said.stdout
    found = json.loads(command("compare", shop.job, "--votes", path, "--json").stdout)
    assert found["votes"]["models"][0]["model"] == "kontext"
