"""What keeps a run from hurting itself, made from its job: retries, the breaker, the watchdog."""

import asyncio
import shlex
import traceback
from collections.abc import Callable
from datetime import datetime

import msgspec

from pipeline.job import Job
from pipeline.retries.breaker import BreakerPolicy
from pipeline.retries.outage import EndpointDown, EndpointUp, OutageGate, OutagePolicy
from pipeline.retries.policy import RetryPolicy
from pipeline.watchdog import Stalled, Watchdog, stacks

Alarm = EndpointDown | EndpointUp | Stalled


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """One of each for a run, on its event loop."""

    retry: RetryPolicy
    gate: OutageGate
    watchdog: Watchdog


def make_guards(job: Job, observe: Callable[[Alarm], None]) -> Guards:
    """By the job's keys. Probes wait like retries, from twice the first wait to the longest."""
    retry, limits = job.retry, job.limits
    policy = OutagePolicy(
        breaker=BreakerPolicy(
            in_a_row=retry.breaker_after,
            probe_first_s=2 * retry.wait_initial_s,
            probe_max_s=retry.wait_max_s,
            give_up_s=retry.outage_s,
        ),
        on_quota=limits.on_quota,
        quota_after_s=limits.quota_after_s,
        resume=f"pipeline run {shlex.quote(str(job.path))}",
    )
    return Guards(
        retry=RetryPolicy(**retry.model_dump()),
        gate=OutageGate(policy, observe),
        watchdog=Watchdog(
            stall_s=limits.stall_s,
            hang_s=max(limits.stall_s, retry.edit_timeout_s),
            observe=observe,
        ),
    )


def stack_dump(job: Job, run_id: str, watchdog: Watchdog) -> Callable[[], None]:
    """A function that appends what everybody is doing to ``runs/<run>-stacks.txt`` in the outputs;
    for a signal to call.
    """
    loop = asyncio.get_running_loop()
    file = job.outputs.directory / "runs" / f"{run_id}-stacks.txt"

    def dump() -> None:
        try:
            text = f"{datetime.now().astimezone().isoformat()}\n{stacks(loop, watchdog.look())}\n"
            file.parent.mkdir(exist_ok=True)
            with file.open("a", encoding="utf-8") as opened:
                opened.write(text)
        except Exception:
            # Whatever it is: raised here, in the handler of a signal, it would strike the line of
            # the run that the signal came upon, and end the run for a question about it.
            traceback.print_exc()

    return dump
