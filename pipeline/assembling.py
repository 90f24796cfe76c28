"""One worker for a run, with all that it shares: opened in order, closed with the run."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from pipeline.again import KeepingAnswers
from pipeline.attempts import Attempts
from pipeline.books.inquiry import inquiring
from pipeline.budget import Budget
from pipeline.caps import reroll_budget
from pipeline.endpoints import Account, Endpoint
from pipeline.engine import Stop
from pipeline.guards import Guards
from pipeline.inputs import Inputs
from pipeline.job import Job
from pipeline.labelling import Labelling
from pipeline.ledger import Ledger, LedgerReader
from pipeline.ledger.checked import known_likenesses
from pipeline.limits.throttle import Throttle
from pipeline.preview import preparation
from pipeline.stores import open_shelf, open_store
from pipeline.verdicts.answers import Answers
from pipeline.verdicts.examiner import Examiner
from pipeline.worker import Worker


async def open_worker(
    opened: AsyncExitStack,
    job: Job,
    *,
    endpoint: Endpoint,
    account: Account,
    ledger: Ledger,
    reader: LedgerReader,
    budget: Budget,
    run_id: str,
    throttle: Throttle,
    guards: Guards,
    stop: Stop,
    observe: Callable[[Any], None],
    note: Callable[[Any], None],
    rng: Random,
    keeps_answers: bool,
) -> Worker:
    """``opened``: what is opened here is closed with it. ``observe``: gets events; ``note``: those
    of attempts. ``keeps_answers``: the run is a retry. Raises `JobError`, `StoreError`,
    `LedgerError`.
    """
    model = endpoint.model
    examiner = Examiner(job)
    opened.callback(examiner.close)
    await asyncio.to_thread(_recall, examiner, reader)
    store = open_store(job.outputs.directory, job.outputs.store)
    opened.push_async_callback(store.close)
    inputs = Inputs(
        preparation(job),
        embed_urls=job.inputs.embed_urls,
        max_bytes_in_flight=job.limits.max_bytes_in_flight,
        model=model,
    )
    opened.push_async_callback(inputs.close)
    inquirer = await opened.enter_async_context(inquiring(job, account, ledger))
    attempts = Attempts(
        KeepingAnswers(ledger) if keeps_answers else ledger,
        budget,
        now=time.time,
        run_id=run_id,
        inquirer=inquirer,
        rerolls=reroll_budget(job, model.price_usd),
    )
    answers = Answers(
        store=store,
        shelf=open_shelf(job.outputs.directory, job.outputs.store),
        outputs=job.outputs.directory,
        attempts=attempts,
        examiner=examiner,
        model=model,
        observe=note,
        label=Labelling(job.provenance, model=model.id, now=time.time, observe=observe),
        keeps_answers=keeps_answers,
    )
    opened.callback(answers.close)
    return Worker(
        endpoint=endpoint,
        store=store,
        attempts=attempts,
        answers=answers,
        inputs=inputs,
        throttle=throttle,
        guards=guards,
        committed=stop.committed,
        observe=note,
        rng=rng,
    )


def _recall(examiner: Examiner, reader: LedgerReader) -> None:
    """What earlier runs' pictures look like, so that no other edit brings one of them again."""
    if examiner.seen is None or not examiner.remembers_run:
        return
    from pipeline.pictures.checks.likeness import MOST_SEEN, Likeness

    for edit_id, packed in known_likenesses(reader, MOST_SEEN):
        likeness = Likeness.unpacked(packed)
        if likeness is not None:
            examiner.seen.add(edit_id, likeness)
