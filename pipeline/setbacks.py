"""Events: how each attempt ended, and what holds an edit, or everybody, up."""

import msgspec


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Event: a request has come to its end; a success is told once its record is durable.

    ``outcome``: ``succeeded``, or the error's code. ``seconds``: from when it left to what came of
    it. ``cost_usd``: ``None`` where nobody knows. ``images``: pictures that were kept.
    """

    edit_id: str
    outcome: str
    seconds: float
    cost_usd: float | None
    images: int


class Retrying(msgspec.Struct, frozen=True, kw_only=True):
    """Event: an attempt failed and another will follow in ``wait_s``, unless the provider's logs
    have to be asked first (the message says so): then that is when they may have answered.
    """

    edit_id: str
    attempt: int
    wait_s: float
    code: str
    message: str


class CoolingDown(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a 429 came; nothing leaves for ``wait_s``, then at most ``concurrency`` at once and,
    if a rate was learned, ``requests_per_minute``.
    """

    wait_s: float
    concurrency: int
    requests_per_minute: float | None

    @property
    def pace(self) -> str:
        """What holds from now on, as learned so far, in words."""
        words = f"at most {self.concurrency} at once"
        if self.requests_per_minute is not None:
            words += f" and {self.requests_per_minute:,.0f} requests a minute"
        return words


class Unlabelled(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a picture was stored as it came, without the facts of its origin, and why."""

    edit_id: str
    message: str

    @property
    def line(self) -> str:
        """In words."""
        return f"{self.edit_id}: kept as it came, without a label of its origin: {self.message}"


Setback = AttemptEnded | Retrying | CoolingDown | Unlabelled
