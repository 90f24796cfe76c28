"""The server's own life: where it listens, who gets in, how it ends."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pipeline import __version__
from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop
from tests.dashboard.serving import Server, is_alive

Serve = Callable[..., Server]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
Emulators = Callable[..., RunningEmulator]

TOKEN = "a-token-of-good-length"


@pytest.fixture
def jobs(shop: Shop) -> Path:
    return shop.with_edits(2).job.parent


def test_it_lists_the_jobs_also_those_that_do_not_load(serve: Serve, shop: Shop) -> None:
    shop.with_edits(2, budget={"day_usd": 5})
    (shop.job.parent / "wrong.yml").write_text("manifest: x.csv\nlimts: {}\n")
    (shop.job.parent / "notes.txt").write_text("no job")
    (shop.job.parent / ".hidden.yaml").write_text("no job either")
    server = serve(shop.job.parent)
    good, bad = [each["job"] for each in server.json("/api/jobs")]
    assert (good["name"], good["state"], good["money"]["day_cap"]) == ("shop", "never run", 5)
    assert (bad["key"], bad["state"], bad["tone"]) == ("wrong", "does not load", "bad")
    assert "did you mean 'limits'?" in bad["problem"]
    assert server.json("/healthz") == {"status": "ok", "version": __version__}


def test_a_job_that_is_mended_is_seen(serve: Serve, shop: Shop) -> None:
    shop.with_edits(1)
    sound = shop.job.read_text()
    shop.job.write_text("manifest:\n")
    server = serve(shop.job.parent)
    assert server.json("/api/jobs/shop")["state"] == "does not load"
    shop.job.write_text(sound)
    assert server.json("/api/jobs/shop")["state"] == "never run"


def test_two_files_with_one_stem_are_two_jobs(serve: Serve, shop: Shop) -> None:
    shop.with_edits(1)
    shop.job.with_suffix(".yml").write_text(shop.job.read_text())
    server = serve(shop.job.parent)
    assert [each["job"]["key"] for each in server.json("/api/jobs")] == ["shop.yaml", "shop.yml"]
    assert server.get("/jobs/shop.yml").status_code == 200


def test_one_job_file_can_be_served_alone(serve: Serve, jobs: Path) -> None:
    assert len(serve(jobs / "shop.yaml").json("/api/jobs")) == 1


def test_an_empty_folder_says_how_to_make_a_job(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path)
    assert server.json("/api/jobs") == []
    assert "pipeline init" in server.get("/").text


def test_a_folder_that_is_not_there_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("serve", tmp_path / "jbos")
    assert done.returncode == 2
    assert "there is no such folder" in done.stderr


def test_a_port_in_use_is_told(command: Command, jobs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("serve", jobs, "--port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port} is in use" in done.stderr


def test_an_address_that_is_not_this_machines_is_told(command: Command, jobs: Path) -> None:
    done = command("serve", jobs, "--host", "192.0.2.1", "--token", TOKEN)
    assert done.returncode == 2
    assert "--host 192.0.2.1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_needs_a_token(
    command: Command, jobs: Path, host: str
) -> None:
    done = command("serve", jobs, "--host", host)
    assert done.returncode == 2
    assert "token" in done.stderr


def test_a_short_token_is_refused(command: Command, jobs: Path) -> None:
    done = command("serve", jobs, env={"PIPELINE_SERVE_TOKEN": "secret"})
    assert done.returncode == 2
    assert "too short" in done.stderr
    assert "secret" not in done.stderr


def test_a_token_is_asked_for_once(serve: Serve, jobs: Path) -> None:
    server = serve(jobs, "--host", "0.0.0.0", PIPELINE_SERVE_TOKEN=TOKEN)
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    with httpx.Client(base_url=url) as visitor:
        assert visitor.get("/api/jobs").status_code == 401
        page = visitor.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 401
        assert "This page needs a token" in page.text
        assert "shop" not in page.text
        assert visitor.get("/healthz").status_code == 200
        assert visitor.get("/static/look.css").status_code == 200
        assert visitor.get("/?token=wrong-token-wrong-token").status_code == 401
        welcome = visitor.get(f"/?token={TOKEN}")
        cookie = welcome.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
        assert TOKEN not in cookie + welcome.text
        assert visitor.get("/api/jobs").status_code == 200
    server.end()
    assert TOKEN not in server.said


def test_the_sign_in_page_takes_the_token(serve: Serve, jobs: Path) -> None:
    server = serve(jobs, PIPELINE_SERVE_TOKEN=TOKEN)
    assert "That is not the token" in server.client.post("/sign-in", data={"token": "x"}).text
    assert server.get("/api/jobs").status_code == 401
    server.client.post("/sign-in", data={"token": TOKEN})
    assert server.get("/api/jobs").status_code == 200


def test_a_program_shows_the_token_with_each_request(serve: Serve, jobs: Path) -> None:
    server = serve(jobs, PIPELINE_SERVE_TOKEN=TOKEN)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert server.get("/api/jobs", headers=bearer).status_code == 200
    assert server.post("/api/jobs/shop/plan", headers=bearer).status_code == 200
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert server.get("/api/jobs", headers=wrong).status_code == 401


def test_a_generated_token_is_said_once_and_works(serve: Serve, jobs: Path) -> None:
    server = serve(jobs, "--token", "generate")
    token = server.announced.partition("?token=")[2]
    assert len(token) >= 32
    assert server.get("/api/jobs").status_code == 401
    assert server.get(server.announced).status_code == 200
    assert server.get("/api/jobs").status_code == 200
    server.end()
    assert server.said.count(token) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_although_somebody_watches(
    serve: Serve, jobs: Path, number: signal.Signals
) -> None:
    server = serve(jobs)
    with (
        server.events("/api/events") as listed,
        server.events("/api/jobs/shop/events") as standings,
    ):
        assert next(listed)
        assert next(standings)["name"] == "shop"
        assert server.process.poll() is None
        server.process.send_signal(number)
        assert list(standings) is not None, "the stream ends, and is not cut"
        assert server.process.wait(60) == 0
    server.end()
    assert "Traceback" not in server.said


def test_a_run_outlives_its_server(serve: Serve, shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=2)
    shop.with_edits(8, endpoint={"base_url": endpoint.url}, limits={"concurrency": 2})
    server = serve(shop.job.parent)
    pid = server.start("jobs/shop")["pid"]
    run = server.until("jobs/shop", lambda standing: standing["live"] is not None)["live"]
    assert run["pid"] == pid
    server.end(signal.SIGINT)
    assert is_alive(pid)
    later = serve(shop.job.parent)
    endpoint.go_on()
    ended = later.until("jobs/shop", lambda s: s["last_run"] and s["last_run"]["ended"])
    assert ended["last_run"]["id"] == run["run_id"]
    assert ended["edits"] == {"succeeded": 8}


def test_a_browser_that_comes_back_gets_the_present_state_at_once(serve: Serve, jobs: Path) -> None:
    server = serve(jobs)
    for _ in range(3):
        with server.events("/api/jobs/shop/events") as standings:
            assert next(standings)["state"] == "never run"


def test_streams_are_bounded_and_given_back(serve: Serve, jobs: Path) -> None:
    server = serve(jobs)
    host, port = server.url.removeprefix("http://").split(":")
    sockets = []
    ready = threading.Semaphore(0)

    def listen() -> None:
        with socket.create_connection((host, int(port))) as connection:
            sockets.append(connection)
            connection.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            if b"200 OK" in connection.recv(4096):
                ready.release()
                while connection.recv(65536):
                    pass

    watchers = [threading.Thread(target=listen, daemon=True) for _ in range(64)]
    for watcher in watchers:
        watcher.start()
    for _ in watchers:
        assert ready.acquire(timeout=60)
    refused = server.get("/api/events")
    assert refused.status_code == 503
    assert "watching already" in refused.json()["error"]
    for connection in sockets:
        connection.shutdown(socket.SHUT_RDWR)
    end = time.monotonic() + 60
    while server.client.stream("GET", "/api/events").__enter__().status_code == 503:
        assert time.monotonic() < end
        time.sleep(0.05)
