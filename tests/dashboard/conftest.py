from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dashboard.serving import Server, serving


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers, as `serve(folder, *options)`; they end with the test."""
    with ExitStack() as opened:

        def start(folder: Path, *options: str, **env: str) -> Server:
            return opened.enter_context(serving(folder, *options, env=env))

        yield start
