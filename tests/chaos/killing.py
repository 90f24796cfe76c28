"""A job whose process is killed over and over, and what is left of it, judged by the emulator.

The judge believes neither the pipeline's words nor its exit codes: it compares the ledger's rows
and the files with the emulator's bill, with what the emulator was asked, and with the pictures of
a second run of the same job that nobody disturbed.
"""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from PIL import Image

from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop, command_line, environment

PATIENCE_S = 300.0
"""A process that goes on for longer hangs."""
CONCURRENCY = 8
SETTINGS: dict[str, Any] = {"limits": {"concurrency": CONCURRENCY}, "provenance": "off"}
"""Without labels, which state when a picture came: two runs are compared byte by byte."""
GENERATIONS = "/v1/images/generations"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one job under kills. ``open_at_kills``: attempts whose process died while they
    were under way, of all kills together; ``most_open``: of the worst kill. ``paid_twice``: charges
    beyond one an edit. ``problems``: what should never be, in words; empty if every promise held.
    """

    edits: int
    kills: int
    records: int
    lost: int
    requests: int
    open_at_kills: int
    most_open: int
    paid_twice: int
    paid_twice_usd: float
    unknown: int
    reconciled: int
    billed_usd: float
    ledger_usd: float
    asked_again: int
    seconds: float
    problems: tuple[str, ...]


def kill_and_judge(
    shop: Shop,
    endpoint: RunningEmulator,
    control: RunningEmulator,
    *,
    edits: int,
    kills: int,
    seed: int,
    told: Callable[[str], None] = lambda line: None,
) -> Judgement:
    """Runs a job of ``edits`` edits, kills it ``kills`` times, lets it finish, and judges.

    ``control``: where the undisturbed run asks, with the same settings and seed.
    """
    began = time.monotonic()
    shop.with_edits(edits, **SETTINGS)
    rng = Random(seed)
    opened: list[set[str]] = []
    for number in range(1, kills + 1):
        if not _killed_at_random(shop, endpoint, rng, about=max(2, edits // kills)):
            break  # it was done before it could be killed
        opened.append(_open_attempts(shop))
        told(f"kill {number} of {kills}: {len(opened[-1])} requests were under way")
    endpoint.go_on()
    problems = []
    last = _finished("run", shop.job, "--base-url", endpoint.url, "--json")
    if last.returncode != 0:
        problems.append(f"the last run ended with {last.returncode}: {last.stderr[-500:]}")
    unknown = {name for (name,) in rows(shop, "SELECT id FROM attempts WHERE status = 'unknown'")}
    asked = asked_of(endpoint)
    again = _finished("run", shop.job, "--base-url", endpoint.url, "--json")
    asked_again = len(asked_of(endpoint)) - len(asked)
    settled = _finished(
        *("reconcile", shop.job, "--base-url", endpoint.url, "--json", "--delay", "0.5"),
        *("--wait", "30"),
    )
    if (again.returncode, settled.returncode) != (0, 0):
        problems.append(f"run again, reconcile: {again.stderr[-500:]} {settled.stderr[-500:]}")
    told("the same job without a kill, for its pictures")
    undisturbed = Shop(shop.folder.parent / "undisturbed").with_edits(edits, **SETTINGS)
    _finished("run", undisturbed.job, "--base-url", control.url, "--json")

    named = {
        name
        for (name,) in rows(shop, "SELECT id FROM attempts WHERE error_code LIKE 'reconciled_%'")
    }
    [(recorded,)] = rows(shop, "SELECT count(DISTINCT id) FROM edits WHERE status = 'succeeded'")
    [(total,)] = rows(shop, "SELECT count(*) FROM edits")
    [(ledger_usd,)] = rows(shop, "SELECT total(cost_usd) FROM attempts")
    paid = Counter(edit_of(shop, charge.client_request_id) for charge in endpoint.bill.charges)
    extra = sum(paid.values()) - len(paid)
    at_kills = set().union(*opened)
    problems += [
        *(["a record for each edit and no more"] if (recorded, total) != (edits, edits) else []),
        *(["the run after the last asked again"] if asked_again else []),
        *(["leftovers in .drafts"] if list((shop.outputs / ".drafts").glob("*")) else []),
        *wrong_money(shop, endpoint, at_kills=at_kills, unknown=unknown, named=named),
        *_listed(json.loads(settled.stdout), unknown),
    ]
    whole, picture_problems = wrong_pictures(shop, undisturbed, asked)
    return Judgement(
        edits=edits,
        kills=len(opened),
        records=recorded,
        lost=edits - whole,
        requests=len(asked),
        open_at_kills=len(at_kills),
        most_open=max(map(len, opened), default=0),
        paid_twice=extra,
        paid_twice_usd=round(extra * endpoint.bill.charges[0].usd, 6),
        unknown=len(unknown),
        reconciled=len(named & unknown),
        billed_usd=endpoint.bill.total_usd,
        ledger_usd=round(ledger_usd, 6),
        asked_again=asked_again,
        seconds=time.monotonic() - began,
        problems=(*problems, *picture_problems),
    )


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    """What the ledger says. Not between a kill and the next start: see `_open_attempts`."""
    with closing(sqlite3.connect(shop.outputs / "ledger.db")) as connection:
        return connection.execute(query).fetchall()


def asked_of(endpoint: RunningEmulator) -> list[dict[str, Any]]:
    """The requests for pictures that it met, oldest first."""
    return [seen for seen in endpoint.requests if seen["path"] == GENERATIONS]


def edit_of(shop: Shop, attempt_id: str | None) -> str | None:
    """Which edit an attempt was for; ``None``: no row, which should never be."""
    found = rows(shop, f"SELECT edit_id FROM attempts WHERE id = '{attempt_id}'")
    return found[0][0] if found else None


def _killed_at_random(shop: Shop, endpoint: RunningEmulator, rng: Random, *, about: int) -> bool:
    """One run, killed: after some more requests, so that it is in the middle of things, or after
    some time if that is sooner, in the middle of starting, planning or closing what was open.
    """
    by_time = rng.random() < 0.3
    more = rng.randint(1, about)
    requests = len(asked_of(endpoint)) + more
    endpoint.hold(after=more)  # or a run might be over before it is looked at
    latest_s = rng.uniform(0.1, 1.0) if by_time else PATIENCE_S
    wait_s = rng.uniform(0.0, 0.05)
    process = subprocess.Popen(
        command_line("run", shop.job, "--base-url", endpoint.url, "--json"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        latest = time.monotonic() + latest_s
        while len(asked_of(endpoint)) < requests and process.poll() is None:
            if time.monotonic() > latest:
                if by_time:
                    break
                raise TimeoutError(f"{shop.job}: the run asks for nothing any more")
            time.sleep(0.005)
        time.sleep(wait_s)
        return process.poll() is None
    finally:
        process.kill()
        process.wait()


def _open_attempts(shop: Shop) -> set[str]:
    """Read from a copy: opening the ledger itself would tidy up what the next start should find."""
    with tempfile.TemporaryDirectory() as folder:
        for path in shop.outputs.glob("ledger.db*"):
            shutil.copy(path, folder)
        copy = Path(folder) / "ledger.db"
        if not copy.exists():
            return set()
        with closing(sqlite3.connect(copy)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if ("attempts",) not in tables:
                return set()
            found = connection.execute("SELECT id FROM attempts WHERE status = 'started'")
            return {name for (name,) in found}


def _finished(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command_line(*arguments),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )


def wrong_money(
    shop: Shop, endpoint: RunningEmulator, *, at_kills: set[str], unknown: set[str], named: set[str]
) -> list[str]:
    """Charge by charge against attempt by attempt; after `reconcile`."""
    problems = []
    billed: dict[str | None, int] = {}
    for charge in endpoint.bill.charges:
        if charge.client_request_id in billed:
            problems.append(f"{charge.client_request_id}: one request, charged twice")
        billed[charge.client_request_id] = charge.credits
    ledger = {
        name: (status, cost)
        for name, status, cost in rows(shop, "SELECT id, status, cost_usd FROM attempts")
    }
    met = {seen["client_request_id"] for seen in asked_of(endpoint)}
    problems += [f"{name}: asked, and not in the ledger" for name in met - ledger.keys()]
    for name, (status, cost) in ledger.items():
        if round((cost or 0.0) * 2_000_000) != billed.get(name, 0):
            problems.append(f"{name}: ${cost} in the ledger, {billed.get(name, 0)} credits billed")
        if name in billed and status != "succeeded" and name not in at_kills:
            problems.append(f"{name}: paid without a picture, and no kill explains it")
    if unknown != at_kills:
        problems.append(f"open at a kill or unknown, not both: {sorted(unknown ^ at_kills)[:5]}")
    if named != unknown:
        problems.append(f"not settled by reconcile: {sorted(unknown ^ named)[:5]}")
    return problems


def _listed(report: dict[str, Any], unknown: set[str]) -> list[str]:
    """`reconcile` lists 50 of each class by name, and counts all."""
    lost, free = report["billed_lost"], report["not_billed"]
    listed = {item["id"] for item in (*lost["items"], *free["items"])}
    problems = []
    if lost["count"] + free["count"] != len(unknown) or not listed <= unknown:
        problems.append("reconcile reports other attempts than the unknown ones")
    if max(lost["count"], free["count"]) <= 50 and listed != unknown:
        problems.append(f"reconcile does not name {sorted(unknown - listed)[:5]}")
    if report["undecided"]["count"] or report["billed_unknown"]["count"]:
        problems.append("reconcile leaves something undecided or unexplained")
    return problems


def wrong_pictures(
    shop: Shop, undisturbed: Shop, asked: list[dict[str, Any]]
) -> tuple[int, list[str]]:
    """How many edits have a whole picture of their own, and what is wrong with the others."""
    query = (
        "SELECT edits.id, edits.prompt, images.path, images.sha256, attempts.inference_id "
        "FROM edits JOIN images ON images.edit_id = edits.id "
        "JOIN attempts ON attempts.edit_id = edits.id AND attempts.status = 'succeeded'"
    )
    drawn_for = {seen["inference_id"]: (seen["body"] or {}).get("prompt") for seen in asked}
    expected = dict(rows(undisturbed, "SELECT edit_id, sha256 FROM images"))
    whole, problems = set(), []
    for edit, prompt, path, digest, inference in rows(shop, query):
        data = (shop.outputs / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            problems.append(f"{path}: not what the ledger says")
        elif digest != expected.get(edit):
            problems.append(f"{path}: not the picture that the undisturbed run has for {edit}")
        elif drawn_for.get(inference) != prompt:
            problems.append(f"{edit}: its request was for {drawn_for.get(inference)!r}")
        elif not _decodes(data):
            problems.append(f"{path}: does not decode")
        else:
            whole.add(edit)
    if len(set(expected.values())) != len(expected):
        problems.append("the emulator drew the same picture twice: this proves nothing")
    files = {path.relative_to(shop.outputs).as_posix() for path in shop.outputs.glob("images/*")}
    orphans = files - {path for (path,) in rows(shop, "SELECT path FROM images")}
    return len(whole), [*problems, *(f"{path}: belongs to no edit" for path in sorted(orphans))]


def _decodes(data: bytes) -> bool:
    try:
        with Image.open(BytesIO(data)) as picture:
            picture.load()
    except (OSError, SyntaxError):
        return False
    return True
