"""Renditions by name: what platforms ask for, as data with its sources (``presets.yaml``)."""

import difflib
from functools import cache
from importlib import resources

import msgspec

from pipeline.errors import JobError
from pipeline.pictures.rendition_spec import RenditionSpec


class Documented(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a platform says of pictures. ``date``: of the document, or when it was read.

    ``confirmed``: the platform's own page was read; else others quote it, or it is from memory.
    """

    says: str
    source: str
    date: str
    confirmed: bool


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rendition by name. ``chosen``: what in ``spec`` is our choice, not the platform's."""

    title: str
    spec: RenditionSpec
    chosen: str
    documents: tuple[Documented, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether all that it rests on was read on the platform's own pages."""
        return all(document.confirmed for document in self.documents)


@cache
def load_presets() -> dict[str, Preset]:
    """Every preset by its name, in the file's order. Read once; treat it as frozen."""
    import yaml

    text = resources.files("pipeline.pictures").joinpath("presets.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, Preset])


def preset(name: str) -> Preset:
    """Raises `JobError` with the nearest name and the list of all."""
    presets = load_presets()
    if name in presets:
        return presets[name]
    near = difflib.get_close_matches(name, presets, n=1, cutoff=0.5)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    raise JobError(f"unknown preset {name!r}{guess}. There are: {', '.join(presets)}")
