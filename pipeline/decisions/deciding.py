"""Decisions taken into a job's ledger, also while it runs; all of them or none."""

import io
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, cast

import msgspec

from pipeline.decisions.table import DecisionTable, read_decisions
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError, ManifestError
from pipeline.exports.results_csv import write_results_csv
from pipeline.job import Job
from pipeline.ledger import Applied, LedgerReader, Left, open_decisions, open_reader
from pipeline.ledger.rows import LeftWhy
from pipeline.manifest.problems import listed
from pipeline.manifest.templates import MAX_LENGTH
from pipeline.models import Decision, ModelSpec
from pipeline.preview import ledger_path, orphaned_redos, problem_list
from pipeline.preview.orphans import WAY_OUT
from pipeline.stores import open_shelf


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that was not taken. ``place``: ``file:row``, if it came from a file."""

    id: str
    place: str
    why: LeftWhy
    message: str


class ReviewResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of decisions, each counted once. ``unchanged``: the ledger had it like that.

    ``left``: those that were not taken, and why; `stale` is the commonest reason. ``waiting``:
    edits of which the next run makes another picture, by this review or an earlier one, for about
    ``waiting_usd`` together (``None``: the price is unknown). ``notes``: what else is worth a word.
    """

    approved: int
    rejected: int
    redo: int
    undecided: int
    restored: int
    unchanged: int
    left: tuple[LeftOut, ...]
    waiting: int
    waiting_usd: float | None
    outputs: Path
    dry_run: bool
    notes: tuple[str, ...] = ()

    @property
    def stale(self) -> int:
        """How many were about a picture that is not there any more."""
        return sum([one.why == "stale" for one in self.left])

    @property
    def exit_code(self) -> int:
        """3 where some were left out."""
        return 3 if self.left else 0


def decided(
    job: Job,
    decisions: Path | str | IO[bytes] | Iterable[Decision],
    *,
    dry_run: bool = False,
    strict: bool = True,
    table: bool = True,
) -> ReviewResult:
    """`review_job` for a file, an opened one, or decisions. Raises as it does."""
    if isinstance(decisions, Path | str):
        path = Path(decisions)
        try:
            with path.open("rb") as file:
                found = read_decisions(file, path.name)
        except OSError as error:
            raise ConfigError(
                f"{path}: {error.strerror or error} (export the decisions again, or correct the"
                " path)"
            ) from error
    elif isinstance(decisions, io.IOBase):
        found = read_decisions(cast(IO[bytes], decisions), "standard input")
    else:
        found = DecisionTable(decisions=tuple(cast(Iterable[Decision], decisions)))
    notes: tuple[str, ...] = ()
    if found.ignored:
        notes = (f"columns that say nothing here were left out: {listed(found.ignored)}",)
    return review_job(
        job,
        found.decisions,
        places=found.places,
        problems=found.problems,
        notes=notes,
        dry_run=dry_run,
        strict=strict,
        table=table,
    )


def review_job(
    job: Job,
    decisions: Iterable[Decision],
    *,
    places: dict[str, str],
    problems: Mapping[str, str] = MappingProxyType({}),
    notes: tuple[str, ...] = (),
    dry_run: bool = False,
    strict: bool = True,
    table: bool = True,
) -> ReviewResult:
    """Takes decisions into the ledger. Blocks; needs no lock.

    ``places``: of decisions, by id; ``problems``: what is wrong already, by place. ``strict``: if
    any decision is wrong in itself, nothing is applied; else those are left out with the others.
    ``table``: ``results.csv`` follows at once, and the manifest is asked whether every redo still
    has its row. Raises `ConfigError`, `ManifestError` (with every
    problem), `LedgerError`, `StoreError`.
    """
    path = ledger_path(job)
    model = model_spec(job.endpoint.model)
    wanted = tuple(decisions)
    longest = min(model.prompt_max_length or MAX_LENGTH, MAX_LENGTH)
    opened = open_decisions(path, longest_prompt=longest)
    if opened is None:
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    with opened as ledger:
        applied, wrong = ledger.preview(wanted)
        if strict and (problems or wrong):
            raise ManifestError(_named(problems, wrong, places))
        if not dry_run:
            shelf = open_shelf(job.outputs.directory, job.outputs.store)
            applied = ledger.apply(wanted, shelf, now=time.time())
    reader = open_reader(path)
    if reader is None:
        raise ConfigError(f"{path}: the ledger is empty (run the job first)")
    with reader:
        if applied.changed and table and not dry_run:
            write_results_csv(
                reader.columns(), reader.results(), job.outputs.directory / "results.csv"
            )
        gone, more = _without_row(job, reader) if table else ((), ())
        waiting, usd = _waiting(job, model, reader, gone)
    if applied.redone:
        notes += (
            f"{applied.redone:,} redone by these very words before: for yet another picture, change"
            " the note, or give the row the time of the new decision (decided_at)",
        )
    notes += more
    return _result(job, applied, places, waiting=waiting, usd=usd, notes=notes, dry_run=dry_run)


def _named(problems: Mapping[str, str], wrong: Sequence[Left], places: Mapping[str, str]) -> str:
    """In the order of the rows."""
    found = list(problems.items())
    found += [(places.get(one.id, "decision"), f"{one.id}: {one.message}") for one in wrong]

    def row(problem: tuple[str, str]) -> int:
        number = problem[0].rpartition(":")[2]
        return int(number) if number.isdecimal() else 0

    lines = [f"{place}: {words}" for place, words in sorted(found, key=row)]
    return f"{problem_list(lines, len(lines))}\nNothing was changed."


def _without_row(job: Job, reader: LedgerReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Edits that wait for a redo which no run asks for, and what to say of them."""
    try:
        gone = orphaned_redos(job, reader)
    except ConfigError as error:  # the decisions are taken all the same
        return (), (f"whether every redo has its row was not looked at: {error}",)
    if not gone:
        return (), ()
    return gone, (f"no run asks for {len(gone):,} to be redone, {listed(gone)}: {WAY_OUT}",)


def _waiting(
    job: Job, model: ModelSpec, reader: LedgerReader, gone: Collection[str]
) -> tuple[int, float | None]:
    price = model.price_usd if job.endpoint.price_usd is None else job.endpoint.price_usd
    pictures = [
        model.count(parameters)
        for edit_id, parameters in reader.waiting_redos()
        if edit_id not in gone
    ]
    return len(pictures), None if price is None else round(price * sum(pictures), 6)


def _result(
    job: Job,
    applied: Applied,
    places: dict[str, str],
    *,
    waiting: int,
    usd: float | None,
    notes: tuple[str, ...],
    dry_run: bool,
) -> ReviewResult:
    return ReviewResult(
        approved=applied.approved,
        rejected=applied.rejected,
        redo=applied.redo,
        undecided=applied.undecided,
        restored=applied.restored,
        unchanged=applied.unchanged,
        left=tuple(
            [
                LeftOut(id=one.id, place=places.get(one.id, ""), why=one.why, message=one.message)
                for one in applied.left
            ]
        ),
        waiting=waiting,
        waiting_usd=usd,
        outputs=job.outputs.directory,
        dry_run=dry_run,
        notes=notes,
    )
