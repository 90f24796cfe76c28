"""The part ``renditions`` of a job: by name, what each stored picture becomes."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from pipeline.errors import JobError
from pipeline.job.values import Part, size_in_bytes
from pipeline.manifest.names import name_problem
from pipeline.manifest.problems import RowError
from pipeline.manifest.templates import Templates
from pipeline.pictures.presets import preset
from pipeline.pictures.rendition_spec import RenditionSpec

_PLACE = "rendition"
_NOT_OF_THE_SPEC = {"preset", "upscaler"}


class Rendition(Part):
    """One of the job's renditions: a preset, what is otherwise than in it, or all of it."""

    preset: str | None = None
    width: int | None = None
    height: int | None = None
    fit: Literal["contain", "cover", "exact", "inside"] = "contain"
    focus: tuple[float, float] = (0.5, 0.5)
    fill: float | None = None
    tolerance: int = 12
    white_point: int | None = None
    format: Literal["jpeg", "png", "webp", "avif"] = "jpeg"
    quality: int | None = None
    max_bytes: Annotated[int | None, BeforeValidator(size_in_bytes)] = None
    min_quality: int = 40
    sharpening: Literal["none", "mild", "strong"] = "mild"
    profile: Literal["embed", "strip"] = "embed"
    background: str = "white"
    alpha: Literal["flatten", "keep"] = "flatten"
    allow_upscale: bool = True
    file: str = "{{ id }}"
    folder: str = ""
    upscaler: str = ""

    _spec: RenditionSpec = PrivateAttr()

    @property
    def spec(self) -> RenditionSpec:
        """All of it, the preset's part included."""
        return self._spec

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                preset(name)
            except JobError as error:
                raise ValueError(str(error)) from None
        return name

    @field_validator("file", "folder")
    @classmethod
    def _readable(cls, text: str, info: Any) -> str:
        try:
            Templates().check(text)
        except RowError as error:
            raise ValueError(str(error)) from None
        if info.field_name == "file" and not text.strip():
            raise ValueError("it is empty (use '{{ id }}' in it)")
        return text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        own = {name: getattr(self, name) for name in self.model_fields_set - _NOT_OF_THE_SPEC}
        if self.preset is None:
            self._spec = RenditionSpec(**own)
        else:
            # Its numbers are for its own format and fit: what they mean elsewhere is not theirs.
            values = {
                name: getattr(preset(self.preset).spec, name)
                for name in RenditionSpec.__struct_fields__
            }
            if own.get("format", values["format"]) != values["format"]:
                values["quality"] = None
            if own.get("fit", "contain") != "contain":
                values["fill"] = None
            self._spec = RenditionSpec(**{**values, **own})
        try:
            self._spec.check(_PLACE)
        except JobError as error:
            raise _at(str(error)) from None
        return self


def _at(problem: str) -> ValidationError:
    """``rendition.width: …`` as a complaint about the key ``width``."""
    place, _, message = problem.partition(": ")
    key = place.removeprefix(_PLACE).lstrip(".")
    found = InitErrorDetails(
        type="value_error",
        loc=(key,) if key else (),
        input=None,
        ctx={"error": ValueError(message)},
    )
    return ValidationError.from_exception_data(_PLACE, [found])


def _as_mapping(value: Any) -> Any:
    """``amazon-main`` is short for ``{preset: amazon-main}``."""
    return {"preset": value} if isinstance(value, str) else value


def _name(value: str) -> str:
    if problem := name_problem(value):
        raise ValueError(f"a rendition's name is a folder's, too: {problem} (rename it)")
    return value


Renditions = dict[
    Annotated[str, BeforeValidator(_name)], Annotated[Rendition, BeforeValidator(_as_mapping)]
]
"""By name, in the file's order."""
