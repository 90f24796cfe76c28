"""What a job fills in from each row (labels, names of renditions), tried before anything is sent:
a column that is not there shows in the plan, and not after the pictures were paid for.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.job.provenance import Labels, ProvenancePart, template_values
from pipeline.job.renditions import Renditions
from pipeline.manifest.names import normalised
from pipeline.manifest.problems import RowError
from pipeline.manifest.templates import Templates
from pipeline.models import Edit, Problem
from pipeline.pictures.rendition_spec import RenditionSpec

_ITSELF = "{{ id }}"


class PictureNames:
    """Names of files made from a picture: templates over its row, its edit and its position."""

    def __init__(self) -> None:
        self._templates = Templates()

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Raises `RowError`."""
        return normalised(self._templates.render(template, values).strip())

    def of(
        self,
        spec: RenditionSpec,
        rendition: str,
        edit_id: str,
        variables: Mapping[str, Any],
        position: int,
    ) -> str:
        """``shop/mug-1``: folder and name of a rendition, without extension. Raises `RowError`.

        ``position``: of the picture in its edit, from 1. A template that does not speak of it gets
        ``-2`` and so on behind it, as stored pictures do.
        """
        values = picture_values(edit_id, variables, rendition=rendition, position=position)
        folder = self.render(spec.folder, values).strip("/") or rendition
        name = self.render(spec.file, values)
        if position > 1 and "position" not in spec.file:
            name = f"{name}-{position}"
        return f"{folder}/{name}"


def picture_values(
    edit_id: str, variables: Mapping[str, Any], *, rendition: str, position: int
) -> dict[str, Any]:
    """What templates of names see. A column of one of these names is in ``row``."""
    values = template_values(edit_id, variables)
    return {**values, "rendition": rendition, "position": position}


def fillable(
    edits: Iterable[Edit | Problem], provenance: ProvenancePart, renditions: Renditions
) -> Iterator[Edit | Problem]:
    """The edits; those for which a template of the job cannot be filled in as `Problem`."""
    specs = {
        name: one.spec
        for name, one in renditions.items()
        if (one.spec.file, one.spec.folder) != (_ITSELF, "")
    }
    labels = None
    if provenance.enabled and not provenance.is_the_same_for_all:
        labels = Labels(provenance)
    if labels is None and not specs:
        yield from edits
        return
    names = PictureNames()
    for edit in edits:
        if isinstance(edit, Problem):
            yield edit
            continue
        wrong: list[str] = []
        if labels is not None:
            try:
                labels.facts(
                    edit.id, edit.variables, model="", fingerprint="", prompt="", created=None
                )
            except RowError as error:
                wrong.append(f"provenance: {error}")
        for name, spec in specs.items():
            try:
                names.of(spec, name, edit.id, edit.variables, 1)
            except RowError as error:
                wrong.append(f"renditions.{name}: {error}")
        yield Problem(place=edit.place, message="; ".join(wrong), id=edit.id) if wrong else edit
