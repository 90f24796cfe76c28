"""Whoever is named in the job's ``notify`` hears how its runs end.

Messages leave when a run is over and its pictures are made into what the job says, and at once when
it stands still. A problem is told once, to
each of those who want to hear of it, until a run has come to its end without it. A message that
cannot be sent is said, once, and changes nothing else.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from pipeline.errors import ConfigError, PipelineError
from pipeline.events import Event, Notified, Started
from pipeline.guard_rails import GuardReport
from pipeline.job import Job, job_of, read_api_key, read_variable
from pipeline.job.design import single_jobs
from pipeline.job.notify import Recipient
from pipeline.ledger import open_reader
from pipeline.notifying import matters, wording
from pipeline.notifying.matters import Matter
from pipeline.notifying.memory import Memory
from pipeline.notifying.sending import deliver, hide
from pipeline.outcome import RunResult
from pipeline.past_runs import PastRun, read_history
from pipeline.preview import ledger_path
from pipeline.run_options import RunOptions
from pipeline.snapshot import Snapshot
from pipeline.watchdog import Stalled

__all__ = ["Delivery", "inform", "notify_test", "told"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A test message: to whom, as the job names them, and what went wrong; empty: it was sent."""

    to: str
    trouble: str


async def told(
    run: Callable[[Job, RunOptions, Mapping[str, str]], Awaitable[RunResult]],
    job: Job,
    options: RunOptions,
    environ: Mapping[str, str],
    *,
    then: Callable[[Job, RunResult], Awaitable[RunResult]],
    silent: bool = False,
) -> RunResult:
    """Runs the job, does what follows (``then``), and tells those who are to be told, unless it is
    to be ``silent``. Returns and raises what these two do, and nothing else.
    """
    if silent or not job.notify:
        return await then(job, await run(job, options, environ))
    interactive = options.confirm is not None
    post = _Post(job, options.observe, environ, interactive=interactive)
    try:
        result = await run(job, msgspec.structs.replace(options, observe=post.heard), environ)
        result = await then(job, result)
    except PipelineError as error:
        if not interactive:
            await post.tell((matters.of_start(error),), error=str(error))
        raise
    except Exception as error:
        await post.tell((matters.of_bug(error),), error=f"{type(error).__name__}: {error}")
        raise
    else:
        await post.ended(result)
    finally:
        await post.all_sent()
    return result


