"""What a run learns of its endpoint's limits, kept in the ledger: the next night starts near it."""

import hashlib
import time
from collections.abc import Callable
from random import Random

import msgspec

from pipeline.job import Job
from pipeline.ledger import Ledger, LedgerReader
from pipeline.limits.state import Learned
from pipeline.limits.throttle import Limits, Throttle
from pipeline.setbacks import CoolingDown, Setback

LAST = "pace"
"""The note of what held after the latest 429, in words."""


class PaceMemory:
    """For one endpoint, model and key: another key may have other limits.

    The key itself is not kept, nor anything it could be guessed from.
    """

    def __init__(
        self, ledger: Ledger, reader: LedgerReader, *, origin: str, model: str, key: str
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        fingerprint = hashlib.sha256(f"pace of {key}".encode()).hexdigest()[:16]
        self._name = f"pace {origin} {model} {fingerprint}"

    def throttle(self, job: Job, rng: Random) -> Throttle:
        """By the job's limits, starting from what the last run learned."""
        limits = Limits(
            concurrency=job.limits.concurrency,
            requests_per_minute=job.limits.requests_per_minute,
            images_per_minute=job.limits.images_per_minute,
            adaptive=job.limits.adaptive,
        )
        return Throttle(limits, rng=rng, start=self._recalled())

    def noting(self, observe: Callable[[Setback], None]) -> Callable[[Setback], None]:
        """``observe``, and a note of each cooldown, which ``pipeline status`` shows."""

        def noted(event: Setback) -> None:
            if isinstance(event, CoolingDown):
                self._ledger.keep_note(LAST, f"{event.pace}, learned from a 429")
            observe(event)

        return noted

    def keep(self, throttle: Throttle) -> None:
        """Call when a run's requests are over. Raises `LedgerError`."""
        learned = throttle.learned(now=time.time())
        if learned is not None:
            self._ledger.keep_note(self._name, msgspec.json.encode(learned).decode())

    def _recalled(self) -> Learned | None:
        """``None``: nothing, or nothing that this version can read."""
        text = self._reader.note(self._name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=Learned)
        except msgspec.DecodeError:
            return None
