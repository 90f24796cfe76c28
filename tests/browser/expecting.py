"""What a test expects of a page, with the patience that a busy machine asks for."""

from typing import Any

PATIENCE_MS = 60_000


def expect(thing: Any) -> Any:
    """Playwright's, waiting for as long as a real process may take to start here."""
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=PATIENCE_MS)
    return expected(thing)
