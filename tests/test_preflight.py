"""What is looked at before the first dollar, against the emulator and servers that misbehave."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline import api
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints import Balance, ModelState, open_account
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import AuthenticationError, JobError, ModelGoneError, QuotaExceededError
from pipeline.events import Event, Started
from pipeline.job import Job
from pipeline.preflight import Findings, Preflight, judge, look
from pipeline.preview import Plan
from pipeline.running import RunResult
from tests.conftest import Shop
from tests.endpoints.scripted_server import Act, http, scripted_server

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]

MODEL = model_spec("google/gemini-2.5-flash-image-edit")
SECRET = "sk-very-secret-0123456789"


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    options.setdefault("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, **options))


def seen(shop: Shop, endpoint: RunningEmulator, **options: Any) -> tuple[RunResult, Preflight]:
    events: list[Event] = []
    result = run(shop, endpoint, observe=events.append, **options)
    [found] = [event for event in events if isinstance(event, Preflight)]
    first_of_the_run = [type(event) for event in events].index(Started)
    assert events.index(found) < first_of_the_run
    return result, found


def a_plan(requests: int = 10, pictures: int | None = None) -> Plan:
    return Plan(
        new=requests,
        changed=0,
        again=0,
        redo=0,
        unchanged=0,
        kept=0,
        orphaned=0,
        unreadable=0,
        requests=requests,
        pictures=requests if pictures is None else pictures,
        cost_usd=None,
        minutes=1.0,
        request_s=15.0,
        measured=False,
        problems=(),
    )


def a_job(**parts: Any) -> Job:
    values = {"name": "j", "manifest": ["m.csv"], "outputs": {"directory": "out"}, **parts}
    return Job.model_validate(values)


# --- what the findings mean


def test_all_is_well_in_one_line() -> None:
    found = Findings(balance_usd=1000.0, price_usd=0.042, offered=True)
    flight = judge(found, a_job(), MODEL, a_plan(100))
    assert flight.warnings == ()
    assert flight.line == (
        "preflight: the key is accepted, $1,000.00 left, google/gemini-2.5-flash-image-edit is"
        " offered at $0.042 a picture, its successor is google/nano-banana-edit, this run may cost"
        " $4.20"
    )


def test_a_balance_below_the_plan_is_a_warning_with_dollars() -> None:
    found = Findings(balance_usd=3.0, price_usd=0.042, offered=True)
    [warning] = judge(found, a_job(), MODEL, a_plan(100)).warnings
    assert "$3.00 is left and this run may cost $4.20" in warning
    [warning] = judge(found, a_job(), MODEL, a_plan(100), complete=False).warnings
    assert "at least $4.20" in warning


def test_a_cap_below_the_balance_needs_no_warning() -> None:
    found = Findings(balance_usd=3.0, price_usd=0.042, offered=True)
    flight = judge(found, a_job(budget={"run_usd": 2.0}), MODEL, a_plan(100), complete=False)
    assert (flight.warnings, flight.cost_usd, flight.at_least) == ((), 2.0, False)


@pytest.mark.parametrize("balance", [0.0, 0.041, -5.0])
def test_a_balance_below_one_request_refuses(balance: float) -> None:
    found = Findings(balance_usd=balance, offered=True)
    with pytest.raises(QuotaExceededError, match=r"top up, then run again"):
        judge(found, a_job(), MODEL, a_plan(1))
    assert judge(found, a_job(), MODEL, a_plan(0)).warnings == (), "unless nothing is to be sent"


def test_a_model_that_is_not_offered_refuses_and_names_its_successor() -> None:
    with pytest.raises(ModelGoneError, match=r"google/nano-banana-edit.*--no-preflight"):
        judge(Findings(offered=False), a_job(), MODEL, a_plan())
    other = model_spec("reve/edit-image")
    with pytest.raises(ModelGoneError, match=r"another endpoint\.model"):
        judge(Findings(offered=False), a_job(), other, a_plan())


@pytest.mark.parametrize(
    ("stated", "listed", "counted", "warns"),
    [
        (None, None, 0.042, ""),
        (None, 0.03, 0.042, ""),
        (None, 0.05, 0.05, r"listed at \$0\.05 .* catalog .* \$0\.042"),
        (0.1, 0.05, 0.1, ""),
        (0.04, 0.05, 0.04, r"endpoint\.price_usd says \$0\.04"),
    ],
)
def test_the_dearest_known_price_counts_unless_the_job_states_one(
    stated: float | None, listed: float | None, counted: float, warns: str
) -> None:
    import re

    job = a_job(endpoint={"price_usd": stated}) if stated is not None else a_job()
    flight = judge(Findings(price_usd=listed, offered=True), job, MODEL, a_plan())
    assert flight.price_usd == counted
    assert flight.cost_usd == pytest.approx(counted * 10)
    if warns:
        assert re.search(warns, flight.line)
    else:
        assert flight.warnings == ()


def test_a_listed_price_stands_in_for_an_unknown_one() -> None:
    unpriced = model_spec("reve/edit-image")
    assert judge(Findings(offered=True), a_job(), unpriced, a_plan()).cost_usd is None
    flight = judge(Findings(offered=True, price_usd=0.02), a_job(), unpriced, a_plan())
    assert flight.cost_usd == pytest.approx(0.2)


# --- asking


class _Silent:
    """An account that never answers."""

    origin = "x"

    async def balance(self) -> Balance:
        await asyncio.sleep(3600)
        raise AssertionError

    async def model(self, model_id: str) -> ModelState | None:
        await asyncio.sleep(3600)
        raise AssertionError


async def test_a_provider_that_does_not_answer_is_a_warning_and_no_wait_for_ever() -> None:
    found = await look(_Silent(), "m", patience_s=0.01)  # type: ignore[arg-type]
    assert (found.balance_usd, found.offered, len(found.troubles)) == (None, None, 2)
    flight = judge(found, a_job(), MODEL, a_plan())
    assert len(flight.warnings) == 2
    assert not flight.key_accepted


@pytest.mark.parametrize(
    "reply",
    [
        http({"message": "down"}, status=503),
        http(b"<html>gateway</html>", status=502),
        http(b"not json"),
        http({"data": [{"id": 5}], "current_balance": "soon"}, status=404),
        [Act.RESET],
    ],
)
async def test_trouble_with_these_pages_is_a_warning(reply: Any) -> None:
    async with scripted_server(reply) as server:
        account = open_account("aimlapi", base_url=server.url, api_key=SECRET)
        try:
            found = await look(account, MODEL.id)
        finally:
            await account.close()
    assert found.refusal is None
    assert found.troubles
    assert SECRET not in repr(found)


async def test_only_the_balance_is_asked_with_the_key() -> None:
    async with scripted_server(http({"current_balance": 5, "data": [{"id": MODEL.id}]})) as server:
        account = open_account("aimlapi", base_url=server.url, api_key=SECRET)
        try:
            found = await look(account, MODEL.id)
        finally:
            await account.close()
        keys = {one.path.partition("?")[0]: "authorization" in one.headers for one in server.seen}
    assert keys == {"/v2/billing": True, "/v1/models": False}
    assert (found.balance_usd, found.offered, found.troubles) == (5.0, True, ())


# --- in a run


def test_a_run_says_what_it_found_before_it_sends(shop: Shop, emulator: Emulators) -> None:
    result, found = seen(shop.with_edits(3), emulator(pictures="plain"))
    assert result.exit_code == 0
    assert (found.balance_usd, found.offered, found.cost_usd) == (1000.0, True, 0.126)


def test_a_wrong_key_ends_the_run_before_anything_is_sent(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", accepted_key="right")
    result = run(shop.with_edits(3), endpoint, environ={"AIMLAPI_API_KEY": SECRET})
    assert (result.exit_code, result.ended, endpoint.requests) == (4, "fatal", [])
    assert "endpoint.api_key_env" in str(result.error)
    status = pipeline.status(shop.job)
    assert status.run is not None
    assert (status.run.ended, status.edits, status.attempts) == ("fatal", (), ())
    again = run(shop, endpoint, environ={"AIMLAPI_API_KEY": "right"})
    assert again.totals.succeeded == 3


def test_an_empty_account_ends_the_run_before_anything_is_sent(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", balance_usd=0.04)
    result = run(shop.with_edits(3), endpoint)
    assert (result.exit_code, endpoint.requests) == (4, [])
    assert "$0.04 is left" in str(result.error)
    endpoint.use(balance_usd=1.0)
    assert run(shop, endpoint).exit_code == 0


def test_a_low_balance_warns_and_what_is_there_is_used(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", balance_usd=0.10)
    shop.with_edits(5, limits={"concurrency": 1})
    result, found = seen(shop, endpoint)
    assert "$0.10 is left and this run may cost $0.21" in found.warnings[0]
    assert (result.exit_code, result.totals.succeeded, result.totals.failed) == (4, 2, 0)


def test_a_withdrawn_model_ends_the_run_before_anything_is_sent(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", withdraw_after=1)
    run(shop.with_edits(1), endpoint)
    asked = len(endpoint.requests)
    result = run(shop.with_edits(4), endpoint)
    assert (result.exit_code, len(endpoint.requests)) == (4, asked)
    assert "google/nano-banana-edit" in str(result.error)
    known = run(shop, endpoint, preflight=False)
    assert known.exit_code == 4
    assert len(endpoint.requests) > asked, "and may be tried all the same"


def test_a_higher_price_is_reserved_from_then_on(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", prices={MODEL.id: 0.10}, cost_headers=False)
    shop.with_edits(5, budget={"run_usd": 0.25})
    plans: list[Plan] = []

    def confirm(plan: Plan) -> bool:
        plans.append(plan)
        return True

    result, found = seen(shop, endpoint, confirm=confirm)
    assert found.price_usd == 0.10
    assert plans[0].cost_usd == pytest.approx(0.5)
    assert (result.exit_code, result.totals.succeeded) == (5, 2)
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd) == pytest.approx(0.20)


def test_a_listed_price_makes_a_cap_hold_where_none_was_known(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", prices={"reve/edit-image": 0.05})
    shop.with_edits(3, endpoint={"model": "reve/edit-image"}, budget={"run_usd": 0.10})
    with pytest.raises(JobError, match="no cap could hold"):
        run(shop, endpoint, preflight=False)
    assert endpoint.requests == []
    assert run(shop, endpoint).totals.succeeded == 2
    assert endpoint.bill.total_usd <= 0.10
    shop.with_edits(2, endpoint={"model": "reve/edit-image"}, budget={"run_usd": 0.10})
    quiet = run(shop, endpoint)
    assert (quiet.exit_code, quiet.totals.unchanged) == (0, 2), "nothing to ask is no fault"


def test_counting_is_cut_short_where_nobody_waits_for_the_plan(
    shop: Shop, emulator: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.running.COUNT_S", 0.0)
    endpoint = emulator(pictures="plain", balance_usd=0.05)
    _, found = seen(shop.with_edits(30), endpoint)
    assert (found.at_least, found.cost_usd) == (True, 0.042)
    assert "this run may cost at least $0.042" in found.line
    endpoint.use(balance_usd=100.0)
    _, exact = seen(shop, endpoint, confirm=lambda plan: plan.requests == 29)
    assert not exact.at_least
    assert exact.cost_usd == pytest.approx(29 * 0.042)


def test_nothing_to_do_asks_nobody(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(2), endpoint)
    endpoint.stop()
    events: list[Event] = []
    assert run(shop, endpoint, observe=events.append).exit_code == 0
    assert not [event for event in events if isinstance(event, Preflight)]


def test_a_server_without_these_pages_is_used_with_a_warning(
    shop: Shop, picture_server: Callable[..., str]
) -> None:
    shop.with_edits(1)
    url = picture_server(shop.manifest.parent / "mug.jpg").rpartition("/")[0]
    events: list[Event] = []
    result = asyncio.run(pipeline.run(shop.job, base_url=url, environ={}, observe=events.append))
    [found] = [event for event in events if isinstance(event, Preflight)]
    assert len(found.warnings) == 2
    assert result.totals.failed + result.totals.succeeded <= 1


def test_the_lower_of_two_caps_holds(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(9, budget={"run_usd": 0.10})
    assert run(shop, endpoint, max_cost_usd=5.0).totals.succeeded == 2
    assert run(shop, endpoint, max_cost_usd=0.05).totals.succeeded == 1
    shop.with_edits(9)
    result = run(shop, endpoint, max_cost_usd=0.0)
    assert (result.exit_code, result.totals.succeeded) == (5, 0)
    for nonsense in (float("nan"), -1.0):
        with pytest.raises(JobError, match="--max-cost"):
            run(shop, endpoint, max_cost_usd=nonsense)


def test_what_nobody_prices_is_said_and_no_silent_zero(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", cost_headers=False, usage_meta=False)
    shop.with_edits(3, endpoint={"model": "reve/edit-image"})
    result = run(shop, endpoint, preflight=False)
    assert (result.totals.succeeded, result.totals.uncosted) == (3, 3)
    assert result.totals.cost_usd == 0.0
    frame = pipeline.read_ledger(shop.job)
    assert frame["cost_usd"].isna().all()


# --- the command


def test_check_online_says_one_line_more(command: Command, shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator()
    shop.with_edits(3)
    done = command("check", shop.job, "--online", "--base-url", endpoint.url)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "3 edits, 3 pictures: all is well"
    assert second.startswith("preflight: the key is accepted, $1,000.00 left")
    found = json.loads(
        command("check", shop.job, "--online", "--base-url", endpoint.url, "--json").stdout
    )
    assert found["edits"] == 3
    assert found["online"]["balance_usd"] == 1000.0
    assert endpoint.requests == []
    assert not shop.outputs.exists()


def test_check_online_ends_as_the_run_would(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(accepted_key="right")
    shop.with_edits(1)
    asked = ("check", shop.job, "--online")
    done = command(*asked, "--base-url", endpoint.url, env={"AIMLAPI_API_KEY": SECRET})
    assert done.returncode == 4
    assert "endpoint.api_key_env" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert command(*asked).returncode == 2, "without a key"
    shop.write("id,images\na,gone.jpg\n")
    assert command(*asked, "--base-url", endpoint.url).returncode == 2, "problems first"


def test_the_command_says_cost_unknown_and_how_to_skip(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", cost_headers=False, usage_meta=False)
    shop.with_edits(2, endpoint={"model": "reve/edit-image"})
    done = command("run", shop.job, "--base-url", endpoint.url, "--no-preflight")
    assert done.returncode == 0, done.stderr
    assert "cost unknown for 2 attempts" in done.stdout
    assert "preflight" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"accepted_key": "right"}, "endpoint.api_key_env"),
        ({"balance_usd": 0.0}, "top up"),
        ({"faults": {"no_credits": 1.0}}, "Top up"),
        ({"faults": {"model_withdrawn": 1.0}}, "endpoint.model"),
    ],
)
def test_a_fatal_answer_says_what_to_do_and_how_to_resume(
    command: Command, shop: Shop, emulator: Emulators, settings: dict[str, Any], words: str
) -> None:
    endpoint = emulator(pictures="plain", **settings)
    shop.with_edits(30, limits={"concurrency": 2})
    done = command("run", shop.job, "--base-url", endpoint.url)
    assert done.returncode == 4
    assert words in done.stderr
    assert f"pipeline run {shop.job}" in done.stdout.replace("\n", "")
    assert "goes on where this run stopped" in done.stdout
    assert pipeline.status(shop.job).edits == (), "every edit is pending"
    assert len(endpoint.requests) <= 4


def test_a_key_that_is_disabled_in_the_middle_leaves_the_rest_pending(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")

    def disable(event: Event) -> None:
        if type(event).__name__ == "Finished":
            endpoint.use(accepted_key="another")

    result = run(shop.with_edits(40, limits={"concurrency": 2}), endpoint, observe=disable)
    assert result.exit_code == 4
    assert result.totals.failed == 0
    assert result.totals.finished < 10
    again = run(shop, endpoint, environ={"AIMLAPI_API_KEY": "another"})
    assert again.totals.succeeded + result.totals.succeeded == 40


async def test_the_function_behind_the_option(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(accepted_key="right")
    shop.with_edits(2)
    found = await api.check_online(
        shop.job, base_url=endpoint.url, environ={"AIMLAPI_API_KEY": "right"}
    )
    assert found.cost_usd == 0.084
    with pytest.raises(AuthenticationError):
        await api.check_online(shop.job, base_url=endpoint.url, environ={})
