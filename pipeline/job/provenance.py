"""The part ``provenance`` of a job: what its pictures say of themselves, and filling it in."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, field_validator

from pipeline.job.values import Part, as_list
from pipeline.manifest.problems import RowError
from pipeline.manifest.templates import Templates, is_template, variable_names
from pipeline.pictures.provenance import DigitalSource, Provenance

_TEXTS = ("copyright", "credit", "title", "description", "alt_text")


class ProvenancePart(Part):
    """Templates over the manifest's columns; what comes out empty is not written."""

    enabled: bool = True
    digital_source_type: DigitalSource = "compositeWithTrainedAlgorithmicMedia"
    creator: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    copyright: str = ""
    credit: str = ""
    title: str = ""
    description: str = ""
    alt_text: str = ""
    prompt: bool = False

    @field_validator("creator", *_TEXTS)
    @classmethod
    def _readable(cls, value: Any) -> Any:
        for text in value if isinstance(value, tuple) else (value,):
            try:
                Templates().check(text)
            except RowError as error:
                raise ValueError(str(error)) from None
        return value

    @property
    def is_the_same_for_all(self) -> bool:
        """Whether nothing has to be filled in."""
        return not any(map(is_template, self._templates()))

    def _templates(self) -> Iterator[str]:
        yield from self.creator
        for name in _TEXTS:
            yield getattr(self, name)


def switched(value: Any) -> Any:
    """``provenance: off`` is short for ``{enabled: false}``."""
    return {"enabled": value} if isinstance(value, str | bool) else value


class Labels:
    """What the pictures of a job are to say, row by row."""

    def __init__(self, part: ProvenancePart) -> None:
        self._part = part
        self._templates = Templates()
        same = {name: getattr(part, name).strip() for name in _TEXTS}
        self._same = Provenance(
            digital_source=part.digital_source_type, creator=part.creator, **same
        )

    def facts(
        self,
        edit_id: str,
        variables: Mapping[str, Any],
        *,
        model: str,
        fingerprint: str,
        prompt: str,
        created: float | None,
    ) -> Provenance | None:
        """Of one edit's pictures; None where the job wants nothing written. Raises `RowError`."""
        part = self._part
        if not part.enabled:
            return None
        own: dict[str, Any] = {}
        if not part.is_the_same_for_all:
            values = template_values(edit_id, variables)
            for name in _TEXTS:
                own[name] = self._templates.render(getattr(part, name), values).strip()
            filled = [self._templates.render(text, values).strip() for text in part.creator]
            own["creator"] = tuple(filter(None, filled))
        return msgspec.structs.replace(
            self._same,
            model=model,
            fingerprint=fingerprint,
            created=created,
            prompt=prompt if part.prompt else "",
            **own,
        )


def template_values(edit_id: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """What templates see of a row: ``Product Name`` as ``product_name``, and ``row`` and ``id``."""
    values: dict[str, Any] = {}
    for written, value in variables.items():
        for name in variable_names(written):
            values[name] = value
    return {**values, "id": edit_id, "row": variables}