async def inform(
    job: Job, matter: Matter, text: str, *, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Tells of something that is no run's to tell, by the rules of what runs tell. Returns whom it
    could not reach, and why.
    """
    heard: list[Event] = []
    if job.notify:
        post = _Post(job, heard.append, environ, interactive=False)
        await post.tell((matter,), error=text)
    return tuple([event.line for event in heard if isinstance(event, Notified) and event.trouble])


async def notify_test(
    job: Job | Path | str, *, environ: Mapping[str, str] | None = None
) -> tuple[Delivery, ...]:
    """Sends everybody whom the job names a test message, in the job's own words.

    Raises `JobError`, and `ConfigError` where nobody is named.
    """
    loaded = job_of(job)
    if not loaded.notify:
        raise ConfigError(f"{loaded.path}: the job names nobody (add notify: - url_env: …)")
    environ = os.environ if environ is None else environ
    secrets = _secrets(loaded, environ)

    async def send(recipient: Recipient) -> Delivery:
        title, body = wording.rendered(recipient, wording.test_values(loaded, recipient))
        url = _url(loaded, recipient, environ)
        trouble = (
            _unset(recipient)
            if url is None
            else await deliver(url, hide(title, secrets), hide(body, secrets), secrets=secrets)
        )
        return Delivery(to=recipient.name, trouble=trouble)

    return tuple(await asyncio.gather(*[send(recipient) for recipient in loaded.notify]))


class _Post:
    """Hears the events of one run and tells its matters, one after the other."""

    def __init__(
        self,
        job: Job,
        observe: Callable[[Event], None],
        environ: Mapping[str, str],
        *,
        interactive: bool,
    ) -> None:
        self._job = job
        self._observe = observe
        self._environ = environ
        self._interactive = interactive
        self._memory: Memory | None = None
        self._met: set[str] = set()
        self._notes: list[str] = []
        self._snapshot: Callable[[], Snapshot] | None = None
        self._run_id = ""
        self._taking_turns = asyncio.Lock()
        self._sending: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()

    def heard(self, event: Event) -> None:
        """Passes it on. In the run's loop."""
        self._observe(event)
        match event:
            case Started():
                self._run_id, self._snapshot = event.run_id, event.snapshot
                self._begin(self._tell_of_a_dead_run())
            case GuardReport():
                self._notes += event.warnings
            case Stalled():
                counts = self._snapshot().counts if self._snapshot is not None else None
                matter = matters.of_stall(event.seconds)
                self._begin(self.tell((matter,), error=event_line(event), counts=counts))
            case _:
                pass

    async def ended(self, result: RunResult) -> None:
        await self.all_sent()
        self._run_id = result.run_id
        run, before = await asyncio.to_thread(self._looked_up, result.run_id)
        await self._tell_of_a_dead_run()
        found = matters.of_result(result, run, interactive=self._interactive)
        await self.tell(
            found,
            result=result,
            run=run,
            before=before,
            settle=result.ended == "finished",
        )

    async def tell(
        self,
        found: Sequence[Matter],
        *,
        settle: bool = False,
        result: RunResult | None = None,
        run: PastRun | None = None,
        before: PastRun | None = None,
        counts: dict[str, int] | None = None,
        error: str = "",
    ) -> None:
        """Of the matters, each who is to be told hears the first that they want, and do not know.
        ``settle``: the run came to its end by itself.
        """
        async with self._taking_turns:
            if self._memory is None:
                # Of several models, the first one's: what is none's alone is told by the scheduler.
                ledger = ledger_path(single_jobs(self._job)[0])
                self._memory = await asyncio.to_thread(Memory, ledger)
            memory = self._memory
            self._met |= {matter.key for matter in found if matter.key}
            secrets = _secrets(self._job, self._environ)

            async def to(recipient: Recipient, name: str) -> None:
                for matter in found:
                    if matter.on not in recipient.on:
                        continue
                    if matter.key and memory.knows(matter.key, name) and not matter.fresh:
                        continue
                    values = wording.values_of(
                        self._job,
                        matter,
                        result=result,
                        run=run,
                        before=before,
                        counts=counts,
                        error=error,
                        run_id=self._run_id,
                        notes=self._notes,
                    )
                    if await self._send(recipient, name, matter, values, secrets) and matter.key:
                        memory.add(
                            matter.key,
                            name,
                            headline=matter.headline,
                            run_id=self._run_id,
                            now=wording.now(),
                        )
                    return

            names = _names(self._job.notify)
            await asyncio.gather(
                *[to(one, name) for one, name in zip(self._job.notify, names, strict=True)]
            )
            if settle:
                memory.settle(self._met)
            await asyncio.to_thread(memory.save)

    async def _send(
        self,
        recipient: Recipient,
        name: str,
        matter: Matter,
        values: dict[str, object],
        secrets: Sequence[str],
    ) -> bool:
        title, body = [hide(text, secrets) for text in wording.rendered(recipient, values)]
        url = _url(self._job, recipient, self._environ)
        if url is None:
            trouble = _unset(recipient)
        else:
            trouble = await deliver(url, title, body, secrets=secrets)
        if not trouble or name not in self._failing:
            self._observe(Notified(to=recipient.name, on=matter.on, title=title, trouble=trouble))
        if trouble:
            self._failing.add(name)
        return not trouble

    async def _tell_of_a_dead_run(self) -> None:
        dead = await asyncio.to_thread(self._dead_run)
        if dead is not None:
            words = (
                f"The process of run {dead} ended without a word (killed, or the machine went"
                " down). What it had stored is kept, and this run goes on where it was."
            )
            await self.tell((matters.of_cut_off(dead),), error=words)

    def _dead_run(self) -> str | None:
        """The run before this one, if its process died."""
        runs = self._history()
        mine = next((place for place, run in enumerate(runs) if run.id == self._run_id), None)
        if mine is None or mine + 1 >= len(runs):
            return None
        before = runs[mine + 1]
        return before.id if before.ended == "process_ended" else None

    def _looked_up(self, run_id: str) -> tuple[PastRun | None, PastRun | None]:
        """A run as the ledger has it, and the one that it is compared with."""
        runs = {run.id: run for run in self._history()}
        run = runs.get(run_id)
        since = run.change.since if run is not None and run.change is not None else None
        return run, None if since is None else runs.get(since)

    def _history(self) -> tuple[PastRun, ...]:
        try:
            reader = open_reader(ledger_path(self._job))
            if reader is None:
                return ()
            with reader, reader.snapshot():
                return read_history(reader, self._job.outputs.directory, limit=50)
        except PipelineError:
            return ()  # its trouble is the run's to tell

    def _begin(self, sending: Awaitable[None]) -> None:
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def all_sent(self) -> None:
        """What is on its way has left, or failed."""
        await asyncio.gather(*self._sending)


def event_line(event: Stalled) -> str:
    """What stands still, in words."""
    where = ", ".join([f"{count} in {phase}" for phase, count in event.phases.items()])
    longest = ", ".join([f"{one.edit_id} {one.seconds:,.0f} s" for one in event.longest])
    return f"Nothing has ended for {event.seconds:,.0f} s: {where} (longest: {longest})."


def _names(recipients: Sequence[Recipient]) -> list[str]:
    """One for each, none twice: what the memory calls them."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for recipient in recipients:
        seen[recipient.name] += 1
        again = seen[recipient.name]
        names.append(f"{recipient.name} ({again})" if again > 1 else recipient.name)
    return names


def _url(job: Job, recipient: Recipient, environ: Mapping[str, str]) -> str | None:
    if recipient.url_env is None:
        return recipient.url
    try:
        return read_variable(job, recipient.url_env, environ)
    except PipelineError:
        return None


def _unset(recipient: Recipient) -> str:
    return (
        f"the environment variable {recipient.url_env} is not set (set it to the URL, or write it"
        " into a .env file beside the job)"
    )


def _secrets(job: Job, environ: Mapping[str, str]) -> list[str]:
    """What must not stand in any message."""
    found = [_url(job, one, environ) for one in job.notify if one.url_env is not None]
    try:
        found.append(read_api_key(job, environ))
    except PipelineError:
        found.append(None)
    return [secret for secret in found if secret]
