import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger import AttemptTotal, EditTotal, Ledger, LedgerReader, open_reader
from tests.ledger.samples import (
    START,
    a_record,
    a_run,
    an_attempt,
    an_end,
    an_image,
    change,
    opened,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = opened(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


@pytest.fixture
def reader(ledger: Ledger) -> Iterator[LedgerReader]:
    with open_reader(ledger.path) as reader:
        yield reader


async def test_an_empty_ledger_has_nothing_and_says_so(reader: LedgerReader) -> None:
    assert reader.fingerprint_of("shoe-1") is None
    assert reader.input_digest("/in/a.jpg", 1, 1) is None
    assert reader.spent_since(0.0) == 0.0
    assert reader.images_of("shoe-1") == ()
    assert reader.attempts_of("shoe-1") == ()
    assert reader.runs() == ()
    assert reader.last_run() is None
    assert reader.current_run() is None
    assert reader.edit_totals() == ()
    assert reader.attempt_totals() == ()
    assert reader.typical_request_s() is None
    assert list(reader.results()) == []
    assert list(reader.orphans(["a"])) == []


async def test_a_digest_is_remembered_as_long_as_the_file_is_the_same(
    ledger: Ledger, reader: LedgerReader
) -> None:
    ledger.remember_input("/in/a.jpg", 100, 5_000_000_001, "old")
    ledger.remember_input("/in/a.jpg", 100, 5_000_000_002, "new")
    await ledger.record(a_record())
    assert reader.input_digest("/in/a.jpg", 100, 5_000_000_002) == "new"
    assert reader.input_digest("/in/a.jpg", 100, 5_000_000_001) is None
    assert reader.input_digest("/in/a.jpg", 101, 5_000_000_002) is None


async def test_money_that_may_have_been_charged_counts_as_spent(
    ledger: Ledger, reader: LedgerReader
) -> None:
    async def attempt(name: str, end: Any = None, **changes: Any) -> None:
        await ledger.start_attempt(an_attempt(name, **{"reserved_usd": 1.0, **changes}))
        if end is not None:
            ledger.end_attempt(name, end)

    await attempt("yesterday", an_end(cost_usd=100.0), started_at=START - 1)
    await attempt("under way")
    await attempt("unknown", an_end("unknown"))
    await attempt("unknown, cost known", an_end("unknown", cost_usd=0.25))
    await attempt("succeeded", an_end(cost_usd=0.5))
    await attempt("succeeded, nobody said the price", an_end())
    await attempt("failed", an_end("failed", cost_usd=0.0))
    await attempt("failed, nobody said", an_end("failed"))
    await attempt("refused, charged", an_end("refused", cost_usd=0.125))
    await attempt("price unknown", None, reserved_usd=None)
    await ledger.record(a_record())
    assert reader.spent_since(START) == 1.0 + 1.0 + 0.25 + 0.5 + 1.0 + 0.125
    assert reader.spent_since(START - 1) == 103.875
    assert reader.spent_since(START + 1) == 0.0


async def test_totals_by_status(ledger: Ledger, reader: LedgerReader) -> None:
    for n in range(3):
        await ledger.record(a_record(f"shoe-{n}", cost_usd=0.5))
    await ledger.record(a_record("bad", status="failed", cost_usd=None))
    assert reader.edit_totals() == (
        EditTotal(status="succeeded", count=3, cost_usd=1.5),
        EditTotal(status="failed", count=1, cost_usd=0.0),
    )


async def test_attempts_by_reason_with_the_latest_message(
    ledger: Ledger, reader: LedgerReader
) -> None:
    for n, message in enumerate(("first", "latest", "middle")):
        start = START + (0, 9, 5)[n]
        await ledger.start_attempt(an_attempt(f"a{n}", reserved_usd=1.0, started_at=start))
        ledger.end_attempt(
            f"a{n}", an_end("failed", error_code="rate_limited", error_message=message)
        )
    await ledger.start_attempt(an_attempt("b", reserved_usd=1.0))
    ledger.end_attempt("b", an_end(cost_usd=0.5))
    await ledger.record(a_record())
    assert reader.attempt_totals() == (
        AttemptTotal(
            status="failed",
            error_code="rate_limited",
            count=3,
            cost_usd=0.0,
            reserved_usd=3.0,
            example="latest",
        ),
        AttemptTotal(
            status="succeeded",
            error_code=None,
            count=1,
            cost_usd=0.5,
            reserved_usd=0.0,  # it is known what it cost
            example=None,
        ),
    )


async def test_attempts_of_an_edit_the_oldest_first(ledger: Ledger, reader: LedgerReader) -> None:
    await ledger.start_attempt(an_attempt("b", number=2, started_at=START + 9))
    await ledger.start_attempt(an_attempt("a", number=1, started_at=START))
    await ledger.start_attempt(an_attempt("c", edit_id="other"))
    attempts = reader.attempts_of("shoe-1")
    assert [(row.id, row.number, row.status, row.cost_source) for row in attempts] == [
        ("a", 1, "started", "none"),
        ("b", 2, "started", "none"),
    ]


async def test_how_long_a_request_takes_is_learned_from_the_latest_successes(
    ledger: Ledger, reader: LedgerReader
) -> None:
    for n, (status, seconds) in enumerate(
        (("succeeded", 4.0), ("succeeded", 8.0), ("failed", 99.0))
    ):
        await ledger.start_attempt(an_attempt(f"a{n}"))
        ledger.end_attempt(f"a{n}", an_end(status, finished_at=START + seconds))
    await ledger.record(a_record())
    assert reader.typical_request_s() == 6.0


async def test_runs_the_latest_first(ledger: Ledger, reader: LedgerReader) -> None:
    await ledger.start_run(a_run("one", started_at=START))
    await ledger.start_run(a_run("two", started_at=START))
    await ledger.start_run(a_run("earlier", started_at=START - 100))
    assert [run.id for run in reader.runs()] == ["two", "one", "earlier"]
    assert [run.id for run in reader.runs(2)] == ["two", "one"]
    assert reader.last_run() == reader.runs()[0]
    assert (reader.run("one"), reader.run("three")) == (reader.runs()[1], None)


class TestOrphans:
    async def test_what_the_manifest_no_longer_has(
        self, ledger: Ledger, reader: LedgerReader
    ) -> None:
        for edit_id in ("d", "b", "a", "c"):
            await ledger.record(a_record(edit_id))
        assert list(reader.orphans(["b", "x", "b", "d"])) == ["a", "c"]
        assert list(reader.orphans([])) == ["a", "b", "c", "d"]
        assert list(reader.orphans("abcd")) == []

    async def test_the_ids_may_come_from_a_plan_that_asks_the_same_reader(
        self, ledger: Ledger, reader: LedgerReader
    ) -> None:
        await ledger.record(a_record("a"))

        def planned() -> Iterator[str]:
            for n in range(2500):
                with reader.snapshot():
                    assert reader.fingerprint_of(str(n)) is None
                yield str(n)

        assert list(reader.orphans(planned())) == ["a"]

    async def test_inside_a_snapshot(self, ledger: Ledger, reader: LedgerReader) -> None:
        await ledger.record(a_record("a"))
        with reader.snapshot():
            assert list(reader.orphans([])) == ["a"]

    async def test_an_error_of_the_manifest_stays_what_it_is(
        self, ledger: Ledger, reader: LedgerReader
    ) -> None:
        def broken() -> Iterator[str]:
            yield "a"
            raise FileNotFoundError("shoes.csv")

        with pytest.raises(FileNotFoundError):
            list(reader.orphans(broken()))
        assert list(reader.orphans([])) == []


class TestWhileARunWrites:
    async def test_results_are_one_state_of_the_ledger(
        self, ledger: Ledger, reader: LedgerReader
    ) -> None:
        await asyncio.gather(*(ledger.record(a_record(f"old-{n}")) for n in range(50)))
        rows = reader.results()
        first = next(rows)
        await asyncio.gather(*(ledger.record(a_record(f"new-{n}")) for n in range(50)))
        assert [first["id"][:3]] + [row["id"][:3] for row in rows] == ["old"] * 50
        assert len(list(reader.results())) == 100

    async def test_a_snapshot_ends(self, ledger: Ledger, reader: LedgerReader) -> None:
        with reader.snapshot():
            assert reader.fingerprint_of("shoe-1") is None
            await ledger.record(a_record("shoe-1"))
            assert reader.fingerprint_of("shoe-1") is None
        assert reader.fingerprint_of("shoe-1") is not None

    async def test_a_record_and_its_pictures_appear_together(
        self, ledger: Ledger, reader: LedgerReader
    ) -> None:
        images = {True: (an_image("a.png"),), False: (an_image("b.png"), an_image("c.png"))}

        async def write() -> None:
            for n in range(30):
                await ledger.record(
                    a_record("shoe-1", images=images[n % 2 == 0], attempts=2 - (n % 2 == 0))
                )

        writer = asyncio.ensure_future(write())
        seen = set()
        while not writer.done():
            await asyncio.sleep(0)
            with reader.snapshot():
                for row in reader.results():
                    seen.add((row["attempts"], row["images"]))
        await writer
        assert seen <= {(1, "a.png"), (2, "b.png;c.png")}


async def test_a_ledger_that_lost_a_table_is_a_ledger_error(
    ledger: Ledger, reader: LedgerReader
) -> None:
    change(ledger.path, "DROP VIEW results", "DROP TABLE edits")
    with pytest.raises(LedgerError, match=str(ledger.path)):
        reader.fingerprint_of("shoe-1")
    with pytest.raises(LedgerError, match=str(ledger.path)):
        reader.edit_totals()
    with pytest.raises(LedgerError, match=str(ledger.path)):
        next(reader.results())
