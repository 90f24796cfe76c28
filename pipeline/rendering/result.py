"""What making renditions came to."""

from pathlib import Path

import msgspec


class RenderProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition that could not be made, and why, with the way out."""

    id: str
    rendition: str
    message: str


class FinishedResult(msgspec.Struct, frozen=True, kw_only=True):
    """What bringing finished pictures up to date came to; counts pictures. ``removed``: the job
    wants none any more. ``problems``: the first `PROBLEMS_KEPT`.

    ``left_to_run``: edits that were left alone, because a run of the job is going on; it does this
    when it ends. ``stopped``: it was interrupted, and there is more to make.
    """

    made: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    problems: tuple[RenderProblem, ...] = ()
    left_to_run: int = 0
    stopped: bool = False

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.made or self.removed or self.failed or self.left_to_run or self.stopped)


class RenderNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may want to know of ``count`` files of a rendition. ``note``: of the first of
    them, which is of the edit ``id``; those of the others differ in their numbers.
    """

    rendition: str
    count: int
    id: str
    note: str


class RenderResult(msgspec.Struct, frozen=True, kw_only=True):
    """``made``, ``unchanged``, ``removed`` and ``failed`` count files; ``edits``: whose they are.

    ``problems``: the first `PROBLEMS_KEPT`. ``size``: bytes written; ``seconds``: by the clock.
    ``stopped``: it was interrupted, and there is more to make. ``error``: why nothing was made,
    after a run whose pictures are safe whatever becomes of their renditions. ``finished``: what
    came of the pictures that renditions are made from; None where the job wants them as they came.
    """

    directory: Path
    renditions: tuple[str, ...]
    edits: int = 0
    made: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    size: int = 0
    seconds: float = 0.0
    problems: tuple[RenderProblem, ...] = ()
    notes: tuple[RenderNote, ...] = ()
    stopped: bool = False
    error: str | None = None
    finished: FinishedResult | None = None

    @property
    def exit_code(self) -> int:
        """As the command's."""
        if self.stopped:
            return 130
        unfinished = self.finished is not None and self.finished.failed > 0
        return 3 if self.failed or self.error or unfinished else 0


PROBLEMS_KEPT = 100
