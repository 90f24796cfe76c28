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

    def __call__(self, planned: Planned) -> Label | None:
        """None where the job wants nothing written."""
        if not self._part.enabled:
            return None
        edit = planned.edit
        facts = self._facts(planned)
        loop = asyncio.get_running_loop()

        def label(data: memoryview) -> Sequence[bytes | memoryview] | None:
            try:
                return labelled_pieces(data, facts)
            except InputError as error:
                # It was paid for: better without than lost.
                said = Unlabelled(edit_id=edit.id, message=str(error))
                loop.call_soon_threadsafe(self._observe, said)
                return None

        return label

    def _facts(self, planned: Planned) -> Provenance:
        edit = planned.edit
        said: dict[str, Any] = {
            "model": self._model,
            "fingerprint": planned.fingerprint,
            "created": self._now(),
        }
        try:
            facts = self._labels.facts(edit.id, edit.variables, prompt=edit.prompt, **said)
        except RowError as error:
            # Rows were tried before they were sent. What it is must be said all the same.
            self._observe(Unlabelled(edit_id=edit.id, message=str(error)))
            facts = None
        return facts or Provenance(digital_source=self._part.digital_source_type, **said)
