import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.ledger import Ledger, open_reader
from pipeline.models import ImageRef
from tests.ledger.samples import (
    MODEL,
    START,
    a_record,
    a_run,
    an_attempt,
    an_edit,
    an_end,
    an_image,
    opened,
    read,
    traced,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = opened(path)
    yield ledger
    ledger.close()


@pytest.fixture
def other_writer(path: Path, ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection, which holds the ledger until it commits."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


class TestDurability:
    async def test_a_reader_sees_a_record_as_soon_as_it_was_awaited(
        self, path: Path, ledger: Ledger
    ) -> None:
        with open_reader(path) as reader:
            for n in range(20):
                await ledger.record(a_record(f"shoe-{n}"))
                assert reader.fingerprint_of(f"shoe-{n}") == ("f" * 64, "succeeded")

    async def test_an_attempt_is_there_before_anything_is_sent(
        self, path: Path, ledger: Ledger
    ) -> None:
        await ledger.start_attempt(an_attempt("a1"))
        assert read(path, "SELECT id, status, reserved_usd FROM attempts") == [
            ("a1", "started", 0.042)
        ]

    async def test_the_end_of_an_attempt_is_durable_with_the_next_awaited_write(
        self, path: Path, ledger: Ledger
    ) -> None:
        await ledger.start_attempt(an_attempt("a1"))
        ledger.end_attempt(
            "a1",
            an_end(
                cost_usd=0.04,
                cost_source="header",
                http_status=200,
                inference_id="i-1",
                error_code="no_image",
                error_message="nothing",
            ),
        )
        await ledger.record(a_record())
        assert read(
            path,
            "SELECT status, finished_at, cost_usd, cost_source, http_status, inference_id, "
            "error_code, error_message, reserved_usd, started_at FROM attempts",
        ) == [
            (
                "succeeded",
                START + 5,
                0.04,
                "header",
                200,
                "i-1",
                "no_image",
                "nothing",
                0.042,
                START,
            )
        ]

    async def test_what_nobody_awaited_is_there_after_close(self, path: Path) -> None:
        ledger = opened(path)
        await ledger.start_attempt(an_attempt("a1"))
        ledger.end_attempt("a1", an_end("failed"))
        ledger.remember_input("/in/shoe.jpg", 10, 20, "d")
        ledger.close()
        assert read(path, "SELECT status FROM attempts") == [("failed",)]
        assert read(path, "SELECT * FROM inputs") == [("/in/shoe.jpg", 10, 20, "d")]

    async def test_all_who_wait_share_one_commit(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statements = traced(monkeypatch)
        ledger = opened(path)
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        statements.clear()
        waiting = [asyncio.ensure_future(ledger.record(a_record(f"shoe-{n}"))) for n in range(300)]
        await asyncio.sleep(0)
        blocker.execute("COMMIT")
        blocker.close()
        await asyncio.gather(*waiting)
        ledger.close()
        # One for the first who came, at most; one for everybody who came while it waited.
        assert 1 <= statements.count("COMMIT") - 1 <= 2
        assert read(path, "SELECT count(*) FROM edits") == [(300,)]

    async def test_a_cancelled_wait_cancels_no_write(
        self, path: Path, ledger: Ledger, other_writer: sqlite3.Connection
    ) -> None:
        waiting = asyncio.ensure_future(ledger.record(a_record("shoe-1")))
        await asyncio.sleep(0)
        waiting.cancel()
        other_writer.execute("COMMIT")
        await ledger.record(a_record("shoe-2"))
        assert waiting.cancelled()
        assert read(path, "SELECT id FROM edits ORDER BY id") == [("shoe-1",), ("shoe-2",)]


class TestRecords:
    async def test_everything_of_a_record_is_kept(self, path: Path, ledger: Ledger) -> None:
        edit = an_edit(
            "set/white",
            parameters={"num_images": 2, "aspect_ratio": "4:3"},
            variables={"Product Name": "Läufer"},
            images=(
                ImageRef(source="a.jpg", kind="file", path="/in/a.jpg"),
                ImageRef(source="https://example.com/b.jpg", kind="url"),
            ),
            variant=3,
        )
        await ledger.record(
            a_record(edit=edit, attempts=4, error_code="x", error_message="y", status="failed")
        )
        (row,) = read(
            path,
            "SELECT id, status, fingerprint, prompt, model, parameters, variables, inputs, place, "
            "variant, attempts, cost_usd, error_code, error_message, started_at, finished_at, "
            "run_id FROM edits",
        )
        assert row == (
            "set/white",
            "failed",
            "f" * 64,
            "Put the shoe on pure white.",
            MODEL,
            '{"num_images":2,"aspect_ratio":"4:3"}',
            '{"Product Name":"Läufer"}',
            '["a.jpg","https://example.com/b.jpg"]',
            "shoes.csv:2",
            3,
            4,
            0.042,
            "x",
            "y",
            START,
            START + 5.25,
            "run-1",
        )

    async def test_a_record_replaces_the_old_one_and_its_pictures(
        self, path: Path, ledger: Ledger
    ) -> None:
        two = (an_image("images/shoe-1.png"), an_image("images/shoe-1-2.png"))
        await ledger.record(a_record("shoe-1", images=two))
        await ledger.record(a_record("shoe-2", images=two))
        await ledger.record(a_record("shoe-1", status="failed", images=()))
        with open_reader(path) as reader:
            assert reader.images_of("shoe-1") == ()
            assert reader.images_of("shoe-2") == two
            assert reader.fingerprint_of("shoe-1") == ("f" * 64, "failed")

    async def test_the_last_of_two_records_in_one_commit_counts(
        self, path: Path, ledger: Ledger, other_writer: sqlite3.Connection
    ) -> None:
        images = tuple(an_image(f"images/{n}.png") for n in range(3))
        waiting = [
            asyncio.ensure_future(ledger.record(a_record("first"))),
            asyncio.ensure_future(ledger.record(a_record("shoe-1", images=images))),
            asyncio.ensure_future(ledger.record(a_record("shoe-1", images=images[:1]))),
        ]
        await asyncio.sleep(0)
        other_writer.execute("COMMIT")
        await asyncio.gather(*waiting)
        with open_reader(path) as reader:
            assert reader.images_of("shoe-1") == images[:1]

    async def test_hundreds_of_everything_in_one_commit(
        self, path: Path, ledger: Ledger, other_writer: sqlite3.Connection
    ) -> None:
        async def one(n: int) -> None:
            started = asyncio.ensure_future(
                ledger.start_attempt(an_attempt(f"a{n}", edit_id=f"shoe-{n}"))
            )
            await asyncio.sleep(0)
            ledger.end_attempt(f"a{n}", an_end(cost_usd=n / 100))
            ledger.remember_input(f"/in/{n}.jpg", n, n, f"digest-{n}")
            await ledger.record(a_record(f"shoe-{n}", cost_usd=n / 100))
            await started

        waiting = asyncio.gather(*(one(n) for n in range(333)))
        await asyncio.sleep(0)
        other_writer.execute("COMMIT")
        await waiting
        assert read(
            path,
            "SELECT count(*), sum(e.cost_usd = a.cost_usd), count(DISTINCT i.path) "
            "FROM edits AS e JOIN attempts AS a ON a.edit_id = e.id "
            "JOIN images AS i ON i.edit_id = e.id WHERE a.status = 'succeeded'",
        ) == [(333, 333, 333)]
        assert read(path, "SELECT count(*) FROM inputs WHERE digest = 'digest-' || size") == [
            (333,)
        ]

    async def test_a_data_uri_is_not_copied_into_the_ledger(
        self, path: Path, ledger: Ledger
    ) -> None:
        source = "data:image/png;base64," + "A" * 5_000_000
        edit = an_edit(images=(ImageRef(source=source, kind="data"),))
        await ledger.record(a_record(edit=edit))
        ((inputs,),) = read(path, "SELECT inputs FROM edits")
        assert inputs == f'["{source[:100]}…"]'

    @pytest.mark.parametrize(
        "hostile",
        ["a\0b", "lone \ud800 surrogate", "\x1b[2J", "'; DROP TABLE edits; --", "\uffff\U0010ffff"],
    )
    async def test_no_text_can_crash_the_writer(
        self, path: Path, ledger: Ledger, hostile: str
    ) -> None:
        edit = an_edit(
            prompt=hostile,
            parameters={"style": [hostile]},
            variables={"name": hostile, hostile: "value"},
            place=f"{hostile}:2",
        )
        await ledger.record(a_record(edit=edit, error_message=hostile))
        await ledger.start_attempt(an_attempt("a1"))
        ledger.end_attempt("a1", an_end("failed", error_message=hostile))
        await ledger.record(a_record("next"))
        kept = hostile.replace("\0", "\ufffd").replace("\ud800", "?")
        with open_reader(path) as reader:
            row = next(row for row in reader.results() if row["id"] == "shoe-1")
            assert row["prompt"] == row["error_message"] == row["name"] == kept
            assert row[kept] == "value"
            assert reader.attempt_totals()[0].example == kept
            assert reader.fingerprint_of("\ud800") is None


class TestRuns:
    async def test_a_run_has_a_start_and_an_end(self, path: Path, ledger: Ledger) -> None:
        await ledger.start_run(a_run("run-1"))
        with open_reader(path) as reader:
            current = reader.current_run()
            assert current is not None
            assert (current.id, current.pid, current.host) == ("run-1", 4711, "studio")
            assert current.started_at == START
            await ledger.end_run(
                "run-1",
                ended="finished",
                exit_code=3,
                totals={"succeeded": 2, "cost_usd": 0.084},
                finished_at=START + 60,
            )
            assert reader.current_run() is None
            last = reader.last_run()
        assert last is not None
        assert (last.ended, last.exit_code, last.finished_at) == ("finished", 3, START + 60)
        assert last.totals == {"succeeded": 2, "cost_usd": 0.084}

    async def test_attempts_of_a_dead_process_become_unknown(
        self, path: Path, ledger: Ledger
    ) -> None:
        await ledger.start_run(a_run("dead"))
        await ledger.start_attempt(an_attempt("open", run_id="dead"))
        await ledger.start_attempt(an_attempt("ended", run_id="dead"))
        ledger.end_attempt("ended", an_end("failed"))
        await ledger.start_run(a_run("next"))
        await ledger.start_attempt(an_attempt("mine", run_id="next"))
        closed = await ledger.close_orphaned_attempts("next", finished_at=START + 99)
        assert [
            (row.id, row.status, row.finished_at, row.error_code, row.reserved_usd)
            for row in closed
        ] == [("open", "unknown", START + 99, "process_ended", 0.042)]
        with open_reader(path) as reader:
            assert reader.unknown_attempts() == closed
            assert [row.id for row in reader.open_attempts()] == ["mine"]
            assert [(run.id, run.ended) for run in reader.runs()] == [
                ("next", None),
                ("dead", "process_ended"),
            ]
        assert await ledger.close_orphaned_attempts("next", finished_at=START + 100) == ()
