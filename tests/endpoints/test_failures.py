"""The one mapping from HTTP to the pipeline's errors."""

import asyncio
import inspect
import json
import ssl
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest

from pipeline.endpoints.failures import (
    clean_text,
    error_for,
    mapped_errors,
    read_problem,
    retry_after_s,
)
from pipeline.errors import (
    AuthenticationError,
    ConnectionFailed,
    ContentRefusedError,
    InputError,
    ModelGoneError,
    PipelineError,
    QuotaExceededError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
    TransientError,
)

NOW = 1_790_000_000.0
KEY = "sk-0123456789abcdef"


def plain(status: int, message: Any) -> bytes:
    return json.dumps(
        {"message": message, "path": "/v1", "requestId": "r", "statusCode": str(status)}
    ).encode()


def problem(status: int, message: str, kind: str = "") -> bytes:
    error = {"name": "X", "message": message, "data": {"kind": kind}}
    return json.dumps(
        {"title": "T", "status": status, "message": message, "instance": "/", "error": error}
    ).encode()


def html(status: int, message: str) -> bytes:
    return (
        f"<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>".encode()
    )


FORMATS = {
    "plain": plain,
    "list": lambda status, message: plain(status, [message]),
    "problem": problem,
    "html": html,
    "text": lambda status, message: message.encode(),
}

TABLE: list[tuple[int, str, type[PipelineError]]] = [
    (400, "Body validation error: Expected string, received number", RequestRejectedError),
    (400, "The prompt was rejected by our safety system", ContentRefusedError),
    (422, "Content policy violation", ContentRefusedError),
    (422, "image_urls must hold at most 3 elements", RequestRejectedError),
    (401, "Invalid API key", AuthenticationError),
    (402, "Payment required", QuotaExceededError),
    (403, "You do not have enough credits", QuotaExceededError),
    (403, "Insufficient funds", QuotaExceededError),
    (403, "Check your billing plan", QuotaExceededError),
    (403, "Forbidden", ModelGoneError),
    (404, "Model not found", ModelGoneError),
    (408, "Timeout", ServerError),
    (413, "Too large", RequestRejectedError),
    (418, "Teapot", RequestRejectedError),
    (425, "Too early", ServerError),
    (429, "Too many requests", RateLimitError),
    *((status, "Oops", ServerError) for status in (500, 501, 502, 503, 504, 599)),
    *((status, "Oops", ServerError) for status in range(520, 525)),
    (302, "Moved", ServerError),
    (304, "Same", ServerError),
]


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize(("status", "message", "expected"), TABLE)
def test_every_status_has_its_meaning_in_every_body_format(
    status: int, message: str, expected: type[PipelineError], style: str
) -> None:
    error = error_for(status, {}, FORMATS[style](status, message), now=NOW)
    assert type(error) is expected
    assert message in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize(("status", "message", "expected"), TABLE)
def test_a_status_without_a_body_has_a_meaning_too(
    status: int, message: str, expected: type[PipelineError]
) -> None:
    error = error_for(status, {}, b"", now=NOW)
    assert isinstance(error, PipelineError)
    if expected not in (ContentRefusedError, QuotaExceededError):
        assert type(error) is expected


def test_no_money_is_known_by_its_kind_too_as_they_spell_it() -> None:
    body = problem(403, "Forbidden", "err_insufficent_credits")
    assert isinstance(error_for(403, {}, body, now=NOW), QuotaExceededError)


def test_a_refusal_is_known_by_its_kind_too() -> None:
    body = problem(400, "Not possible", "content_policy_violation")
    assert isinstance(error_for(400, {}, body, now=NOW), ContentRefusedError)


def test_a_validation_error_about_a_safety_option_is_no_refusal() -> None:
    body = plain(400, "Body validation error: safety setting: Expected string, received number")
    assert type(error_for(400, {}, body, now=NOW)) is RequestRejectedError


@pytest.mark.parametrize("status", [504, 520, 524])
def test_a_gateway_that_lost_patience_may_have_been_charged(status: int) -> None:
    error = error_for(status, {}, b"", now=NOW)
    assert isinstance(error, TransientError)
    assert error.sent


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 521, 522, 523])
def test_an_answered_failure_was_not_charged(status: int) -> None:
    error = error_for(status, {}, b"", now=NOW)
    assert isinstance(error, TransientError)
    assert not error.sent


