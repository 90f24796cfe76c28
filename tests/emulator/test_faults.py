"""Every fault: what the client sees of it, whether it is charged, what the log says."""

import asyncio
import base64
import binascii
import gzip
import hashlib
import io
import json
from itertools import pairwise

import aiohttp
import pytest
from PIL import Image

from pipeline.emulator.faultnames import FAULTS, Moment
from tests.emulator.asking import BODY, KEY, data_uri, picture_bytes, size_of, until

PLAIN = {"pictures": "plain", "drip_s": 0.02}
LOST = (aiohttp.ClientError, ConnectionError)


def always(fault, **more):
    """Settings under which every request meets the fault."""
    return {**PLAIN, "script": [{"fault": fault}], **more}


async def log_statuses(asker, running):
    """The statuses in the usage log, newest first."""
    page = (await asker.get(running.url + "/v2/logs", period="1h")).body
    return [row["status"] for row in page["data"]]


@pytest.mark.parametrize(
    ("fault", "status", "kind", "logged"),
    [
        ("status_500", 500, "application/json", ["failed"]),
        ("gateway_502_html", 502, "text/html", []),
        ("status_504", 504, "text/html", ["failed"]),
        ("refused_400", 400, "application/json", ["failed"]),
        ("rate_limited", 429, "application/json", []),
        ("model_withdrawn", 404, "application/json", []),
    ],
)
async def test_an_error_status_is_never_charged(emulator, ask, asker, fault, status, kind, logged):
    """A failed request costs nothing, whether the provider or a gateway answered."""
    running = emulator(**always(fault))
    answer = await ask(running, request_id="a1")
    assert (answer.status, answer.content_type) == (status, kind)
    assert ("x-client-request-id" in answer.headers) == (kind == "application/json")
    assert running.bill.charges == ()
    assert await log_statuses(asker, running) == logged
    assert running.requests[0]["fault"] == fault


async def test_503_comes_with_a_body_and_without_one(emulator, ask):
    """The third error body is nothing at all."""
    running = emulator(**always("status_503"))
    answers = [await ask(running, prompt=f"p{n}") for n in range(12)]
    assert {answer.status for answer in answers} == {503}
    assert {bool(answer.raw) for answer in answers} == {True, False}


async def test_524_comes_after_the_money_is_gone(emulator, ask, asker):
    """The gateway gave up; the work was done, charged, and can be found in the log."""
    running = emulator(**always("status_524_after_billing"))
    answer = await ask(running, request_id="a1")
    assert (answer.status, answer.content_type) == (524, "text/html")
    assert not any(name.startswith("x-") for name in answer.headers)
    assert [c.client_request_id for c in running.bill.charges] == ["a1"]
    assert await log_statuses(asker, running) == ["succeeded"]


@pytest.mark.parametrize(("fault", "charged"), [("reset_before_work", 0), ("reset_after_work", 1)])
async def test_a_reset_leaves_no_answer_and_only_the_bill_knows(emulator, ask, fault, charged):
    """From outside both look alike; one of them cost money."""
    running = emulator(**always(fault))
    with pytest.raises(LOST):
        await ask(running)
    assert running.bill.pictures == charged
    assert running.requests[0]["status"] is None


async def test_a_reset_is_a_tcp_reset(emulator):
    """Not an orderly end: the peer's stack reports it as such."""
    running = emulator(**always("reset_before_work"))
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(BODY).encode()
    writer.write(
        b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_truncated_body_ends_before_its_announced_length(emulator, ask):
    """Half of it arrives; the picture is paid."""
    running = emulator(**always("truncated_body"))
    with pytest.raises(LOST):
        await ask(running)
    assert running.bill.pictures == 1


async def test_a_dripping_body_arrives_whole_in_pieces(emulator, ask, asker):
    """Slow, and right: who waits gets the picture."""
    running = emulator(**always("dripping_body"))
    answer = await ask(running)
    assert size_of(await asker.picture(answer.items[0])) == (1024, 1024)
    assert running.bill.pictures == 1


async def test_an_endless_body_goes_on_until_the_client_leaves(emulator, asker):
    """It begins like a good answer."""
    running = emulator(**always("endless_body"))
    target = running.url + "/v1/images/generations"
    async with asker.session.post(target, json=BODY, headers=KEY) as answer:
        assert answer.status == 201
        start = await answer.content.readexactly(4_000_000)
        assert start.startswith(b'{"output":{"choices":[{"image_base64":"AAAA')
        answer.close()
    assert running.bill.pictures == 1


async def test_an_endless_body_ends_in_a_cut_at_its_limit(emulator, ask):
    """A test that reads on does not run for ever."""
    running = emulator(**always("endless_body", endless_bytes=200_000))
    with pytest.raises(LOST):
        await ask(running)


async def test_the_gzip_bomb_is_small_on_the_wire(emulator):
    """Valid JSON, a thousand times larger once unpacked."""
    running = emulator(**always("gzip_bomb", bomb_bytes=3_000_000))
    target = running.url + "/v1/images/generations"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(target, json=BODY, headers=KEY) as answer,
    ):
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = await answer.read()
    assert len(packed) < 10_000
    unpacked = gzip.decompress(packed)
    assert len(unpacked) == 3_000_000
    assert set(json.loads(unpacked)) == {"output"}


