"""Edits held against the ledger: what was asked before, what is new, what changed.

Synchronous, lazy, and for one thread: a million rows stream through it.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal, Protocol

import msgspec

from pipeline.errors import InputError
from pipeline.models import Edit, ImageRef, ModelSpec, Problem, Redo, Status, StoredImage

State = Literal["new", "changed", "again", "redo", "unchanged", "kept"]
"""``again``: asked before and failed. ``redo``: a person wants another picture. ``kept``: refused
or turned down before, an answer."""

REMEMBERED_INPUTS = 20_000
"""Input digests kept in memory: shared backgrounds and logos are looked up once."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """An edit and what the ledger says of it. ``digests``: of its inputs, in order.

    ``previous``: paths of the pictures it has from an earlier answer. ``base``: of a redo, the
    fingerprint of the manifest's own edit; else empty. ``answered``: its record is an answer, which
    a retry replaces only by a success.
    """

    edit: Edit
    fingerprint: str
    digests: tuple[str, ...]
    state: State
    previous: tuple[str, ...] = ()
    base: str = ""
    answered: bool = False


class Unready(msgspec.Struct, frozen=True, kw_only=True):
    """An edit whose input cannot be read: it fails, the others go on."""

    edit: Edit
    error: str


Item = Planned | Unready | Problem


class History(Protocol):
    """What planning asks the ledger."""

    def fingerprint_of(self, edit_id: str) -> tuple[str, Status] | None: ...

    def input_digest(self, path: str, size: int, mtime_ns: int) -> str | None: ...

    def images_of(self, edit_id: str) -> tuple[StoredImage, ...]: ...

    def redo_of(self, edit_id: str, base: str) -> Redo | None: ...


class Planner:
    """``preparation``: the settings that change what is sent, as text. ``digest_file`` reads a
    file; ``remember`` keeps its digest (path, bytes, mtime in ns, digest) for the next run.
    ``again``: only edits with these ids, and those whatever became of them.
    """

    def __init__(
        self,
        *,
        model: ModelSpec,
        preparation: str,
        history: History | None,
        digest_file: Callable[[str], str],
        remember: Callable[[str, int, int, str], None],
        hold_unknown: bool,
        again: Callable[[], Collection[str]] | None = None,
    ) -> None:
        self._model = model
        self._preparation = preparation
        self._history = history
        self._digest_file = digest_file
        self._remember = remember
        self._hold_unknown = hold_unknown
        self.again = again
        self._defaults = {name: spec.default for name, spec in model.parameters.items()}
        # Unstated, it is resolved from the first input, whatever the server's own default is.
        self._defaults["aspect_ratio"] = "auto"
        self._recent: OrderedDict[tuple[str, int, int], str] = OrderedDict()

    def plan(self, edits: Iterable[Edit | Problem]) -> Iterator[Item]:
        """One item for each edit or problem, in order, as they are asked for."""
        named = self.again() if self.again is not None else None
        for edit in edits:
            if named is not None and edit.id not in named:
                continue
            if isinstance(edit, Problem):
                yield edit
                continue
            try:
                digests = tuple([self._digest(ref) for ref in edit.images])
            except InputError as error:
                yield Unready(edit=edit, error=str(error))
                continue
            yield self._planned(edit, digests)

    def _planned(self, edit: Edit, digests: tuple[str, ...]) -> Planned:
        fingerprint = self._fingerprint(edit, digests)
        known = self._history.fingerprint_of(edit.id) if self._history else None
        base = ""
        # Looked up only where something differs: a million unchanged rows pay nothing for it.
        if known is not None and (known[0] != fingerprint or known[1] == "pending"):
            redo = self._history.redo_of(edit.id, fingerprint) if self._history else None
            if redo is not None:
                edit = msgspec.structs.replace(edit, prompt=redo.prompt, variant=redo.variant)
                base = fingerprint
                fingerprint = self._fingerprint(edit, digests)
        state = self._state(known, fingerprint, is_redo=bool(base))
        return Planned(
            edit=edit,
            fingerprint=fingerprint,
            digests=digests,
            state=state,
            previous=self._pictures(edit.id) if state in ("changed", "again") else (),
            base=base,
            answered=known is not None and known[1] in ("succeeded", "refused", "rejected"),
        )

    def _pictures(self, edit_id: str) -> tuple[str, ...]:
        images = self._history.images_of(edit_id) if self._history else ()
        return tuple([image.path for image in images])

    def _state(self, known: tuple[str, Status] | None, fingerprint: str, *, is_redo: bool) -> State:
        if known is None:
            return "new"
        before, status = known
        if before != fingerprint:
            return "redo" if is_redo and status == "pending" else "changed"
        if self.again is not None:
            return "again"
        if status == "succeeded":
            return "unchanged"
        if status in ("refused", "rejected") or (status == "unknown" and self._hold_unknown):
            return "kept"
        return "again"

    def _fingerprint(self, edit: Edit, digests: tuple[str, ...]) -> str:
        """What was asked, never where it lay. Stating a default is asking for the same."""
        asked = {
            name: value
            for name, value in edit.parameters.items()
            if value != self._defaults.get(name)
        }
        text = msgspec.json.encode(
            [self._model.id, edit.prompt, digests, asked, self._preparation, edit.variant],
            order="sorted",
        )
        return hashlib.sha256(text).hexdigest()

    def _digest(self, ref: ImageRef) -> str:
        if ref.kind != "file":
            return hashlib.sha256(ref.source.encode()).hexdigest()
        try:
            found = os.stat(ref.path)  # noqa: PTH116 - a million of them; Path.stat costs twice
        except OSError as error:
            raise InputError(
                f"{ref.source}: {error.strerror or error}"
                " (put the picture there, or correct the row)"
            ) from error
        key = (ref.path, found.st_size, found.st_mtime_ns)
        if (digest := self._recent.get(key)) is not None:
            return digest
        digest = self._history.input_digest(*key) if self._history else None
        if digest is None:
            digest = self._digest_file(ref.path)
            self._remember(*key, digest)
        self._recent[key] = digest
        if len(self._recent) > REMEMBERED_INPUTS:
            self._recent.popitem(last=False)
        return digest
