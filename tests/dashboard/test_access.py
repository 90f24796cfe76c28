"""Who may ask what, decided from a request's headers alone."""

import pytest

from pipeline.dashboard.access import COOKIE, CSRF_HEADER, Access, is_loopback

OURS = {"Host": "127.0.0.1:8787"}


@pytest.fixture
def access() -> Access:
    return Access(token=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_are_told(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.evil"])
def test_addresses_that_others_reach_are_told(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8787", "localhost:9", "[::1]:8787", "10.0.0.3", "LOCALHOST", "localhost."]
)
def test_addresses_in_numbers_and_localhost_are_ours(access: Access, host: str) -> None:
    assert access.foreign("GET", {"Host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example:8787",
        "",
        "127.0.0.1@evil.example",
        "127.0.0.1.evil",
        "evil.example#127.0.0.1",
        "[::1",
        "a b",
        "localhost/evil.example",
    ],
)
def test_a_name_that_somebody_pointed_here_is_refused(access: Access, host: str) -> None:
    refusal = access.foreign("GET", {"Host": host})
    assert refusal is not None
    assert refusal.status == 403


def test_a_name_that_was_allowed_is_ours() -> None:
    access = Access(token=None, names=["Pictures.Example"])
    assert access.foreign("GET", {"Host": "pictures.example:443"}) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_sites_page_fetches_is_refused(access: Access, site: str) -> None:
    asked = {**OURS, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert access.foreign("GET", asked) is not None
    assert access.foreign("POST", {**OURS, "Sec-Fetch-Site": site}) is not None


def test_a_link_from_elsewhere_may_be_followed_but_no_form_may_be_sent(access: Access) -> None:
    asked = {**OURS, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert access.foreign("GET", asked) is None
    assert access.foreign("POST", asked) is not None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:8788",
        "file://",
        "http://127.0.0.1:8787.evil.example",
        "",
    ],
)
def test_a_change_from_another_origin_is_refused(access: Access, origin: str) -> None:
    assert access.foreign("POST", {**OURS, "Origin": origin}) is not None


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8787", "https://127.0.0.1:8787"])
def test_a_change_from_our_own_page_passes(access: Access, origin: str) -> None:
    assert access.foreign("POST", {**OURS, "Origin": origin}) is None


@pytest.mark.parametrize("given", ["", "x", "é", "a" * 5000])
def test_a_change_needs_the_pages_token(access: Access, given: str) -> None:
    assert access.may_change({CSRF_HEADER: given}) is not None
    assert access.may_change({}) is not None
    assert access.may_change({CSRF_HEADER: access.csrf}) is None


def test_nothing_makes_a_read_only_server_change_anything() -> None:
    access = Access(token="0123456789abcdef", read_only=True)
    given = {CSRF_HEADER: access.csrf, "Authorization": "Bearer 0123456789abcdef"}
    assert access.may_change(given) is not None


def test_a_visitor_is_known_by_the_cookie_or_the_token() -> None:
    access = Access(token="0123456789abcdef")
    assert not access.knows({}, {})
    assert not access.knows({}, {COOKIE: "0123456789abcdef"}), "the token is not the cookie"
    assert not access.knows({"Authorization": "Basic 0123456789abcdef"}, {})
    assert not access.knows({"Authorization": "Bearer 0123456789abcdeX"}, {})
    assert access.knows({}, {COOKIE: access.session})
    assert access.knows({"Authorization": "bearer 0123456789abcdef"}, {})


def test_two_servers_do_not_share_their_secrets() -> None:
    one, other = Access(token=None), Access(token=None)
    assert one.csrf != other.csrf
    assert one.session != other.session


def test_without_a_token_nobody_has_one() -> None:
    access = Access(token=None)
    assert access.knows({}, {})
    assert not access.is_token("")
    assert not access.bearer({"Authorization": "Bearer "})
