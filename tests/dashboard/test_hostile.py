"""What other sites' pages, other people's names and crooked requests come to."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Shop
from tests.dashboard.serving import Server, serving

TARGETS = ("plan", "start", "pause", "resume", "stop", "tune", "decisions")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("hostile")).with_edits(2)


@pytest.fixture(scope="module")
def server(shop: Shop) -> Iterator[Server]:
    with serving(shop.job.parent) as running:
        yield running


def raw(server: Server, text: str) -> bytes:
    """What the server says to these very bytes."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


@pytest.mark.parametrize("target", TARGETS)
def test_no_change_without_the_pages_token(server: Server, target: str) -> None:
    for headers in ({}, {"X-CSRF-Token": "x"}):
        answer = server.post(f"/api/jobs/shop/{target}", headers=headers)
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.json()["error"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=str,
)
def test_no_change_from_another_site_even_with_the_token(
    server: Server, target: str, foreign: dict[str, str]
) -> None:
    headers = {**server.csrf(), **foreign}
    answer = server.post(f"/api/jobs/shop/{target}", headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["/", "/api/jobs", "/api/session", "/api/events", "/static/job.js"]
)
def test_a_foreign_host_name_sees_nothing(server: Server, path: str) -> None:
    answer = server.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert "shop" not in answer.text
    assert "csrf" not in answer.text


def test_another_sites_page_cannot_fetch_the_token(server: Server) -> None:
    asked = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "script",
    }
    assert server.get("/api/session", headers=asked).status_code == 403
    allowed = server.get("/api/session").headers
    assert "access-control-allow-origin" not in allowed
    assert allowed["cross-origin-resource-policy"] == "same-origin"


def test_a_form_of_another_site_cannot_be_mistaken_for_json(server: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = server.client.post(
            "/api/jobs/shop/plan",
            content=b'{"command": "run"}',
            headers={**server.csrf(), "Content-Type": kind},
        )
        assert answer.status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"command": "rm"}',
        b'{"limit": -1}',
        b'{"limit": "1; rm -rf /"}',
        b'{"profile": "/etc/passwd"}',
        b'{"base_url": "http://evil.example"}',
        b'{"max_cost_usd": 1e400}',
        b'{"only": ["' + b"x" * 2000 + b'"]}',
        b"\xff\xfe",
        b'{"only": ' + b"[" * 60_000,
    ],
    ids=lambda body: body[:24].decode("latin-1") or "empty",
)
def test_a_crooked_body_is_refused_in_words(server: Server, body: bytes) -> None:
    headers = {**server.csrf(), "Content-Type": "application/json"}
    answer = server.client.post("/api/jobs/shop/plan", content=body, headers=headers)
    assert answer.status_code == (200 if not body else 400), answer.text
    if body:
        assert "cannot be used" in answer.json()["error"]


@pytest.mark.parametrize(("target", "size"), [("plan", 70_000), ("decisions", 9 << 20)])
def test_a_large_body_is_refused(server: Server, target: str, size: int) -> None:
    headers = {**server.csrf(), "Content-Type": "application/json"}

    def parts() -> Iterator[bytes]:
        for _ in range(size // 10_000):
            yield b" " * 10_000

    for content in (b" " * size, parts()):
        try:
            answer = server.client.post(
                f"/api/jobs/shop/{target}", content=content, headers=headers
            )
        except httpx.WriteError:
            continue  # it hung up while we were still talking, as it may
        assert answer.status_code == 413
    assert server.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/../../etc/passwd",
        "/jobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/jobs/..%2fmanifests%2fshop",
        "/jobs/nothing",
        "/jobs/shop/gallery/../../../../../../etc/passwd",
        "/jobs/shop/gallery/data/../../../etc/passwd",
        "/jobs/shop/gallery/pictures/output?edit=../../../etc/passwd&number=1",
        "/jobs/shop/gallery/pictures/output?edit=e0&number=../1",
        "/jobs/shop/gallery/pictures/output?edit=e0&number=%F0%9D%9F%8F",
        "/jobs/shop/gallery/thumbs/secret?edit=e0&number=1",
        "/static/../access.py",
        "/static/..%2faccess.py",
        "/static/frame.html",
        "/static/gallery/..%2fpage.html",
        "/static/gallery/page.html",
        "/api/jobs/shop/runs/..%2f..%2fledger/log",
        "/api/jobs/shop/runs/x/log?from=-1",
        "/api/jobs/shop/runs/x/log?from=%C2%B2",
        "/api/other/shop",
        "/nothing",
    ],
)
def test_no_address_leads_outside(server: Server, path: str) -> None:
    answer = raw(server, f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert answer.startswith(b"HTTP/1.1 404 "), answer[:300]
    assert b"root:" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize("path", ["/", "/api/jobs", "/nothing", "/static/look.css", "/healthz"])
def test_every_answer_is_dressed(server: Server, path: str) -> None:
    headers = server.get(path, headers={"Accept": "text/html"}).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["server"] == "pipeline", "which library it is, is nobody's business"


def test_methods_that_an_address_does_not_take_are_refused(server: Server) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = server.client.request(method, "/api/jobs/shop", headers=server.csrf())
        assert answer.status_code in (404, 405)
    assert server.get("/api/jobs/shop/start").status_code in (404, 405)


def test_hostile_text_is_escaped_in_every_page(tmp_path: Path) -> None:
    shop = Shop(tmp_path).with_edits(1)
    hostile = "<script>alert(1)</script>\"'&"
    name = f"a{hostile.replace('/', '∕')}.yaml"
    (shop.job.parent / name).write_text(
        "manifest: '../manifests/<img src=x onerror=alert(1)>.csv'\n"
    )
    with serving(shop.job.parent) as server:
        key = next(
            each["job"]["key"]
            for each in server.json("/api/jobs")
            if "script" in each["job"]["key"]
        )
        for page in ("", "/settings", "/charts"):
            address = httpx.URL(server.url).copy_with(path=f"/jobs/{key}{page}")
            answer = server.get(str(address), headers={"Accept": "text/html"})
            assert "<script>alert" not in answer.text
            assert "<img src=x" not in answer.text


def test_a_read_only_server_has_no_actions_at_all(shop: Shop) -> None:
    with serving(shop.job.parent, "--read-only") as server:
        assert server.json("/api/session")["read_only"] is True
        for target in TARGETS:
            answer = server.post(f"/api/jobs/shop/{target}", {})
            assert answer.status_code in (403, 404, 405)
            assert "read-only" in answer.text
        assert 'data-read-only="yes"' in server.get("/jobs/shop").text


def test_settings_are_shown_as_understood_and_without_comments(tmp_path: Path) -> None:
    shop = Shop(tmp_path).with_edits(1)
    shop.job.write_text(shop.job.read_text() + "\n# key: sk-0123456789abcdef0123456789abcdef\n")
    with serving(shop.job.parent) as server:
        found: dict[str, Any] = server.json("/api/jobs/shop/settings")
        assert found["settings"]["prompt"] == "Make it white"
        assert found["settings"]["manifest"] == ["../manifests/shop.csv"]
        assert "sk-0123" not in json.dumps(found) + server.get("/jobs/shop/settings").text
