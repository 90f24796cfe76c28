"""Who is let in and what it costs: 429 in all its forms, the bill, the balance, the statements."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from pipeline.emulator.account import Account
from pipeline.emulator.bill import CREDITS_PER_USD, Bill, Charge
from pipeline.emulator.limits import TokenBucket
from tests.emulator.asking import until

PLAIN = {"pictures": "plain"}


def test_a_bucket_starts_full_and_refills_at_its_rate():
    """Ten at once, then one every two seconds at thirty a minute, never more than ten."""
    bucket = TokenBucket(30, 10, now=0.0)
    assert [bucket.take(1, now=0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1, now=0.0) == 2.0
    assert bucket.take(1, now=1.5) == 0.5
    assert bucket.take(1, now=2.0) == 0.0
    assert bucket.take(10, now=1000.0) == 0.0
    assert bucket.take(1, now=1000.0) == 2.0


def test_a_refused_request_takes_nothing():
    """Asking too early does not push the moment away."""
    bucket = TokenBucket(60, 1, now=0.0)
    assert bucket.take(1, now=0.0) == 0.0
    for _ in range(5):
        assert bucket.take(1, now=0.5) == 0.5
    assert bucket.take(1, now=1.0) == 0.0


async def test_the_rate_limit_lets_the_burst_in_and_no_more(emulator, ask):
    """Three of four at once; the fourth is told how long to wait, and costs nothing."""
    limits = {"requests_per_minute": 0.5, "burst": 3, "retry_after": "seconds"}
    running = emulator(**PLAIN, limits=limits)
    answers = [await ask(running) for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429]
    assert 100 < int(answers[3].headers["retry-after"]) <= 120
    assert running.bill.pictures == 3


async def test_the_picture_limit_counts_pictures(emulator, ask):
    """The bucket holds nine at least: two requests for four each, and no third."""
    running = emulator(**PLAIN, limits={"images_per_minute": 0.1, "burst": 1})
    answers = [await ask(running, num_images=4) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert "images a minute" in answers[2].message


async def test_the_concurrency_limit_counts_those_at_work(emulator, asker):
    """Of three at once, one is refused at a limit of two; later all is well."""
    limits = {"concurrency": 2, "retry_after": "seconds"}
    running = emulator(**PLAIN, limits=limits)
    running.hold()
    working = [asyncio.ensure_future(asker.edit(running.url, prompt=f"p{n}")) for n in range(2)]
    await until(lambda: len([s for s in running.requests if s["attempt"]]) == 2)
    third = await asker.edit(running.url, prompt="p3")
    assert (third.status, third.headers["retry-after"]) == (429, "1")
    assert "concurrent" in third.message
    running.go_on()
    assert [(await one).status for one in working] == [201, 201]
    assert (await asker.edit(running.url, prompt="p4")).status == 201


async def test_limits_that_change_do_not_lose_those_at_work(emulator, asker):
    """A request that began under the old limits gives its place back under the new ones."""
    running = emulator(**PLAIN, limits={"concurrency": 5})
    running.hold()
    working = asyncio.ensure_future(asker.edit(running.url))
    await until(lambda: any(seen["attempt"] for seen in running.requests))
    running.use(limits={"concurrency": 1})
    assert (await asker.edit(running.url, prompt="other")).status == 429
    running.go_on()
    assert (await working).status == 201
    assert (await asker.edit(running.url, prompt="other")).status == 201


@pytest.mark.parametrize("form", ["seconds", "date", "absent"])
async def test_retry_after_comes_in_three_forms(emulator, ask, form):
    """Seconds, a real HTTP date, or nothing at all."""
    limits = {"requests_per_minute": 1, "burst": 1, "retry_after": form, "retry_after_s": 30}
    running = emulator(**PLAIN, limits=limits)
    await ask(running)
    before = datetime.now(UTC)
    header = (await ask(running)).headers.get("retry-after")
    if form == "seconds":
        assert header == "30"
    elif form == "date":
        assert header.endswith(" GMT")
        moment = parsedate_to_datetime(header)
        assert moment >= before.replace(microsecond=0) + timedelta(seconds=30)
        assert moment <= datetime.now(UTC) + timedelta(seconds=31)
    else:
        assert header is None


async def test_latency_is_log_normal_and_the_same_for_the_same_seed():
    """The dice of a decision give the waiting time: median and spread as the profile says."""
    from pipeline.emulator.faults import FaultPlan
    from pipeline.emulator.profile import Profile

    plan = FaultPlan(Profile(), 1)
    draws = [
        plan.next(f"k{n}", prompt="", model="", client_request_id=None).dice.gauss(0.0, 1.0)
        for n in range(2000)
    ]
    mean = sum(draws) / len(draws)
    spread = math.sqrt(sum((draw - mean) ** 2 for draw in draws) / len(draws))
    assert abs(mean) < 0.1
    assert abs(spread - 1) < 0.1


def test_the_bill_is_exact_in_credits():
    """A thousand charges of $0.042 are $42, not 41.99999."""
    now = datetime.now(UTC)
    bill = Bill(Charge(now, f"i{n}", f"r{n}", "m", 1, 84_000) for n in range(1000))
    assert (bill.total_credits, bill.total_usd, bill.pictures) == (84_000_000, 42.0, 1000)
    assert bill.of_request("r7")[0].inference_id == "i7"
    assert bill.to_json()["charges"][3]["usd"] == 0.042


def test_what_is_reserved_cannot_be_spent_twice():
    """Requests at work hold their money."""
    account = Account(0.1, now=datetime.now(UTC))
    assert account.reserve(150_000)
    assert not account.reserve(60_000)
    account.release(150_000)
    assert account.reserve(60_000)


async def test_bill_balance_transactions_and_log_agree(emulator, ask, asker):
    """Four views of the same money, tied together by the inference id."""
    running = emulator(**PLAIN, balance_usd=10)
    for count in (1, 2, 3):
        await ask(running, num_images=count, prompt=f"p{count}", request_id=f"a{count}")
    await ask(running, prompt=...)
    assert running.bill.total_credits == 6 * 84_000
    balance = (await asker.get(running.url + "/v2/billing")).body
    assert balance == {"current_balance": 10 - 0.252, "currency": "USD"}
    page = (await asker.get(running.url + "/v2/billing/transactions")).body
    charges, topup = page["data"][:3], page["data"][3]
    assert [c["amount"] for c in charges] == [
        {"usd": n * 0.042, "credits": n * 84_000} for n in (3, 2, 1)
    ]
    assert (topup["direction"], topup["type"], topup["model"]) == ("TOPUP", "PAYMENT", None)
    log = (await asker.get(running.url + "/v2/logs", period="24h")).body
    assert log["pagination"] == {"limit": 50, "offset": 0, "total": 3, "has_more": False}
    assert [row["client_request_id"] for row in log["data"]] == ["a3", "a2", "a1"]
    by_bill = {c.inference_id: c.credits for c in running.bill.charges}
    assert {c["reference_id"]: c["amount"]["credits"] for c in charges} == by_bill
    assert {r["inference_id"]: r["cost"]["credits"] for r in log["data"]} == by_bill


async def test_transactions_are_paged_by_an_opaque_cursor(emulator, ask, asker):
    """Every entry once, newest first; a charge in between disturbs nothing."""
    running = emulator(**PLAIN)
    for n in range(5):
        await ask(running, prompt=f"p{n}")
    url = running.url + "/v2/billing/transactions"
    seen, cursor = [], {}
    while True:
        page = (await asker.get(url, limit=2, **cursor)).body
        seen += [entry["reference_id"] for entry in page["data"]]
        if not page["pagination"]["has_more"]:
            assert page["pagination"]["next_cursor"] is None
            break
        cursor = {"cursor": page["pagination"]["next_cursor"]}
        await ask(running, prompt="another")
    expected = [charge.inference_id for charge in running.bill.charges[:5]][::-1]
    assert seen == [*expected, "payment-1"]


async def test_transactions_are_filtered(emulator, ask, asker):
    """By direction, type and time."""
    running = emulator(**PLAIN)
    await ask(running)
    url = running.url + "/v2/billing/transactions"

    async def types(**query):
        return [e["type"] for e in (await asker.get(url, **query)).body["data"]]

    assert await types(direction="TOPUP") == ["PAYMENT"]
    assert await types(type="MODEL_USAGE") == ["MODEL_USAGE"]
    assert await types(type="REFUND") == []
    charged = (await asker.get(url)).body["data"][0]["created_at"]
    assert await types(**{"from": charged}) == ["MODEL_USAGE"]
    assert await types(to=charged) == ["PAYMENT"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"cursor": "abc"},
        {"cursor": "eyJ2IjoxfQ=="},
        {"direction": "charge"},
        {"type": "GIFT"},
        {"from": "yesterday"},
        {"from": "2026-08-01T00:00:00"},
        {"from": "2026-08-02T00:00:00Z", "to": "2026-08-01T00:00:00Z"},
    ],
)
async def test_wrong_transaction_queries_are_400(emulator, asker, query):
    """As strict as the document."""
    answer = await asker.get(emulator().url + "/v2/billing/transactions", **query)
    assert answer.status == 400
    assert answer.message.startswith("Query validation error")


async def test_logs_are_paged_and_filtered(emulator, ask, asker):
    """By offset, by status, by model, in a window of time."""
    running = emulator(**PLAIN, script=[{"when": {"nth": 2}, "fault": "status_500"}])
    for n in range(4):
        await ask(running, request_id=f"r{n}")
    url = running.url + "/v2/logs"

    async def ids(**query):
        page = (await asker.get(url, **query)).body
        return [row["client_request_id"] for row in page["data"]], page["pagination"]["has_more"]

    assert await ids(period="1d", limit=3) == (["r3", "r2", "r1"], True)
    assert await ids(period="1d", limit=3, offset=3) == (["r0"], False)
    assert await ids(period="1d", status="failed") == (["r1"], False)
    assert await ids(period="1d", model="gemini-2.5-flash-image-edit", limit=1) == (["r3"], True)
    assert await ids(period="1d", model="other/model") == ([], False)
    assert await ids(start="2020-01-01", end="2020-01-02T00:00:00Z") == ([], False)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"period": "1w"},
        {"period": "0h"},
        {"period": "93d"},
        {"period": "1d", "start": "2026-01-01", "end": "2026-01-02"},
        {"start": "2026-01-01"},
        {"start": "2026-01-02", "end": "2026-01-01"},
        {"period": "1d", "limit": 101},
        {"period": "1d", "offset": -1},
        {"period": "1d", "status": "succeeded,failed"},
    ],
)
async def test_wrong_log_queries_are_400(emulator, asker, query):
    """As strict as the document."""
    assert (await asker.get(emulator().url + "/v2/logs", **query)).status == 400


async def test_logs_are_limited_to_so_many_calls_a_minute(emulator, asker):
    """200 on the real one; 3 here."""
    running = emulator(limits={"logs_per_minute": 3})
    url = running.url + "/v2/logs"
    statuses = [(await asker.get(url, period="1d")).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


async def test_statements_need_the_key_and_the_catalogue_does_not(emulator, asker):
    """401 for money, 200 for models."""
    url = emulator().url
    for path in ("/v2/billing", "/v2/billing/transactions", "/v2/logs"):
        assert (await asker.get(url + path, key=False)).status == 401
    assert (await asker.get(url + "/v1/models", key=False)).status == 200


async def test_statements_appear_after_a_delay(emulator, ask, asker):
    """The bill knows at once, the statements later."""
    running = emulator(**PLAIN, billing_delay_s=3600)
    await ask(running)
    assert running.bill.pictures == 1
    assert (await asker.get(running.url + "/v2/logs", period="1d")).body["data"] == []
    url = running.url + "/v2/billing/transactions"
    assert (await asker.get(url)).body["data"] == []
    running.use(billing_delay_s=0)
    assert len((await asker.get(url)).body["data"]) == 2


async def test_credits_run_out_and_are_paid_in_again(emulator, ask, asker):
    """Three pictures' worth: the fourth is refused, and nothing goes below zero."""
    running = emulator(**PLAIN, balance_usd=0.13)
    statuses = [(await ask(running, prompt=f"p{n}")).status for n in range(5)]
    assert statuses[:3] == [201] * 3
    assert set(statuses[3:]) <= {402, 403}
    assert (await ask(running, num_images=2)).status in (402, 403)
    balance = (await asker.get(running.url + "/v2/billing")).body["current_balance"]
    assert balance == (260_000 - 3 * 84_000) / CREDITS_PER_USD
    running.use(balance_usd=1.0)
    assert (await ask(running)).status == 201
    types = (await asker.get(running.url + "/v2/billing/transactions")).body["data"]
    assert [entry["type"] for entry in types][1] == "ADJUSTMENT"


