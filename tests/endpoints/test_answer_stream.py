"""Reading an answer while it arrives."""

import base64
import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.endpoints.answer_stream import LONG_STRING, AnswerStream
from pipeline.errors import BadResponseError
from tests.endpoints.memory_drafts import MemoryDrafts

PREFIX = "data:image/png;base64,"


def read(raw: bytes, cuts: list[int] | None = None, **limits: int) -> tuple[Any, MemoryDrafts]:
    """The document with its long base64 strings as bytes, or as the problem with them."""
    drafts = MemoryDrafts()
    stream = AnswerStream(drafts, **limits)
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts or []), len(raw)]
    for start, stop in itertools.pairwise(edges):
        stream.feed(raw[start:stop])
    answer = stream.close()

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: resolve(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [resolve(inner) for inner in value]
        if isinstance(value, str) and value in answer.inline:
            picture = answer.inline[value]
            return picture.problem or bytes(picture.draft.data)  # type: ignore[attr-defined]
        return value

    return resolve(answer.document), drafts


def noise(length: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(length)


def decoded(value: Any) -> Any:
    """What any other reader would make of the document: json.loads and b64decode."""
    if isinstance(value, dict):
        return {key: decoded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [decoded(inner) for inner in value]
    if isinstance(value, str) and len(value) >= LONG_STRING:
        text = value.removeprefix(PREFIX)
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return value
    return value


pictures = st.builds(
    lambda length, seed, prefixed: (
        (PREFIX if prefixed else "") + base64.b64encode(noise(length, seed)).decode()
    ),
    st.integers(1600, 9000),
    st.integers(0, 9),
    st.booleans(),
)
texts = st.one_of(
    st.text(max_size=40), st.sampled_from(['"', "\\", '\\"', "\\\\", "é\u2028", "😀"])
)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts, pictures),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None)
@given(documents, st.lists(st.integers(0, 40_000), max_size=12), st.booleans())
def test_any_split_of_any_answer_reads_like_json_and_base64(
    document: Any, cuts: list[int], ascii_only: bool
) -> None:
    raw = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert read(raw, cuts)[0] == decoded(document)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 2047, 2048, 2049])
def test_chunks_of_any_size_give_the_same_bytes(step: int) -> None:
    data = noise(5000)
    encoded = base64.b64encode(data).decode().replace("/", "\\/").replace("+", "\\u002b")
    raw = f'{{"a": "x\\"y", "data": [{{"b64_json": "{PREFIX}{encoded}", "u": "\\\\"}}]}}'.encode()
    document, _ = read(raw, list(range(0, len(raw), step)))
    assert document == {"a": 'x"y', "data": [{"b64_json": data, "u": "\\"}]}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: "\n".join(_lines(text)), id="lines"),
        pytest.param(lambda text: "\r\n".join(_lines(text)) + "\r\n", id="windows lines"),
        pytest.param(lambda text: " " + text + " ", id="spaces around"),
        pytest.param(lambda text: text.replace("+", "-").replace("/", "_"), id="url-safe"),
        pytest.param(lambda text: text.rstrip("="), id="no padding"),
        pytest.param(lambda text: PREFIX.upper() + text, id="upper-case prefix"),
        pytest.param(lambda text: "data:image/png;charset=utf-8;base64," + text, id="long prefix"),
        pytest.param(lambda text: "data:;base64," + text, id="bare prefix"),
    ],
)
@pytest.mark.parametrize("length", [4999, 5000, 5001])
@pytest.mark.parametrize("step", [2, 613, 100_000])
def test_base64_as_it_really_comes_is_accepted(spoil: Any, length: int, step: int) -> None:
    data = noise(length)
    raw = json.dumps([spoil(base64.b64encode(data).decode())]).encode()
    assert read(raw, list(range(0, len(raw), step)))[0] == [data]


def _lines(text: str) -> list[str]:
    return [text[start : start + 76] for start in range(0, len(text), 76)]


