"""Where pictures are edited: the `Endpoint` protocol, and how to open one."""

from collections.abc import Callable
from typing import Protocol

from pipeline.models import Draft, EditRequest, EditResponse, ModelSpec


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
