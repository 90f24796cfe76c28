"""Whatever a manifest, a provider or a file name says: in the gallery it is text.

`opened` fails a test in which a page raised an error, opened a dialog, broke its policy or asked
for something elsewhere; a script of somebody else's would do one of these.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.expecting import expect
from tests.browser.sample import Sample
from tests.browser.test_gallery import exported

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><img src=https://evil.example/x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "`);alert(1);//",
    "\\');alert(1);//",
    "--></style><style>*{display:none}</style>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "__proto__",
    "constructor",
    '=HYPERLINK("https://evil.example","x")',
    "\u2028\u2029\u202e\ufeff\u0000\x1b[31m",
    "a" * 5000,
    "../../../../etc/passwd",
)
ADDRESSES = (
    "javascript:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "//evil.example/x.png",
    "\\\\evil.example\\x.png",
    "file:///etc/passwd",
    "ftp://evil.example/x.png",
    "blob:https://evil.example/x",
    '" onerror="alert(1)',
    "https://evil.example/x.png",
)


@pytest.fixture
def hostile(tmp_path: Path) -> Sample:
    made = Sample(tmp_path, key=HOSTILE[2])
    made.columns = [HOSTILE[0], HOSTILE[14]]
    for n, text in enumerate(HOSTILE):
        made.add(
            text,
            prompt=text,
            note=text,
            decision="rejected",
            values=(text, HOSTILE[-1 - n]),
            parameters={text: text, "nested": {text: [text]}},
            name=text,
            message=text,
            checks=[{"name": text, "value": text, "limit": text, "passed": False, "message": text}],
            takes=[
                {
                    "variant": 1,
                    "prompt": text,
                    "decision": text,
                    "note": text,
                    "cost": 0.04,
                    "outputs": [{"src": ADDRESSES[0], "thumb": text}],
                }
            ],
            before=[("", ADDRESSES[n % len(ADDRESSES)])],
            after=[("", ADDRESSES[-2 - n % (len(ADDRESSES) - 1)])],
            fingerprint=text,
        )
    for n, text in enumerate(HOSTILE):
        made.add(f"failed {n}", status="failed", reason=text, message=text, attempts=2)
    for n, address in enumerate(ADDRESSES):
        made.add(f"remote {n}", before=[("", address)], after=(), remote=True)
    return made


def opens(page: Any, edit_id: str) -> None:
    page.evaluate("(id) => { location.hash = new URLSearchParams({ open: id }) }", edit_id)
    page.wait_for_function(
        "(id) => document.querySelector('#loupe h2').textContent === id"
        " && document.querySelector('#loupe aside section')",
        arg=edit_id,
    )


def test_hostile_strings_do_nothing_wherever_they_are_shown(
    hostile: Sample, opened: Callable[..., Any]
) -> None:
    page = opened(hostile.write())
    expect(page.locator("#edit-0 .id")).to_have_text(HOSTILE[0])
    for text in (*HOSTILE, "failed 1", "failed 18"):
        opens(page, text)
        page.keyboard.press("a")
    for group in (HOSTILE[0], HOSTILE[14], "prompt", "reason"):
        page.evaluate("(name) => { location.hash = new URLSearchParams({ group: name }) }", group)
        expect(page.locator(".heading").first).to_be_visible()
    page.evaluate(
        "([c, v]) => { location.hash = new URLSearchParams({ [`col.${c}`]: v, q: v, open: '' }) }",
        [HOSTILE[0], HOSTILE[2]],
    )
    expect(page.locator(".card")).to_have_count(1)
    page.keyboard.press("r")
    page.keyboard.type(HOSTILE[2])
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.scripts.length") == page.evaluate(
        "() => document.querySelectorAll('head > script').length"
    )
    assert page.locator("img[src^='http'], iframe, base, main script").count() == 0


def test_only_relative_and_web_addresses_become_links(
    hostile: Sample, opened: Callable[..., Any]
) -> None:
    page = opened(hostile.write())
    seen = set()
    for text in (*HOSTILE, *(f"remote {n}" for n in range(len(ADDRESSES)))):
        opens(page, text)
        for link in page.locator("#loupe aside a").all():
            seen.add(link.get_attribute("href"))
            assert link.get_attribute("rel") == "noopener noreferrer"
    assert seen == {
        "https://evil.example/x.png",
        '" onerror="alert(1)',  # a file name, and a strange one
    }


def test_a_remote_picture_is_fetched_only_when_asked_for(
    hostile: Sample, opened: Callable[..., Any]
) -> None:
    page = opened(hostile.write())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opens(page, f"remote {len(ADDRESSES) - 1}")
    expect(page.locator(".pane.before button")).to_have_text("Load from evil.example")
    assert not [url for url in asked if url.startswith("http")]


def test_cells_that_a_spreadsheet_would_run_are_defused(
    hostile: Sample, opened: Callable[..., Any]
) -> None:
    page = opened(hostile.write().as_uri() + "#q=hyperlink")
    page.keyboard.press("a")
    [row] = exported(page)
    assert row["id"] == "'" + HOSTILE[16]