async def test_never_answers_waits_for_the_client_to_give_up(emulator, asker):
    """Nothing is sent, nothing is charged, and the slot is free again afterwards."""
    rule = {"fault": "never_answers", "when": {"nth": 1}}
    running = emulator(**PLAIN, script=[rule], limits={"concurrency": 1})
    target = running.url + "/v1/images/generations"
    async with aiohttp.ClientSession() as impatient:
        waiting = asyncio.ensure_future(impatient.post(target, json=BODY, headers=KEY))
        await until(lambda: any(seen["fault"] for seen in running.requests))
        assert (await asker.edit(running.url)).status == 429
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    answer = await asker.edit(running.url)
    while answer.status == 429:
        answer = await asker.edit(running.url)
    assert answer.status == 201
    assert running.bill.pictures == 1


async def test_bad_base64_does_not_decode(emulator, ask):
    """And is paid, because the picture was made."""
    running = emulator(**always("bad_base64"))
    text = (await ask(running)).items[0]["image_base64"]
    with pytest.raises(binascii.Error):
        base64.b64decode(text, validate=True)
    assert running.bill.pictures == 1


@pytest.mark.parametrize("payload", ["base64", "url"])
async def test_not_a_picture_is_something_else_in_its_place(emulator, ask, asker, payload):
    """HTML where a PNG was promised."""
    running = emulator(**always("not_a_picture", payload=payload))
    data = await asker.picture((await ask(running)).items[0])
    assert data.startswith(b"<html>")
    assert running.bill.pictures == 1


@pytest.mark.parametrize("shape", ["choices", "images", "data", "both"])
@pytest.mark.parametrize("fault", ["empty_choices", "null_picture", "refused_200_text"])
async def test_a_success_without_a_picture_costs_nothing(emulator, ask, asker, fault, shape):
    """An empty list, nulls, or a text, in every shape and under a 2xx status."""
    running = emulator(**always(fault, shapes={shape: 1}))
    answer = await ask(running, num_images=2)
    assert answer.status in (200, 201)
    carried = [v for i in answer.items for k, v in i.items() if k in ("url", "b64_json")]
    assert not any(carried)
    assert len(answer.items) == (2 if fault == "null_picture" else 0)
    assert ("safety policy" in answer.raw.decode()) == (fault == "refused_200_text")
    assert running.bill.charges == ()
    assert answer.headers["x-aimlapi-credits-used"] == "0"
    assert await log_statuses(asker, running) == ["failed"]


async def test_fewer_pictures_are_charged_as_delivered(emulator, ask):
    """Three of four come and cost; of one, none comes and nothing is charged."""
    running = emulator(**always("fewer_pictures"))
    assert len((await ask(running, num_images=4)).items) == 3
    assert running.bill.pictures == 3
    assert len((await ask(running, num_images=1)).items) == 0
    assert running.bill.pictures == 3


async def test_identical_pictures_are_charged_all_the_same(emulator, ask, asker):
    """Three times the same bytes for three prices."""
    running = emulator(**always("identical_pictures"))
    items = (await ask(running, num_images=3)).items
    digests = {hashlib.sha256(await asker.picture(item)).hexdigest() for item in items}
    assert (len(digests), running.bill.pictures) == (1, 3)


async def test_a_no_op_edit_returns_the_input(emulator, ask, asker):
    """Byte for byte what went in."""
    data = picture_bytes("JPEG", (40, 30), "green")
    running = emulator(**always("no_op_edit"))
    answer = await ask(running, image_urls=[data_uri(data, "image/jpeg")])
    assert await asker.picture(answer.items[0]) == data


@pytest.mark.parametrize(
    ("fault", "size"),
    [("blank_picture", (1344, 768)), ("wrong_shape", (768, 1344)), ("repeated_picture", None)],
)
async def test_a_picture_that_is_wrong_is_charged_and_a_picture(emulator, ask, asker, fault, size):
    """All white, or of another shape, or the same for whoever asks."""
    running = emulator(**always(fault))
    digests = set()
    for prompt in ("one", "other"):
        answer = await ask(running, prompt=prompt, aspect_ratio="16:9")
        data = await asker.picture(answer.items[0])
        digests.add(hashlib.sha256(data).hexdigest())
        assert size in (None, size_of(data))
    assert len(digests) == (2 if fault == "wrong_shape" else 1)
    assert running.bill.pictures == 2


