"""What follows an answer: its pictures are kept and looked at, and either that is the edit's end,
or more of them are asked for. Reads top to bottom.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from pipeline.attempts import Attempts, OpenAttempt, Progress
from pipeline.best_pictures import Candidate, Held, Wanted, in_words
from pipeline.errors import CheckFailedError
from pipeline.finishing import FOLDER, Sent, move_finished, remove_file, remove_finished
from pipeline.inputs import InputImage, Ready, final_parameters
from pipeline.keeping import Kept, keep, picture_names
from pipeline.models import AttemptEnd, EditResponse, ModelSpec, Record, Status
from pipeline.pictures.offered import asked_ratio
from pipeline.planning import Planned
from pipeline.setbacks import Retrying
from pipeline.stores import OutputStore, Shelf
from pipeline.stores.labels import Label
from pipeline.verdicts.examiner import Examiner
from pipeline.verdicts.records import edit_record, turned_down_words

ASIDE = ".retakes"
"""Where pictures lie, below ``images``, while it is not said yet which of several is the best."""


MOST_SEED = 2**31 - 1
"""For models that do not say how far theirs go."""


class Answers:
    """One for a run. ``outputs``: the outputs folder. ``label``: what is put into an edit's
    pictures. ``keeps_answers``: a record that is an answer is replaced only by a success.
    """

    def __init__(
        self,
        *,
        store: OutputStore,
        shelf: Shelf,
        outputs: Path,
        attempts: Attempts,
        examiner: Examiner,
        model: ModelSpec,
        observe: Callable[[Retrying], None],
        label: Callable[[Planned], Label | None] = lambda planned: None,
        keeps_answers: bool = False,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._outputs = outputs
        self._attempts = attempts
        self._examiner = examiner
        self._part = examiner.part
        self._model = model
        self._observe = observe
        self._label = label
        self._keeps_answers = keeps_answers

    @property
    def looks(self) -> bool:
        """Whether a picture is looked at before its edit has a record."""
        return self._examiner.wanted

    def parameters(
        self, planned: Planned, progress: Progress, images: Sequence[InputImage]
    ) -> dict[str, Any]:
        """What the next request states. Once there is an answer, it asks for as many pictures as
        are still wanted, and with another seed: the same one would bring the same picture.
        """
        final = final_parameters(self._model, planned.edit.parameters, images)
        if progress.held is None:
            return final
        field = self._model.count_field
        if field is not None and self._model.count(final) != progress.wanted:
            final[field] = progress.wanted
        spec = self._model.parameters.get("seed")
        if spec is not None and isinstance(seed := final.get("seed"), int):
            least, most = int(spec.minimum or 0), int(spec.maximum or MOST_SEED)
            span = most - least + 1
            final["seed"] = least + (seed - least + progress.held.requests) % span
        return final

    @asynccontextmanager
    async def room(self, response: EditResponse, attempt: OpenAttempt) -> AsyncIterator[None]:
        """Memory for an answer that is going to be looked at."""
        if not self._examiner.wanted:
            yield
            return
        size = sum([draft.size for draft in response.images])
        hold = self._examiner.room(size)
        try:
            await hold.__aenter__()
        except asyncio.CancelledError:
            attempt.not_kept(response, "the run was interrupted before the answer was kept")
            raise
        try:
            yield
        finally:
            await hold.__aexit__(None, None, None)

    async def keep(
        self, planned: Planned, progress: Progress, attempt: OpenAttempt, response: EditResponse
    ) -> tuple[Kept, ...]:
        """Stores an answer's usable pictures. Raises `BadResponseError`, `StoreError`."""
        count = len(response.images)
        # What is there already, of this edit's or of the record before it, is not written over.
        aside = progress.held is not None or (self._examiner.looks and self._stays(planned))
        if aside:
            names = [f"{ASIDE}/{attempt.id}-{n}" for n in range(1, count + 1)]
        else:
            names = picture_names(planned.edit.output, count)
        return await keep(
            self._store,
            response,
            attempt,
            names=names,
            label=self._label(planned),
            look=self._examiner.wanted,
            digests=count > 1 or progress.held is not None,
        )

    async def judge(
        self,
        planned: Planned,
        progress: Progress,
        attempt: OpenAttempt,
        response: EditResponse,
        kept: Sequence[Kept],
        *,
        ready: Ready,
        parameters: dict[str, Any],
    ) -> Record | None:
        """The edit's record, durable; None: ask once more, for `Progress.wanted` pictures.

        Until then a record stands in the ledger that the next run asks for again, with the best
        pictures so far: whatever ends the run, they are not lost. Raises `StoreError`,
        `LedgerError`.
        """
        sent = Sent(ratio=asked_ratio(self._model, parameters), framing=ready.framing)
        held = progress.held
        if held is None:
            held = Held(max(self._model.count(planned.edit.parameters), len(kept)))
        try:
            candidates, turned_down = await self._looked_at(planned, held, kept, ready, sent)
        except BaseException as error:
            words = str(error) or "the run was interrupted while the answer was looked at"
            attempt.not_kept(response, words)
            raise
        turned_down += held.take(candidates)
        held.sent = sent.text()
        progress.held = held
        for one in turned_down:
            self._examiner.release(planned.edit.id, one.claim)
        end = attempt.success(response, in_words(candidates))
        wanted = held.wanted(rerolls=self._part.rerolls, top_up=self._part.top_up)
        if not wanted.pictures:
            return await self.conclude(
                planned, progress, attempt_id=attempt.id, end=end, without=turned_down
            )
        await self._attempts.ledger.record(
            self._so_far(planned, progress, held), attempt_id=attempt.id, end=end
        )
        await self._remove(turned_down, but=held.pictures)
        held.ask(wanted)
        progress.wanted = wanted.pictures if self._model.count_field else 1
        self._say(planned, progress, held, wanted)
        return None

    async def conclude(
        self,
        planned: Planned,
        progress: Progress,
        *,
        attempt_id: str | None = None,
        end: AttemptEnd | None = None,
        without: Iterable[Candidate] = (),
        why: str = "",
    ) -> Record:
        """The edit's record with the best of its pictures, durable. ``without``: to be removed.
        ``why``: no further request follows.
        """
        held = progress.held
        assert held is not None  # noqa: S101 - there was an answer
        right = held.right
        stays = not right and self._stays(planned)
        before = held.pictures
        pictures = before if stays else await self._in_place(planned, before)
        record = self.record(
            planned,
            progress,
            status="succeeded" if right else "rejected",
            pictures=pictures,
            error_code=None if right else CheckFailedError.code,
            error_message=None if right else turned_down_words(pictures, held, why),
        )
        await self._attempts.ledger.record(record, attempt_id=attempt_id, end=end)
        if not right:
            for one in pictures:
                self._examiner.release(planned.edit.id, one.claim)
        if stays:
            await self._remove([*without, *before])
            return record
        await self._remove([*without, *before], but=pictures)
        # Only now: until the new record is durable, the old one is what the ledger shows.
        await self._remove_previous(planned, pictures)
        return record

    def record(
        self,
        planned: Planned,
        progress: Progress,
        *,
        status: Status,
        pictures: Sequence[Candidate] = (),
        error_code: str | None = None,
        error_message: str | None = None,
    ) -> Record:
        """Of an edit as it stands."""
        return edit_record(
            planned,
            progress,
            model=self._model.id,
            run_id=self._attempts.run_id,
            finished_at=self._attempts.now(),
            status=status,
            made_as=self._examiner.made_as,
            pictures=pictures,
            error_code=error_code,
            error_message=error_message,
        )

    def close(self) -> None:
        """After the last edit."""
        for folder in ("images", FOLDER):
            with suppress(OSError):
                (self._outputs / folder / ASIDE).rmdir()

    def _stays(self, planned: Planned) -> bool:
        return self._keeps_answers and planned.answered

    async def _looked_at(
        self, planned: Planned, held: Held, kept: Sequence[Kept], ready: Ready, sent: Sent
    ) -> tuple[list[Candidate], list[Candidate]]:
        """An answer's pictures, and those that are there already."""
        examiner, label = self._examiner, None
        if examiner.finishes:
            label = self._label(planned)
        found: list[Candidate] = []
        repeated: list[Candidate] = []
        digests = {one.digest for one in held.pictures} - {b""}
        siblings = [one.claim for one in held.pictures if one.claim is not None and one.right]
        for one in kept:
            candidate = Candidate(image=one.image, digest=one.digest)
            if one.digest in digests:
                repeated.append(candidate)
                continue
            if one.digest:
                digests.add(one.digest)
            if examiner.wanted:
                examined = await examiner.examine(
                    planned.edit,
                    one.data,
                    one.image,
                    sent=sent,
                    inputs=ready.sources,
                    digests=planned.digests,
                    siblings=siblings,
                    label=label,
                )
                candidate = msgspec.structs.replace(
                    candidate,
                    checks=examined.checks,
                    finished=examined.finished,
                    claim=examined.likeness,
                )
                if examined.repeats:
                    repeated.append(candidate)
                    continue
                if examined.likeness is not None:
                    siblings.append(examined.likeness)
            found.append(candidate)
        return found, repeated

    def _so_far(self, planned: Planned, progress: Progress, held: Held) -> Record:
        """What stands in the ledger while more is asked for: the next run asks again, unless what
        is there is right.
        """
        pictures = held.pictures
        return self.record(
            planned,
            progress,
            status="succeeded" if held.right else "pending",
            pictures=pictures,
            error_code=None if held.right else CheckFailedError.code,
            error_message=None if held.right else in_words(pictures),
        )

    def _say(self, planned: Planned, progress: Progress, held: Held, wanted: Wanted) -> None:
        reasons = []
        if wanted.wrong:
            reasons.append(in_words(held.pictures))
        if wanted.missing:
            reasons.append(f"{wanted.missing} missing of the pictures that were asked for")
        self._observe(
            Retrying(
                edit_id=planned.edit.id,
                attempt=progress.attempts,
                wait_s=0.0,
                code=CheckFailedError.code if wanted.wrong else "short",
                message="; ".join(reasons),
            )
        )

    async def _in_place(
        self, planned: Planned, pictures: Sequence[Candidate]
    ) -> tuple[Candidate, ...]:
        """The pictures under the names that they are to have, in order."""
        placed = []
        for name, one in zip(
            picture_names(planned.edit.output, len(pictures)), pictures, strict=False
        ):
            path = f"images/{name}{PurePosixPath(one.image.path).suffix}"
            if path != one.image.path:
                await asyncio.to_thread(self._shelf.copy, one.image.path, path)
                finished = await asyncio.to_thread(move_finished, self._outputs, one.finished, path)
                image = msgspec.structs.replace(one.image, path=path)
                one = msgspec.structs.replace(one, image=image, finished=finished)
            placed.append(one)
        return tuple(placed)

    async def _remove(
        self, turned_down: Iterable[Candidate], but: Iterable[Candidate] = ()
    ) -> None:
        """Files of candidates, except those that have become another's."""
        but = tuple(but)
        images = {one.image.path for one in but}
        finished = {one.finished for one in but}
        for one in turned_down:
            if one.image.path not in images:
                await self._store.remove(one.image.path)
            if one.finished.startswith(f"{FOLDER}/") and one.finished not in finished:
                await asyncio.to_thread(remove_file, self._outputs, one.finished)

    async def _remove_previous(self, planned: Planned, pictures: Sequence[Candidate]) -> None:
        kept = {one.image.path for one in pictures}
        finished = frozenset([one.finished for one in pictures])
        for path in planned.previous:
            if path not in kept:
                await self._store.remove(path)
            if self._examiner.finishes:
                await asyncio.to_thread(remove_finished, self._outputs, path, finished)
