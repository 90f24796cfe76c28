"""``target_accepted``: exactly so many edits pass, whatever fails on the way."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.cli.asking import plan_line
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, JobError
from pipeline.ledger import open_reader
from pipeline.models import Decision, Edit, Record
from pipeline.planning import Planned
from pipeline.running import RunResult
from pipeline.targets.places import Places, TargetReport
from pipeline.targets.tries import candidate, variant
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]
PLAIN: dict[str, Any] = {"pictures": "plain", "latency": {"median_s": 0}}
REFUSING: dict[str, Any] = {**PLAIN, "faults": {"refused_400": 0.4}}


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}, **options))


def target_of(result: RunResult) -> TargetReport:
    assert result.target is not None
    return result.target


def statuses(shop: Shop) -> dict[str, str]:
    reader = open_reader(shop.outputs / "ledger.db")
    assert reader is not None
    with reader:
        return {row["id"]: row["status"] for row in reader.results()}


def passed(shop: Shop) -> list[str]:
    return [name for name, status in statuses(shop).items() if status == "succeeded"]


# --- with the endpoint


def test_exactly_as_many_pass_as_are_wanted(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**REFUSING)
    result = run(shop.with_edits(40, target_accepted=12, limits={"concurrency": 16}), endpoint)
    assert len(passed(shop)) == 12
    assert endpoint.bill.pictures == 12, "nothing was paid for that nobody wants"
    assert (result.ended, result.exit_code) == ("finished", 0)
    report = target_of(result)
    assert (report.ended, report.accepted, report.before) == ("reached", 12, 0)
    assert report.asked == len(statuses(shop)) > 12
    assert "12 accepted: reached" in report.line


def test_a_second_run_asks_for_nothing_and_a_higher_target_for_the_difference(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**REFUSING)
    run(shop.with_edits(40, target_accepted=5), endpoint)
    before = set(statuses(shop))
    again = run(shop, endpoint)
    assert set(statuses(shop)) == before
    assert (target_of(again).asked, target_of(again).before) == (0, 5)
    more = run(shop.with_edits(40, target_accepted=9), endpoint)
    assert target_of(more).before == 5
    assert len(passed(shop)) == endpoint.bill.pictures == 9


def test_a_run_with_nothing_to_do_says_that_the_target_is_reached(
    shop: Shop, emulator: Emulators, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(9, target_accepted=2), endpoint)
    done = command("run", shop.job, "--base-url", endpoint.url)
    assert done.returncode == 0
    assert "Nothing to do: 2 accepted: reached; 2 are (0 by this run)" in done.stdout


def test_a_run_that_was_cut_short_goes_on(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(20, target_accepted=10, budget={"run_usd": 0.17})
    first = run(shop, endpoint)
    assert first.exit_code == 5
    assert target_of(first).ended == "stopped"
    assert target_of(first).accepted == len(passed(shop)) == 4
    shop.with_edits(20, target_accepted=10)
    assert target_of(run(shop, endpoint)).ended == "reached"
    assert endpoint.bill.pictures == 10


def test_what_did_not_pass_is_tried_again_as_another_variant(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN, faults={"status_500": 0.6}, seed=4)
    job = {"retry": {"attempts": 1}, "target_accepted": {"count": 6, "variants": 20}}
    result = run(shop.with_edits(6, **job), endpoint)
    assert target_of(result).ended == "reached"
    names = passed(shop)
    assert Counter(map(candidate, names)) == {f"e{n}": 1 for n in range(6)}
    assert any("~" in name for name in names)
    assert (shop.outputs / "images" / f"{next(n for n in names if '~' in n)}.png").is_file()
    plan = pipeline.plan(shop.job)
    assert plan.orphaned == 0
    assert plan.requests == 0


def test_one_candidate_may_give_several(shop: Shop, emulator: Emulators) -> None:
    job = {"target_accepted": {"count": 4, "variants": 3, "per_candidate": 2}}
    result = run(shop.with_edits(2, **job), emulator(**PLAIN))
    assert sorted(passed(shop)) == ["e0", "e0~2", "e1", "e1~2"]
    assert result.exit_code == 0


def test_where_candidates_run_out_the_run_says_so(shop: Shop, emulator: Emulators) -> None:
    result = run(shop.with_edits(3, target_accepted=5), emulator(**PLAIN))
    assert (result.ended, result.exit_code) == ("finished", 3)
    assert target_of(result).ended == "candidates"
    assert "no more candidates; 3 are" in target_of(result).line


def test_each_group_gets_its_own(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**REFUSING)
    rows = "".join([f"e{n},mug.jpg,{'cup' if n % 3 else 'plate'},n {n}\n" for n in range(30)])
    rows = "id,images,Kind of Thing,prompt\n" + rows + "jar,mug.jpg,jar,one jar\n"
    stated = {"count": 3, "per": "kind_of_thing", "variants": 1}
    result = run(shop.write(rows, target_accepted=stated), endpoint)
    kinds = Counter(
        "jar" if name == "jar" else "plate" if int(name[1:]) % 3 == 0 else "cup"
        for name in passed(shop)
    )
    assert (kinds["cup"], kinds["plate"]) == (3, 3)
    report = target_of(result)
    assert (report.groups, list(report.short), report.ended) == (3, ["jar"], "candidates")


def test_a_group_column_that_is_not_there_is_refused(shop: Shop, emulator: Emulators) -> None:
    shop.with_edits(2, target_accepted={"count": 1, "per": "category"})
    with pytest.raises(ConfigError, match="no column 'category'"):
        run(shop, emulator(**PLAIN))


def test_what_a_person_rejects_is_replaced_by_the_next_run(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(9, target_accepted=3), endpoint)
    [first, *_] = passed(shop)
    asyncio.run(pipeline.review(shop.job, [Decision(id=first, decision="rejected")]))
    result = run(shop, endpoint)
    assert (target_of(result).before, target_of(result).accepted) == (2, 3)
    assert first not in passed(shop)


def test_a_canary_counts_for_the_target(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    result = run(shop.with_edits(20, target_accepted=6), endpoint, canary=4)
    assert result.exit_code == 0
    assert endpoint.bill.pictures == len(passed(shop)) == 6


def test_a_limit_holds_over_all_passes(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, faults={"refused_400": 1.0})
    run(shop.with_edits(4, target_accepted=4), endpoint, limit=6)
    assert len(statuses(shop)) == 6


def test_chosen_edits_are_asked_for_whatever_the_target(shop: Shop, emulator: Emulators) -> None:
    result = run(shop.with_edits(9, target_accepted=1), emulator(**PLAIN), only=["e3", "e4"])
    assert result.target is None
    assert passed(shop) == ["e3", "e4"]


def test_a_plan_says_what_the_target_may_take(shop: Shop, emulator: Emulators) -> None:
    shop.with_edits(10, target_accepted={"count": 4, "variants": 2})
    found = pipeline.plan(shop.job).target
    assert found is not None
    assert (found.missing, found.fewest_requests, found.most_requests) == (4, 4, 20)
    assert found.most_usd == pytest.approx(20 * 0.042)
    run(shop, emulator(**PLAIN), limit=3)
    plan = pipeline.plan(shop.job)
    assert plan.target is not None
    assert (plan.target.accepted, plan.target.missing, plan.requests) == (3, 1, 1)


def test_a_person_is_asked_about_what_a_target_may_cost_at_most(shop: Shop) -> None:
    shop.with_edits(40, target_accepted={"count": 10, "variants": 2})
    line = plan_line(pipeline.plan(shop.job))
    assert "at least 10 requests, 10 pictures, $0.42" in line
    assert "at most 80 requests, $3.36" in line


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
def test_a_pipe_cannot_be_gone_through_several_times(shop: Shop, emulator: Emulators) -> None:
    shop.write("id\n", manifest="../manifests/rows.csv", target_accepted=1)
    os.mkfifo(shop.manifest.with_name("rows.csv"))
    with pytest.raises(ConfigError, match=r"target_accepted: the manifest is a pipe.*\(save it as"):
        run(shop, emulator(**PLAIN))


def test_an_id_that_looks_like_a_further_try_is_refused(shop: Shop, emulator: Emulators) -> None:
    shop.write("id,images\na~2,mug.jpg\n", target_accepted=1)
    result = run(shop, emulator(**PLAIN))
    assert statuses(shop) == {"a~2": "failed"}
    assert result.exit_code == 3


@pytest.mark.parametrize("value", [0, "many", {"count": 1, "variants": 0}, {"cuont": 3}])
def test_a_target_that_cannot_be_is_refused(shop: Shop, value: Any) -> None:
    with pytest.raises(JobError):
        pipeline.load_job(shop.with_edits(1, target_accepted=value).job)


# --- the places, without an endpoint


def planned(name: str, **variables: str) -> Planned:
    edit = Edit(
        id=name,
        images=(),
        prompt="p",
        parameters={},
        variables=variables,
        place="m.csv:2",
        output=name,
    )
    return Planned(edit=edit, fingerprint="f", digests=(), state="new")


def record(item: Planned, status: Any) -> Record:
    return Record(
        edit=item.edit, model="m", fingerprint="f", run_id="r", status=status, attempts=1,
        started_at=0, finished_at=1,
    )  # fmt: skip


async def test_no_more_are_in_flight_than_are_missing() -> None:
    target = Places(2)
    a, b, c = planned("a"), planned("b"), planned("c")
    assert [await target.admit(a), await target.admit(b)] == [[a], [b]]
    third = asyncio.ensure_future(target.admit(c))
    await asyncio.sleep(0)
    assert not third.done()
    target.ended(record(a, "succeeded"))
    await asyncio.sleep(0)
    assert not third.done(), "one has passed, one is in flight: nothing is missing"
    target.ended(record(b, "failed"))
    assert await third == [c]
    target.ended(record(c, "succeeded"))
    assert target.over
    assert target.reached


async def test_extra_requests_may_be_in_flight_for_speed() -> None:
    target = Places(1, extra=1)
    a, b, c = planned("a"), planned("b"), planned("c")
    assert [await target.admit(a), await target.admit(b)] == [[a], [b]]
    target.ended(record(a, "succeeded"))
    assert await target.admit(c) == []


async def test_a_full_group_does_not_hold_up_the_others() -> None:
    target = Places(1, per="kind")
    a, b, c = planned("a", kind="cup"), planned("b", kind="cup"), planned("c", kind="jar")
    assert await target.admit(a) == [a]
    assert await target.admit(b) == [], "it waits"
    assert await target.admit(c) == [c]
    target.ended(record(a, "failed"))
    assert await target.rest() == [b]
    target.ended(record(b, "succeeded"))
    assert await target.rest() == []


async def test_what_waited_for_a_group_that_is_full_now_is_dropped() -> None:
    target = Places(1, per="kind")
    a, b = planned("a", kind="cup"), planned("b", kind="cup")
    await target.admit(a)
    await target.admit(b)
    target.ended(record(a, "succeeded"))
    assert await target.rest() == []
    assert target.asked == 1


def test_a_further_try_is_named_after_its_candidate() -> None:
    second = variant(planned("mug").edit, 2)
    assert (second.id, second.output, second.variant) == ("mug~2", "mug~2", 2)
    assert candidate("mug~2") == "mug"
    assert candidate("mug") == "mug"
