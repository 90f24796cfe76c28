"""Where pictures are edited: the `Endpoint` protocol, the `Account` behind it, how to open them."""

import difflib
import importlib
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import msgspec

from pipeline.errors import JobError
from pipeline.models import Draft, EditRequest, EditResponse, ModelSpec

PROVIDERS = {
    "aimlapi": "pipeline.endpoints.aimlapi:open_aimlapi",
}
"""Each provider's `open_…` function, imported when a job asks for it."""

ACCOUNTS = {
    "aimlapi": "pipeline.endpoints.account:open_aimlapi_account",
}
"""The same for the provider's books."""


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
    first_byte_timeout_s: float | None = None,
    download_timeout_s: float = 60.0,
    price_usd: float | None = None,
    max_response_bytes: int = 64 << 20,
) -> Endpoint:
    """Opens a provider's endpoint for one model; connects on first use.

    Times are seconds; ``price_usd`` is for one picture and overrides the catalog's. Raises
    `JobError` for an unknown provider, or a URL or key that cannot be used.
    """
    open_provider = _opener(provider, PROVIDERS)
    return cast(
        Endpoint,
        open_provider(
            model=model,
            base_url=base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            first_byte_timeout_s=first_byte_timeout_s,
            download_timeout_s=download_timeout_s,
            price_usd=price_usd,
            max_response_bytes=max_response_bytes,
        ),
    )


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What is left on the account."""

    usd: float


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the provider's log has it. ``cost_usd``: ``None`` where it does not say.

    ``client_request_id`` is the attempt's id, where we sent one.
    """

    created_at: float
    succeeded: bool
    cost_usd: float | None
    model: str | None = None
    inference_id: str | None = None
    client_request_id: str | None = None


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log. ``next_offset``: of the page behind it; ``None``: this was the last."""

    entries: tuple[LogEntry, ...]
    next_offset: int | None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of the balance. ``usd`` is never negative; ``direction`` has the sign.

    ``reference_id``: for a model's use it is the inference id.
    """

    created_at: float
    direction: Literal["charge", "topup"]
    kind: str
    usd: float
    model: str | None = None
    reference_id: str | None = None


class TransactionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of movements. ``next_cursor``: of the page behind it; ``None``: this was the last."""

    transactions: tuple[Transaction, ...]
    next_cursor: str | None


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the provider offers. ``price_usd``: of a picture; ``None``: it does not say."""

    id: str
    price_usd: float | None


class Account(Protocol):
    """The provider's books: what it says was asked for, and charged. Reading costs nothing.

    Times are seconds since the epoch. Every method reads one page, and waits first where the
    provider limits how often it may be asked; none retries after an answer. They raise:

    - `AuthenticationError`, `QuotaExceededError`: the key is not accepted
    - `RateLimitError`, `ServerError`, `ConnectionFailed`: may pass by itself
    - `RequestRejectedError`: there is no such page, or it is closed to this key
    - `BadResponseError`: an answer that is no such page
    """

    origin: str

    async def balance(self) -> Balance:
        """What is left."""
        ...

    async def logs(self, *, start: float, end: float, offset: int = 0) -> LogPage:
        """Requests that began in the window, newest first; shown some time after they ended.

        The window may be as long as `LONGEST_LOG_WINDOW_S`.
        """
        ...

    async def transactions(
        self, *, start: float, end: float, cursor: str | None = None
    ) -> TransactionPage:
        """Movements of the balance in the window, newest first; shown after a delay."""
        ...

    async def model(self, model_id: str) -> ModelState | None:
        """Whether the provider offers a model, and for how much; ``None``: it does not."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


LONGEST_LOG_WINDOW_S = 90 * 86_400.0
"""The provider's own limit is 92 days."""


def open_account(
    provider: str,
    *,
    base_url: str,
    api_key: str,
    timeout_s: float = 30.0,
    connect_timeout_s: float = 10.0,
) -> Account:
    """Opens a provider's books; connects on first use.

    Times are seconds. Raises `JobError` for an unknown provider, or a URL or key that cannot be
    used.
    """
    open_provider = _opener(provider, ACCOUNTS)
    return cast(
        Account,
        open_provider(
            base_url=base_url,
            api_key=api_key,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
        ),
    )


def _opener(provider: str, table: dict[str, str]) -> Any:
    if provider not in table:
        near = difflib.get_close_matches(provider, table, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        raise JobError(
            f"endpoint.provider: unknown provider {provider!r}{guess}."
            f" Known providers: {', '.join(table)}"
        )
    module, _, function = table[provider].partition(":")
    return getattr(importlib.import_module(module), function)
