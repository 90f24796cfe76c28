"""Everything that the emulator can do to a request, at once, to several hundred edits."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

from pipeline.emulator.faultnames import STICKY
from pipeline.emulator.profile import load_profile
from pipeline.emulator.testing import RunningEmulator
from tests.chaos.killing import asked_of, rows
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]

EDITS = 200
LIMITS = {
    "concurrency": 8,
    "requests_per_minute": 30_000,
    "images_per_minute": 30_000,
    "retry_after": "absent",
}
RETRY = {
    "attempts": 8,
    "no_image_attempts": 8,  # the storm has three faults an edit, and all may be of this kind
    "wait_initial_s": 0.05,
    "wait_max_s": 0.2,
    "wait_jitter_s": 0.05,
}


def test_a_storm_ends_with_every_edit_as_it_should_and_the_bill_to_the_cent(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    # Its limits are met, but seldom: what a limit does to the pace has tests of its own.
    endpoint = emulator("storm", seed=11, limits=LIMITS, latency={"median_s": 0.02}, drip_s=0.2)
    manifest = "id,images,prompt,num_images\n" + "".join(
        [f"e{n},mug.jpg,edit number {n},{1 + n % 3 // 2}\n" for n in range(EDITS)]
    )
    shop.write(manifest, limits={"concurrency": 12}, retry=RETRY)
    ran = command("run", shop.job, "--base-url", endpoint.url, "--json", timeout=110)
    asked = asked_of(endpoint)
    met = Counter(seen["fault"] for seen in asked)
    assert met.keys() - {None} == load_profile("storm").faults.keys(), "every fault it has"

    refused = {edit_number(seen) for seen in asked if seen["fault"] in STICKY}
    assert ran.returncode == 3, "some were refused"
    assert dict(rows(shop, "SELECT id, status FROM edits")) == {
        f"e{n}": "refused" if n in refused else "succeeded" for n in range(EDITS)
    }
    for name, status in rows(shop, "SELECT id, status FROM attempts"):
        charges = endpoint.bill.of_request(name)
        assert len(charges) <= 1, "no request is charged twice"
        assert charges or status != "succeeded", name

    again = command("run", shop.job, "--base-url", endpoint.url, "--json")
    assert again.returncode in (0, 3), again.stderr
    assert len(asked_of(endpoint)) == len(asked), "nothing is asked for again"

    settled = command(
        *("reconcile", shop.job, "--base-url", endpoint.url, "--json"),
        *("--delay", "1", "--wait", "20"),
    )
    assert settled.returncode == 0, settled.stderr
    report = json.loads(settled.stdout)
    assert (report["undecided"]["count"], report["billed_unknown"]["count"]) == (0, 0)
    billed = {charge.client_request_id: charge.credits for charge in endpoint.bill.charges}
    ledger = dict(rows(shop, "SELECT id, cost_usd FROM attempts"))
    assert {name: credits_of(cost) for name, cost in ledger.items() if cost} == billed
    assert credits_of(report["ledger_usd"]) == endpoint.bill.total_credits


def edit_number(seen: dict[str, Any]) -> int:
    return int(seen["body"]["prompt"].rpartition(" ")[2])


def credits_of(usd: float) -> int:
    """The emulator counts in whole credits: 2,000,000 a dollar."""
    return round(usd * 2_000_000)