async def test_who_asks_again_after_a_wrong_picture_gets_another(emulator, ask, asker):
    """However many it wants: none of them comes twice. Who asks for no reason gets the same."""
    script = [{"fault": "identical_pictures", "when": {"nth": 1}}]
    running = emulator(**PLAIN, script=script)
    digests = []
    for count in (3, 1, 1):
        for item in (await ask(running, num_images=count)).items:
            digests.append(hashlib.sha256(await asker.picture(item)).hexdigest())
    assert len(set(digests[:3])) == 1
    assert digests[3] not in digests[:3]
    assert digests[4] == digests[3]


async def test_an_expired_url_is_a_page_and_no_picture(emulator, ask, asker):
    """The picture is paid and gone."""
    running = emulator(**always("expired_url"))
    item = (await ask(running)).items[0]
    download = await asker.get(item["url"], key=False)
    assert download.status in (404, 410)
    assert download.content_type == "text/html"
    assert running.bill.pictures == 1


async def test_a_slow_download_arrives_in_the_end(emulator, ask, asker):
    """In pieces."""
    running = emulator(**always("slow_download"))
    assert size_of(await asker.picture((await ask(running)).items[0])) == (1024, 1024)


async def test_wrong_content_types_lie_everywhere(emulator, ask, asker):
    """The answer says text, the picture says bytes, its description says another format."""
    running = emulator(**always("wrong_content_type", shapes={"images": 1}, payload="url"))
    answer = await ask(running)
    assert answer.content_type == "text/plain"
    item = answer.items[0]
    assert item["content_type"] != "image/png"
    download = await asker.get(item["url"], key=False)
    assert download.content_type == "application/octet-stream"
    with Image.open(io.BytesIO(download.raw)) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("status", [402, 403])
async def test_no_credits_says_so_in_the_providers_spelling(emulator, ask, status):
    """problem+json with the kind, under either status."""
    running = emulator(**always("no_credits", credits_status=status))
    answer = await ask(running)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert answer.body["error"]["data"]["kind"] == "err_insufficent_credits"
    assert "credits" in answer.message


def test_every_fault_has_a_test():
    """A fault that is added to the table is added here."""
    from pathlib import Path

    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FAULTS if f'"{name}"' not in source] == []
    assert set(FAULTS.values()) == set(Moment)


async def test_a_failing_edit_passes_when_it_is_asked_again(emulator, ask):
    """Passing faults pass after `max_faulty_attempts`, even at probability 1."""
    running = emulator(**PLAIN, faults={"status_500": 1.0}, max_faulty_attempts=2)
    statuses = [(await ask(running)).status for _ in range(4)]
    assert statuses == [500, 500, 201, 201]
    assert [seen["attempt"] for seen in running.requests] == [1, 2, 3, 4]


async def test_script_rules_pick_their_requests(emulator, ask):
    """By prompt, by the caller's id, by number, by model; bounded by edit and in total."""
    running = emulator(
        **PLAIN,
        script=[
            {"when": {"prompt_contains": "Celebrity"}, "fault": "refused_400"},
            {"when": {"request_id_glob": "run-*-7"}, "fault": "status_504"},
            {"when": {"nth": 4}, "fault": "status_500"},
            {"when": {"model": "reve/remix-edit-image"}, "fault": "gateway_502_html", "times": 1},
            {"when": {"prompt_contains": "twice"}, "fault": "rate_limited", "total": 2},
        ],
    )

    async def status(prompt, **more):
        return (await ask(running, prompt=prompt, **more)).status

    assert [await status("a celebrity") for _ in range(2)] == [400, 400]
    assert await status("a cup", request_id="run-3-7") == 504
    assert await status("the fourth") == 500
    reve = {"model": "reve/remix-edit-image"}
    assert [await status("x", **reve), await status("x", **reve)] == [502, 201]
    assert await status("y", **reve) == 502
    assert [await status(f"twice {n}") for n in range(3)] == [429, 429, 201]


async def test_arrivals_are_apart_by_what_the_clock_says(emulator, ask):
    """Arrival times only grow."""
    running = emulator(**PLAIN)
    for _ in range(3):
        await ask(running)
    times = [seen["arrived_s"] for seen in running.requests]
    assert all(earlier <= later for earlier, later in pairwise(times))
