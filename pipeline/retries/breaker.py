"""When to stop asking: a breaker that opens when the endpoint keeps failing. Pure: time comes in.

closed ── failures ──▶ open ── the wait is over ──▶ one probe ── an answer ──▶ closed
                         ▲                             │
                         └──── a failure, twice the wait ┘
"""

from collections import deque

import msgspec


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds.

    Opens after ``in_a_row`` failures with the same code and no answer in between, or when
    ``share`` of the last ``window`` outcomes are failures of any kind, out of at least ``sample``:
    a share of few outcomes says nothing (a run of a peer was ended by 21 bad ones of 512). Probes
    go after ``probe_first_s``, then after twice as long each time, up to ``probe_max_s``; after
    ``give_up_s`` of failed probes it is no passing fault.
    """

    in_a_row: int = 10
    share: float = 0.8
    window: int = 50
    sample: int = 20
    probe_first_s: float = 2.0
    probe_max_s: float = 60.0
    give_up_s: float = 3600.0


class Breaker:
    """While it is open nothing leaves but one probe at a time, and only the probe's outcome
    counts: what left before the trouble may answer for minutes yet.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._row = 0
        self._code = ""
        self._window: deque[bool] = deque(maxlen=policy.window)
        self._opened_at: float | None = None
        self._probing = False
        self._probe_at = 0.0
        self._wait = 0.0
        self._most = 0.0
        self._give_up_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def answered(self) -> None:
        """An answer came to a request that was no probe: the endpoint works."""
        self._row = 0
        self._window.append(True)

    def failed(self, code: str, *, now: float) -> bool:
        """A request that was no probe failed. True: the breaker has opened just now."""
        if self.is_open:
            return False
        self._row = self._row + 1 if code == self._code else 1
        self._code = code
        self._window.append(False)
        policy = self._policy
        failures = self._window.count(False)
        if self._row < policy.in_a_row and (
            len(self._window) < policy.sample or failures < policy.share * len(self._window)
        ):
            return False
        self.open(
            now=now,
            probe_first_s=policy.probe_first_s,
            probe_max_s=policy.probe_max_s,
            give_up_s=policy.give_up_s,
        )
        return True

    def open(
        self, *, now: float, probe_first_s: float, probe_max_s: float, give_up_s: float
    ) -> None:
        """Opens, or goes on being open by other rules."""
        if self._opened_at is None:
            self._opened_at = now
        self._probing = False
        self._wait = probe_first_s
        self._most = probe_max_s
        self._probe_at = now + probe_first_s
        self._give_up_at = self._opened_at + give_up_s

    def probe_in_s(self, *, now: float) -> float | None:
        """Seconds until a probe may leave; ``None``: one is under way."""
        return None if self._probing else max(0.0, self._probe_at - now)

    def take_probe(self) -> None:
        """The caller's request is the probe: it owes one of the next three calls."""
        self._probing = True

    def probe_answered(self, *, now: float) -> float:
        """Closes. Returns for how many seconds it was open."""
        opened_at = now if self._opened_at is None else self._opened_at
        self._opened_at = None
        self._probing = False
        self._row = 0
        self._window.clear()
        return now - opened_at

    def probe_failed(self, *, now: float) -> bool:
        """It still fails. True: it has for longer than anybody wants to wait."""
        self._probing = False
        self._wait = min(self._wait * 2, self._most)
        self._probe_at = now + self._wait
        return now >= self._give_up_at

    def was_away(self, seconds: float) -> None:
        """Nobody asked for so long, on purpose: that is no patience lost."""
        self._give_up_at += seconds

    def probe_lost(self) -> None:
        """It never came to an answer (cancelled, its input gone): another may go at once."""
        self._probing = False