@pytest.mark.parametrize(
    "tail", ["!", "=AAAA", "A", "é", "\\u0000", '\\"', "====", "AA=A"], ids=ascii
)
@pytest.mark.parametrize("step", [3, 100_000])
def test_broken_base64_is_a_problem_of_that_string_alone(tail: str, step: int) -> None:
    encoded = base64.b64encode(noise(3000)).decode()
    raw = f'{{"bad": "{encoded}{tail}", "good": "{encoded}"}}'.encode()
    document, _ = read(raw, list(range(0, len(raw), step)))
    assert isinstance(document["bad"], str)
    assert "invalid base64" in document["bad"]
    assert document["good"] == noise(3000)


def test_long_text_that_is_no_base64_stays_text() -> None:
    text = 'It says: "no", in every language. \\ ' * 200
    raw = json.dumps({"description": text}).encode()
    document, drafts = read(raw, list(range(0, len(raw), 1000)))
    assert document == {"description": text}
    assert drafts.all == []


def test_short_base64_stays_in_the_document() -> None:
    short = base64.b64encode(noise(900)).decode()
    document, drafts = read(json.dumps([short]).encode())
    assert (document, drafts.all) == ([short], [])


@pytest.mark.parametrize("length", [2044, 2046, 2047, 2048, 2050, 2051, 2052])
def test_a_string_of_about_the_limit_is_text_below_it_and_bytes_above(length: int) -> None:
    document, _ = read(json.dumps(["A" * length]).encode(), [1, 1000])
    assert document == (["A" * length] if length < LONG_STRING else [bytes(length * 3 // 4)])


def test_the_server_cannot_name_a_picture_by_guessing_its_marker() -> None:
    drafts = MemoryDrafts()
    stream = AnswerStream(drafts)
    encoded = base64.b64encode(noise(3000)).decode()
    stream.feed(json.dumps({"a": encoded, "b": "<picture 1>"}).encode())
    answer = stream.close()
    assert answer.document["a"] in answer.inline
    assert answer.document["b"] not in answer.inline


def test_memory_stays_flat_whatever_the_picture() -> None:
    stream = AnswerStream(MemoryDrafts())
    stream.feed(b'{"data": [{"b64_json": "')
    for _ in range(100):
        stream.feed(b"QUJD" * 10_000)
    assert len(stream.skeleton) < 200
    stream.feed(b'"}]}')
    stream.close()


def test_an_answer_over_the_cap_is_refused_while_it_arrives() -> None:
    with pytest.raises(BadResponseError, match="larger than 1000 bytes"):
        read(b'"' + b"A" * 5000 + b'"', [500, 900, 1100], max_bytes=1000)


def test_an_endless_text_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(BadResponseError, match="more than 10000 bytes besides pictures"):
        read(json.dumps(["a!" * 20_000]).encode(), max_skeleton=10_000)


def test_an_answer_of_very_many_pictures_is_refused() -> None:
    raw = json.dumps(["A" * LONG_STRING] * 100).encode()
    with pytest.raises(BadResponseError, match="more than 64 pictures"):
        read(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": "b', b'{"a": "' + b"A" * 5000, b'["a\\'])
def test_an_answer_that_breaks_off_may_have_been_charged(raw: bytes) -> None:
    with pytest.raises(BadResponseError) as caught:
        read(raw)
    assert caught.value.sent


@pytest.mark.parametrize("raw", [b"<html>", b'{"a": nope}', b"[1,]", b'{"a": "\\x"}', b"\xff\xfe"])
def test_what_is_no_json_is_an_answer_all_the_same(raw: bytes) -> None:
    with pytest.raises(BadResponseError, match="no JSON") as caught:
        read(raw)
    assert not caught.value.sent


def test_a_byte_order_mark_is_ignored() -> None:
    assert read(b"\xef\xbb\xbf[1]")[0] == [1]


def test_nesting_without_end_is_no_json() -> None:
    with pytest.raises(BadResponseError):
        read(b"[" * 100_000 + b"]" * 100_000)