def test_every_message_names_a_way_out_where_a_person_has_to_act() -> None:
    assert "endpoint.api_key_env" in str(error_for(401, {}, b"", now=NOW))
    assert "Top up" in str(error_for(402, {}, b"", now=NOW))
    assert "endpoint.model" in str(error_for(404, {}, b"", now=NOW, model="a/b"))
    assert "a/b" in str(error_for(404, {}, b"", now=NOW, model="a/b"))
    assert "inputs.max_side" in str(error_for(413, {}, b"", now=NOW))
    moved = error_for(302, {"Location": "https://elsewhere/"}, b"", now=NOW)
    assert "https://elsewhere/" in str(moved)
    assert "endpoint.base_url" in str(moved)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("Wed, 99 Foo 2026", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, expected: float | None) -> None:
    assert retry_after_s({"Retry-After": value}, now=NOW) == expected
    error = error_for(429, {"Retry-After": value}, b"", now=NOW)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == expected


def test_a_server_error_may_ask_to_wait_too() -> None:
    error = error_for(503, {"Retry-After": "7"}, b"", now=NOW)
    assert isinstance(error, ServerError)
    assert error.retry_after == 7.0


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 413, 429, 500])
def test_the_key_is_in_no_message_even_if_the_server_echoes_it(status: int) -> None:
    body = plain(status, f"key {KEY} is wrong, \x1b[31m{KEY[:5]}\x1b[0m{KEY[5:]}")
    headers = {"Location": f"https://x/{KEY}"}
    error = error_for(status, headers, body, now=NOW, secret=KEY)
    assert KEY not in str(error)
    assert KEY.encode() not in (getattr(error, "body", None) or b"")
    assert KEY not in repr(error)


def test_text_from_outside_is_made_safe_to_print() -> None:
    assert clean_text("a\x1b[31mred\x1b[0m\r\n\x07b\x1b]0;title\x07c") == "ared bc"
    assert clean_text("\x9b2Jx\u202ey\u200bz") == "x y z"
    assert len(clean_text("x" * 10_000)) == 500
    assert clean_text("\ud800x") == "x"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"plain words", "plain words"),
        (b'"a string"', "a string"),
        (b"[1, 2]", "[1, 2]"),
        (b'{"error": "in words"}', "in words"),
        (b'{"message": null, "title": "The title"}', "The title"),
        (b'{"message": [{"field": "n"}, "b"]}', '{"field":"n"}; b'),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b'{"message": {"deep": 1}}', '{"message": {"deep": 1}}'),
    ],
)
def test_any_body_is_read_as_far_as_possible(body: bytes, message: str) -> None:
    assert read_problem(body).message == message


class Progress:
    def __init__(self, *, handed_over: bool, failure: PipelineError | None = None) -> None:
        self.handed_over = handed_over
        self.failure = failure


def all_subclasses(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    yield cls
    for inner in cls.__subclasses__():
        yield from all_subclasses(inner)


FOREIGN = sorted(
    {
        cls
        for cls in all_subclasses(aiohttp.ClientError)
        if cls.__module__.startswith("aiohttp.") and not inspect.isabstract(cls)
    },
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("handed_over", [False, True])
@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda cls: cls.__name__)
def test_every_exception_of_aiohttp_is_translated(
    foreign: type[BaseException], handed_over: bool
) -> None:
    error = foreign.__new__(foreign)
    for name in ("message", "status", "_conn_key", "_os_error", "_certificate_error"):
        if not hasattr(error, name):
            setattr(error, name, "")
    # Some put their text together from a connection that is not there: then the name will do.
    error.__class__ = type(foreign.__name__, (foreign,), {"__str__": lambda _: "what it says"})
    with (
        pytest.raises(ConnectionFailed) as caught,
        mapped_errors(Progress(handed_over=handed_over), place="https://x", timeout_s=9),
    ):
        raise error
    assert caught.value.sent is handed_over
    assert "https://x" in str(caught.value)


@pytest.mark.parametrize(
    "foreign",
    [
        TimeoutError(),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        ssl.SSLError(1, "bad record"),
        OSError(113, "No route to host"),
        asyncio.IncompleteReadError(b"", 3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_the_system_are_translated_too(foreign: Exception) -> None:
    with (
        pytest.raises(ConnectionFailed) as caught,
        mapped_errors(Progress(handed_over=True), place="https://x", timeout_s=9),
    ):
        raise foreign
    assert caught.value.sent
    assert caught.value.__cause__ is foreign


def test_what_the_body_broke_off_with_goes_first() -> None:
    failure = InputError("a.png: gone")
    with (
        pytest.raises(InputError) as caught,
        mapped_errors(Progress(handed_over=False, failure=failure), place="x", timeout_s=9),
    ):
        raise aiohttp.ClientConnectionError("wrapped")
    assert caught.value is failure


def test_bugs_and_our_own_errors_pass_untouched() -> None:
    for error in (KeyError("bug"), InputError("ours")):
        with (
            pytest.raises(type(error)),
            mapped_errors(Progress(handed_over=True), place="x", timeout_s=9),
        ):
            raise error
