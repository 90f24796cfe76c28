"""The emulator as a whole: its command, its own pages, its independence."""

import ast
import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest

import pipeline.emulator
from pipeline.emulator import Emulator, ProfileError
from pipeline.emulator.__main__ import main
from tests.emulator.asking import Asker

PACKAGE = Path(pipeline.emulator.__file__).parent
LOST = (aiohttp.ClientError, ConnectionError)
COMMAND = [sys.executable, "-m", "pipeline.emulator"]


def start(*options: str) -> "tuple[subprocess.Popen[str], str]":
    """The real command; returns it and its URL once it listens."""
    process = subprocess.Popen(
        [*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["url"]


def finish(process: "subprocess.Popen[str]") -> int:
    """Its exit code, and its pipes closed."""
    code = process.wait(60)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    return code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_announces_itself_serves_and_stops_on_a_signal(number):
    """One JSON line, a bill of nothing, exit 0."""
    process, url = start("--profile", "storm", "--seed", "3")
    with urllib.request.urlopen(url + "/emulator/bill") as answer:
        assert json.load(answer)["total_credits"] == 0
    process.send_signal(number)
    assert finish(process) == 0


def test_the_command_stops_when_its_parent_is_gone():
    """A closed standard input is all that a killed parent leaves behind."""
    process, _ = start("--until-stdin-closes")
    assert process.stdin is not None
    process.stdin.close()
    assert finish(process) == 0


def test_a_wrong_profile_or_port_is_exit_2(emulator, capsys):
    """With a sentence on standard error."""
    assert main(["--profile", "strom"]) == 2
    assert "did you mean 'storm'" in capsys.readouterr().err
    assert main(["--port", emulator().url.rpartition(":")[2]]) == 2
    assert capsys.readouterr().err.startswith("emulator: ")


def test_importing_it_loads_neither_the_server_nor_pillow():
    """`pipeline --help` must not wait for them."""
    code = (
        "import sys, pipeline.emulator;"
        "print([m for m in ('aiohttp', 'PIL', 'yaml', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_shares_no_code_with_the_client():
    """Inside `pipeline`, it imports only itself."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [node.module or ""]
                if node.module == "pipeline":
                    names = [f"pipeline.{alias.name}" for alias in node.names]
            for name in names:
                if name.partition(".")[0] == "pipeline":
                    assert name.startswith("pipeline.emulator"), f"{path.name} imports {name}"


def test_modules_stay_small():
    """No file of more than 400 lines."""
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 400, path.name


async def test_an_emulator_runs_on_the_loop_of_its_user(asker):
    """`async with`, and everything about it is at hand without a thread."""
    async with Emulator("calm", seed=1, pictures="plain") as running:
        assert (await asker.edit(running.url)).status == 201
        assert running.bill.total_usd == 0.042
        assert running.requests[0].status == 201
        assert running.use(payload="url").payload == "url"
        assert running.profile.payload == "url"
    with pytest.raises(RuntimeError, match="not running"):
        _ = Emulator().url


async def test_answers_are_held_back_until_it_goes_on(asker):
    """So that a test decides how far a run gets."""
    async with Emulator("calm", pictures="plain") as running:
        running.hold(after=1)
        assert (await asker.edit(running.url)).status == 201
        kept = asyncio.create_task(asker.edit(running.url))
        while len(running.requests) < 2:  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.001)
        assert running.bill.pictures == 1
        assert not kept.done()
        running.go_on()
        assert (await kept).status == 201
        assert (await asker.edit(running.url)).status == 201


async def test_an_answer_that_nobody_waits_for_any_more_is_not_counted(asker):
    """A killed client's requests would take the place of those of the next."""
    async with Emulator("calm", pictures="plain") as running:
        running.hold()
        port = int(running.url.split(":")[-1])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"model": "google/gemini-2.5-flash-image-edit", "prompt": "a lamp"}'
        head = (
            "POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        while len(running.requests) < 1:  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.001)
        writer.transport.abort()
        running.hold(after=1)
        async with asyncio.timeout(60):
            assert (await asker.edit(running.url)).status == 201


def test_a_wrong_override_is_refused_before_anything_starts():
    """At construction."""
    with pytest.raises(ProfileError, match="did you mean 'pictures'"):
        Emulator("calm", picture="plain")


async def test_its_own_pages_show_the_bill_and_the_requests(emulator, ask, asker):
    """For tests of a command in another process."""
    running = emulator(pictures="plain")
    await ask(running, request_id="r1", prompt="a lamp")
    bill = (await asker.get(running.url + "/emulator/bill", key=False)).body
    assert bill == running.bill.to_json()
    assert bill["charges"][0]["client_request_id"] == "r1"
    requests = (await asker.get(running.url + "/emulator/requests", key=False)).body
    assert requests == running.requests
    assert requests[0]["body"]["prompt"] == "a lamp"
    assert (await asker.get(running.url + "/emulator/other", key=False)).status == 404
    assert (await asker.get(running.url + "/", key=False)).status == 404


async def test_settings_change_while_it_runs(emulator, ask, asker):
    """`POST /emulator/profile` with overrides; a wrong one changes nothing."""
    running = emulator(pictures="plain")

    async def post(settings):
        url = running.url + "/emulator/profile"
        async with asker.session.post(url, json=settings) as answer:
            return answer.status, await answer.json()

    status, profile = await post({"script": [{"fault": "status_500"}], "limits": {"burst": 2}})
    assert (status, profile["limits"]["burst"]) == (200, 2)
    assert (await ask(running)).status == 500
    status, answer = await post({"scritp": []})
    assert (status, "did you mean 'script'" in answer["message"]) == (400, True)
    assert (await ask(running)).status == 500
    assert (await post([]))[0] == 400
    assert (await post({"extends": "calm", "pictures": "plain"}))[0] == 200
    assert (await ask(running)).status == 201


async def test_the_same_job_and_seed_meet_the_same_answers(emulator, asker):
    """In another order and with more at once; another seed is another story."""

    async def outcomes(seed: int, order: list[int]) -> dict[int, list[tuple[int, str]]]:
        running = emulator(
            "storm", seed=seed, latency={"median_s": 0}, limits={"concurrency": 99, "burst": 999}
        )
        found: dict[int, list[tuple[int, str]]] = {}

        async def one(number: int) -> None:
            seen = found[number] = []
            for _ in range(2):
                try:
                    answer = await asker.edit(running.url, prompt=f"edit {number}")
                except LOST:
                    seen.append((0, "lost"))
                    continue
                shown = ",".join(sorted(answer.body)) if answer.status < 300 else ""
                seen.append((answer.status, shown))

        await asyncio.gather(*(one(number) for number in order))
        return found

    numbers = list(range(20))
    first = await outcomes(5, numbers)
    assert first == await outcomes(5, numbers[::-1])
    assert first != await outcomes(6, numbers)


async def test_the_bill_of_a_storm_equals_what_its_statements_say(emulator, asker: Asker):
    """Whatever was lost on the way: every charge is one transaction and one succeeded row."""
    running = emulator(
        "storm",
        seed=11,
        latency={"median_s": 0},
        limits={"concurrency": 99, "burst": 999},
        billing_delay_s=0,
        drip_s=0.01,
    )

    async def one(number: int) -> None:
        for attempt in range(3):
            request_id = f"{number}.{attempt}"
            with contextlib.suppress(*LOST):
                await asker.edit(running.url, prompt=f"edit {number}", request_id=request_id)

    await asyncio.gather(*(one(number) for number in range(40)))
    rows, offset = [], 0
    while True:
        page = (
            await asker.get(running.url + "/v2/logs", period="1h", limit=100, offset=offset)
        ).body
        rows += page["data"]
        offset += 100
        if not page["pagination"]["has_more"]:
            break
    paid = {r["client_request_id"]: r["cost"]["credits"] for r in rows if r["cost"]["credits"]}
    assert paid == {c.client_request_id: c.credits for c in running.bill.charges}
    balance = (await asker.get(running.url + "/v2/billing")).body["current_balance"]
    assert balance == pytest.approx(1000 - running.bill.total_usd)