async def test_concurrent_requests_cannot_overdraw_the_balance(emulator, asker):
    """Twenty at once for the price of five: five are made."""
    running = emulator(**PLAIN, balance_usd=0.21, latency={"median_s": 0.02})
    answers = await asyncio.gather(*(asker.edit(running.url, prompt=f"p{n}") for n in range(20)))
    assert sum(answer.status == 201 for answer in answers) == 5
    assert running.bill.total_usd == 0.21


async def test_a_model_is_withdrawn_after_its_last_picture(emulator, ask, asker):
    """404 from then on, and gone from the catalogue; its sister lives."""
    running = emulator(**PLAIN, withdraw_after=2)
    assert [(await ask(running)).status for _ in range(3)] == [201, 201, 404]
    model = {"id": "google/gemini-2.5-flash-image-edit"}
    assert (await asker.get(running.url + "/v1/models", **model)).body["data"] == []
    assert (await ask(running, model="google/nano-banana-edit")).status == 201


async def test_the_catalogue_names_models_and_prices(emulator, asker):
    """By id, case-insensitive, with the price when asked for; a profile can set it."""
    running = emulator(prices={"reve/edit-image": 0.05})
    url = running.url + "/v1/models"
    assert len((await asker.get(url)).body["data"]) == 15
    plain = (await asker.get(url, id="Google/Gemini-2.5-flash-image-edit")).body["data"]
    assert "pricing" not in plain[0]
    query = {"id": "google/gemini-2.5-flash-image-edit,reve/edit-image", "include": "pricing"}
    rows = (await asker.get(url, **query)).body["data"]
    assert [row["pricing"]["units"][0]["price"] for row in rows] == [0.042, 0.05]


async def test_a_client_that_leaves_pays_all_the_same(emulator, asker):
    """The provider does not notice that nobody waits any more."""
    running = emulator(**PLAIN)
    running.hold()
    leaving = asyncio.ensure_future(asker.edit(running.url))
    await until(lambda: any(seen["attempt"] for seen in running.requests))
    leaving.cancel()
    running.go_on()
    await until(lambda: running.bill.pictures == 1)
