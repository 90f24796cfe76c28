"""Where pictures are edited: the `Endpoint` protocol, and how to open one."""

import difflib
import importlib
from collections.abc import Callable
from typing import Protocol, cast

from pipeline.errors import JobError
from pipeline.models import Draft, EditRequest, EditResponse, ModelSpec

PROVIDERS = {
    "aimlapi": "pipeline.endpoints.aimlapi:open_aimlapi",
}
"""Each provider's `open_…` function, imported when a job asks for it."""


class Endpoint(Protocol):
    """One hosted model that edits pictures.

    ``origin`` names whose answers these are: a ledger belongs to one. ``model`` says what it takes.
    """

    origin: str
    model: ModelSpec

    async def edit(self, request: EditRequest, *, draft: Callable[[], Draft]) -> EditResponse:
        """Sends one request, once, and streams every picture of the answer into a new draft.

        Never retries, never logs, never touches the ledger. On any error, and when cancelled, every
        draft it opened was discarded. Raises:

        - `RequestRejectedError`, `ContentRefusedError`: an answer that a retry would only repeat
        - `RateLimitError`, `ServerError`: answered, not charged
        - `ConnectionFailed`: no whole answer; ``sent`` tells whether it may have been charged
        - `BadResponseError`, `NoImageError`: a success status and nothing usable in it; ``body``
          has the answer, cut; ``cost_usd`` what it cost, as far as the provider said
        - `AuthenticationError`, `QuotaExceededError`, `ModelGoneError`: every request would fail so
        - `StoreError` from the drafts
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


def open_endpoint(
    provider: str,
    *,
    model: ModelSpec,
    base_url: str,
    api_key: str,
    timeout_s: float = 300.0,
    connect_timeout_s: float = 10.0,
    download_timeout_s: float = 60.0,
    price_usd: float | None = None,
    max_response_bytes: int = 64 << 20,
) -> Endpoint:
    """Opens a provider's endpoint for one model; connects on first use.

    Times are seconds; ``price_usd`` is for one picture and overrides the catalog's. Raises
    `JobError` for an unknown provider, or a URL or key that cannot be used.
    """
    if provider not in PROVIDERS:
        near = difflib.get_close_matches(provider, PROVIDERS, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        raise JobError(
            f"endpoint.provider: unknown provider {provider!r}{guess}."
            f" Known providers: {', '.join(PROVIDERS)}"
        )
    module, _, function = PROVIDERS[provider].partition(":")
    open_provider = getattr(importlib.import_module(module), function)
    return cast(
        Endpoint,
        open_provider(
            model=model,
            base_url=base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            download_timeout_s=download_timeout_s,
            price_usd=price_usd,
            max_response_bytes=max_response_bytes,
        ),
    )
