"""Looking at what came back, in threads and in bounded memory: checks, and the finished picture."""

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import CheckFailedError, EditError, InputError
from pipeline.finishing import Sent, finish, keep_finished, made_as
from pipeline.job import Job
from pipeline.limits.bytes_held import ByteGate
from pipeline.models import Edit, PictureCheck, StoredImage
from pipeline.stores.labels import Label

if TYPE_CHECKING:
    from pipeline.pictures.checks.custom import NamedCheck
    from pipeline.pictures.checks.likeness import Likeness, SeenPictures
    from pipeline.pictures.checks.pictures import Reference

THREADS = max(2, min(4, os.cpu_count() or 1))
"""Each holds a picture's pixels: few at a time, whatever the concurrency."""

REFERENCES = 256
"""Inputs kept, reduced: about 0.3 MB each. Backgrounds and logos are read once."""

Source = str | bytes

_IN_FLIGHT_SHARE = 4


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one picture. ``repeats``: it is another picture of the same edit.
    ``finished``: the path of what was made of it.
    """

    checks: tuple[PictureCheck, ...] = ()
    likeness: "Likeness | None" = None
    repeats: bool = False
    finished: str = ""


class Examiner:
    """Looks at pictures for a job. One for a run, on its event loop.

    Raises `JobError` for checks of the user's own that cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        part = job.checks
        self.part = part
        self.looks = part.looks
        self.finishes = job.finishes
        self.made_as = made_as(job)
        self._job = job
        self._settings = part.settings
        self._custom: tuple[NamedCheck, ...] = ()
        self.seen: "SeenPictures | None" = None  # noqa: UP037 - imported below, where it is used
        if part.custom:
            from pipeline.pictures.checks.custom import load_checks
            from pipeline.pictures.checks.deadline import with_deadline

            self._custom = tuple(
                [with_deadline(one, part.custom_timeout_s) for one in load_checks(part.custom)]
            )
        if self._settings.not_duplicate is not None:
            from pipeline.pictures.checks.likeness import SeenPictures

            self.seen = SeenPictures()
        self._references: OrderedDict[tuple[str, str], Reference] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = ByteGate(max(1, job.limits.max_bytes_in_flight // _IN_FLIGHT_SHARE))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="checks")

    @property
    def wanted(self) -> bool:
        """Whether answers have to be looked at."""
        return self.looks or self.finishes

    @property
    def remembers_run(self) -> bool:
        """Whether pictures are held against those of other edits, earlier runs' among them."""
        check = self._settings.not_duplicate
        return check is not None and check.across_run

    @asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        """Waits until so many bytes of answers may be in memory."""
        async with self._gate.hold(size):
            yield

    async def examine(
        self,
        edit: Edit,
        data: Source,
        image: StoredImage,
        *,
        sent: Sent,
        inputs: Sequence[Source | None],
        digests: Sequence[str] = (),
        siblings: "Sequence[Likeness]" = (),
        label: Label | None = None,
        finish: bool = True,
    ) -> Examined:
        """Checks a picture, and makes the finished one. ``data``: as it came. ``inputs``: the
        edit's, with their ``digests``; None: not known here. ``siblings``: the edit's pictures
        before. Raises `StoreError`.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: self._examined(
                edit,
                data,
                image,
                sent=sent,
                inputs=inputs,
                digests=digests,
                siblings=siblings,
                label=label,
                finishes=finish and self.finishes,
            ),
        )

    def release(self, edit_id: str, likeness: "Likeness | None") -> None:
        """A picture that was remembered is turned down after all."""
        if self.seen is not None and likeness is not None:
            self.seen.release(edit_id, likeness)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    # From here on: in a thread.

    def _examined(
        self,
        edit: Edit,
        data: Source,
        image: StoredImage,
        *,
        sent: Sent,
        inputs: Sequence[Source | None],
        digests: Sequence[str],
        siblings: "Sequence[Likeness]",
        label: Label | None,
        finishes: bool,
    ) -> Examined:
        checks: list[PictureCheck] = []
        likeness: Likeness | None = None
        repeats = False
        if self.looks:
            checks, likeness, repeats = self._checked(edit, data, sent, inputs, digests, siblings)
        finished = ""
        readable = all(check.passed for check in checks if check.name == "decodes")
        if finishes and readable and not repeats:
            try:
                finished = self._finished(data, image, sent, inputs, label)
            except (CheckFailedError, InputError) as error:
                checks.append(_said("finish", str(error)))
                self.release(edit.id, likeness)
        return Examined(checks=tuple(checks), likeness=likeness, repeats=repeats, finished=finished)

    def _checked(
        self,
        edit: Edit,
        data: Source,
        sent: Sent,
        inputs: Sequence[Source | None],
        digests: Sequence[str],
        siblings: "Sequence[Likeness]",
    ) -> "tuple[list[PictureCheck], Likeness | None, bool]":
        from pipeline.pictures.checks.likeness import nearest
        from pipeline.pictures.checks.run import run_checks

        references: Sequence[Reference | Source] = ()
        if self._settings.needs_inputs:
            try:
                references = self._inputs(sent, inputs, digests)
            except EditError:
                # The checks read it once more, and say what is wrong with it.
                references = [one for one in inputs if one is not None]
        checked = run_checks(
            self._settings,
            data,
            inputs=references,
            framing=sent.framing,
            asked_ratio=sent.ratio,
            siblings=siblings,
            seen=self.seen,
            custom=self._custom,
            name=edit.id,
            variables=edit.variables,
            background=self._job.inputs.background,
        )
        limits = self._settings.not_duplicate
        repeats = False
        if limits is not None and checked.likeness is not None:
            match = nearest(checked.likeness, [("", one) for one in siblings])
            repeats = match is not None and match.difference <= limits.difference
        results = [
            PictureCheck(
                position=0,
                name=one.name,
                value=one.value,
                limit=one.limit,
                passed=one.passed,
                message=one.message,
            )
            for one in checked.results
        ]
        return results, checked.likeness, repeats

    def _inputs(
        self, sent: Sent, inputs: Sequence[Source | None], digests: Sequence[str]
    ) -> "list[Reference]":
        """Those that are known here, reduced. Raises `InputError`."""
        from pipeline.pictures.checks.pictures import Reference

        found = []
        for place, source in enumerate(inputs):
            if source is None:
                continue
            framing = sent.framing if place == 0 else None
            digest = digests[place] if place < len(digests) else ""
            key = (digest, repr(framing) if framing is not None and framing.fit == "crop" else "")
            with self._lock:
                known = self._references.get(key) if digest else None
                if known is not None:
                    self._references.move_to_end(key)
            if known is None:
                known = Reference(source, framing, background=self._job.inputs.background)
                with self._lock:
                    if digest:
                        self._references[key] = known
                    while len(self._references) > REFERENCES:
                        self._references.popitem(last=False)
            found.append(known)
        return found

    def _finished(
        self,
        data: Source,
        image: StoredImage,
        sent: Sent,
        inputs: Sequence[Source | None],
        label: Label | None,
    ) -> str:
        source = inputs[0] if inputs else None
        made = finish(self._job, data, sent=sent, source=source)
        return keep_finished(self._job.outputs.directory, image.path, made, label)


def _said(name: str, message: str) -> PictureCheck:
    return PictureCheck(
        position=0, name=name, value=None, limit=None, passed=False, message=message
    )
