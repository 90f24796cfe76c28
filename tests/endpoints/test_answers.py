"""What an answer's document says."""

from typing import Any

import pytest

from pipeline.endpoints.answers import answer_text, find_images, speaks_of_refusal, stated_cost

CASES: list[tuple[str, Any, list[str]]] = [
    (
        "choices",
        {"output": {"choices": [{"image_base64": "A"}, {"image_base64": "B"}]}},
        ["A", "B"],
    ),
    ("images", {"images": [{"url": "https://x/1"}], "description": ""}, ["https://x/1"]),
    ("data url", {"data": [{"url": "https://x/1", "b64_json": None}]}, ["https://x/1"]),
    ("data base64", {"data": [{"url": None, "b64_json": "A"}]}, ["A"]),
    ("both say the same", {"images": [{"url": "u"}], "data": [{"url": "u"}]}, ["u"]),
    ("first list empty", {"images": [], "data": [{"b64_json": "A"}]}, ["A"]),
    (
        "first list null",
        {"images": None, "data": None, "output": {"choices": [{"url": "u"}]}},
        ["u"],
    ),
    ("first list of nulls", {"images": [None, {}], "data": [{"url": "u"}]}, ["u"]),
    ("base64 before url", {"data": [{"url": "u", "b64_json": "A"}]}, ["A"]),
    ("empty base64", {"data": [{"url": "u", "b64_json": "", "image_base64": " "}]}, ["u"]),
    ("strings for objects", {"images": ["u", " A ", ""]}, ["u", "A"]),
    ("an object for a list", {"data": {"url": "u"}}, ["u"]),
    ("a nested url", {"images": [{"url": {"url": "u"}}]}, ["u"]),
    ("a bare list", [{"url": "u"}], ["u"]),
    ("wrong types", {"images": 3, "data": [4, [5]], "output": ["x", None]}, ["x"]),
    ("nothing", {"status": "ok", "output": {"choices": []}}, []),
    ("no object", "hello", []),
    ("null", None, []),
]


@pytest.mark.parametrize(
    ("document", "images"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_pictures_are_found_in_every_shape(document: Any, images: list[str]) -> None:
    assert find_images(document) == images


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"description": " Here you are. "}, "Here you are."),
        ({"images": [], "description": None, "data": [{"revised_prompt": "A hat"}]}, "A hat"),
        (
            {"output": {"choices": [{"text": "No.", "finish_reason": "IMAGE_SAFETY"}]}},
            "No. IMAGE SAFETY",
        ),
        ({"message": ["a", "b", 3]}, "a b"),
        ({"description": "twice", "text": "twice"}, "twice"),
        ([], ""),
        (None, ""),
    ],
)
def test_words_are_found_where_answers_put_them(document: Any, text: str) -> None:
    assert answer_text(document) == text


@pytest.mark.parametrize(
    "text",
    [
        "Request blocked by our safety system",
        "This violates the content policy",
        "PROHIBITED CONTENT",
        "flagged by moderation",
        "I'm sorry, I can't help with that.",
        "I cannot generate this picture",
        "I am unable to edit photos of real people",
        "finishReason SAFETY",
    ],
)
def test_refusals_are_recognised_by_their_words(text: str) -> None:
    assert speaks_of_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Here is your picture with a safe on the table",
        "Expected one of '1'..'6' for safety_tolerance, received 9",
        "safety_setting: invalid enum value",
        "enable_safety_checker must be a boolean",
        "no image was returned, please try again",
        "The cat can help itself",
    ],
)
def test_other_words_are_no_refusal(text: str) -> None:
    assert not speaks_of_refusal(text)


def usage(**values: Any) -> dict[str, Any]:
    return {"meta": {"usage": values}}


@pytest.mark.parametrize(
    ("document", "headers", "expected"),
    [
        ({}, {"x-aimlapi-usd-spent": "0.042"}, (0.042, "header")),
        ({}, {"x-aimlapi-credits-used": "84000"}, (0.042, "header")),
        (usage(usd_spent=1), {"x-aimlapi-credits-used": "84000"}, (0.042, "header")),
        (usage(usd_spent=0.06, credits_used=1), {}, (0.06, "body")),
        (usage(credits_used=120000), {}, (0.06, "body")),
        (usage(usd_spent="0.06"), {}, (0.06, "body")),
        (usage(usd_spent=0), {}, (0.0, "body")),
        (usage(usd_spent=0.06), {"x-aimlapi-usd-spent": "garbage"}, (0.06, "body")),
        (usage(usd_spent=-1, credits_used=120000), {}, (0.06, "body")),
        (usage(usd_spent=float("nan")), {"x-aimlapi-usd-spent": "inf"}, (None, "none")),
        (usage(usd_spent=True, credits_used=None), {}, (None, "none")),
        (usage(usd_spent=10**400), {}, (None, "none")),
        ({"meta": None}, {}, (None, "none")),
        ({"meta": {"usage": [1]}}, {}, (None, "none")),
        ([], {"x-aimlapi-usd-spent": ""}, (None, "none")),
    ],
)
def test_the_cost_is_what_the_provider_states_and_nothing_else(
    document: Any, headers: dict[str, str], expected: tuple[float | None, str]
) -> None:
    assert stated_cost(document, headers) == expected
