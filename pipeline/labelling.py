"""Pictures are told what they are before they get their names in the store."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.errors import InputError
from pipeline.job.provenance import Labels, ProvenancePart
from pipeline.manifest.problems import RowError
from pipeline.pictures.provenance import Provenance, labelled_pieces
from pipeline.planning import Planned
from pipeline.setbacks import Unlabelled
from pipeline.stores.labels import Label


def label_of(facts: Provenance, missed: Callable[[str], None] = lambda why: None) -> Label:
    """Puts these facts into a picture. ``missed`` hears, in the same thread, why one is left as it
    came.
    """

    def label(data: memoryview) -> Sequence[bytes | memoryview] | None:
        try:
            return labelled_pieces(data, facts)
        except InputError as error:
            missed(str(error))  # it was paid for: better without than lost
            return None

    return label


class Labelling:
    """Gives the label of each edit's pictures. In the loop's thread.

    ``model``: its id. ``now``: seconds since the epoch. ``observe`` hears, in the loop, of pictures
    that were kept without.
    """

    def __init__(
        self,
        part: ProvenancePart,
        *,
        model: str,
        now: Callable[[], float],
        observe: Callable[[Unlabelled], None],
    ) -> None:
        self._part = part
        self._labels = Labels(part)
        self._model = model
        self._now = now
        self._observe = observe

    def __call__(self, planned: Planned, *, created: float | None = None) -> Label | None:
        """None where the job wants nothing written. ``created``: when the answer was there; default
        now.
        """
        if not self._part.enabled:
            return None
        loop = asyncio.get_running_loop()

        def missed(why: str) -> None:
            said = Unlabelled(edit_id=planned.edit.id, message=why)
            loop.call_soon_threadsafe(self._observe, said)

        return label_of(self._facts(planned, created), missed)

    def _facts(self, planned: Planned, created: float | None) -> Provenance:
        edit = planned.edit
        said: dict[str, Any] = {
            "model": self._model,
            "fingerprint": planned.fingerprint,
            "created": self._now() if created is None else created,
        }
        try:
            facts = self._labels.facts(edit.id, edit.variables, prompt=edit.prompt, **said)
        except RowError as error:
            # Rows were tried before they were sent. What it is must be said all the same.
            self._observe(Unlabelled(edit_id=edit.id, message=str(error)))
            facts = None
        return facts or Provenance(digital_source=self._part.digital_source_type, **said)
