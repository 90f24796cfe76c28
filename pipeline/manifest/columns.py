"""What a column of a table, or a key of a YAML or JSON row, is for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pipeline.manifest.names import normalised
from pipeline.manifest.parameters import COUNT_NAMES
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.models import ModelSpec

Role = Literal["id", "images", "image", "prompt", "variant", "parameter", "variable"]

_REMEMBERED = 4096

_TELLING = 8
"""Characters of a parameter's name: short names are near to many words."""

_NEAR_MISS = 0.87

_NUMBERED_IMAGE = re.compile(r"image_?([0-9]{1,4})").fullmatch


class Column(NamedTuple):
    """``name``: for variables as written, else as known. ``order``: among the image columns."""

    role: Role
    name: str
    order: int = 0


KNOWN: Mapping[str, Column] = {
    role: Column(role, role) for role in ("id", "images", "image", "prompt", "variant")
}


class Columns:
    """The columns of one model's manifests.

    ``known_parameters``: the parameters of all models. One that this model does not take is
    refused, because it was meant for a model and would do nothing. ``mapping``: what is wanted →
    the columns that hold it (several for images); they mean nothing else then. Raises `RowError`
    about the mapping.
    """

    def __init__(
        self,
        model: ModelSpec,
        known_parameters: Iterable[str],
        mapping: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._model = model
        self._own = {*model.parameters, *([model.count_field] if model.count_field else [])}
        self._known = {*known_parameters, *COUNT_NAMES}
        self._columns: dict[str, Column] = {}  # of JSON lines, which repeat them; bounded
        self.mapping = mapping or {}
        self._mapped: dict[str, list[Column]] = {}
        self._taken: set[str] = set()
        for key, written in self.mapping.items():
            self._map(key, written)

    def _map(self, key: str, written: Sequence[str]) -> None:
        column = self.column(key)
        images = column.role in ("images", "image")
        if len(written) > 1 and not images:
            raise RowError(
                f"{quoted(key)} takes one column, not {listed(map(repr, written))} (several are for"
                " images)"
            )
        self._taken.add("images" if images else template_name(column.name))
        for place, name in enumerate(written):
            order = column.order * 1000 + place
            self._mapped.setdefault(_same(name), []).append(column._replace(order=order))

    def roles(self, written: str) -> Sequence[Column]:
        """What a column is for; more than one thing where the mapping names it twice.

        A column whose role another one was given is a variable like any other. Raises `RowError`.
        """
        if not self.mapping:
            return (self.column(written),)
        if mapped := self._mapped.get(_same(written)):
            return mapped
        name = template_name(written)
        if name in self._taken or ("images" in self._taken and self._is_image(name)):
            return (Column("variable", written),)
        return (self.column(written),)

    def absent(self, present: Sequence[str], keys: Iterable[str] | None = None) -> list[str]:
        """What is wrong with a table that has these columns: a message for each that is missing.

        ``keys``: only what the mapping says for these.
        """
        there = {_same(name) for name in present}
        return [
            f"columns: there is no column {quoted(name)} for {key!r}{did_you_mean(name, present)}"
            f" (there are {listed(filter(None, present))})"
            for key, written in self.mapping.items()
            if keys is None or key in keys
            for name in written
            if _same(name) not in there
        ]

    @staticmethod
    def _is_image(name: str) -> bool:
        return name in ("images", "image") or _NUMBERED_IMAGE(name) is not None

    def column(self, written: str) -> Column:
        """Letter case, spaces and hyphens do not matter for known names. Raises `RowError`."""
        column = self._columns.get(written)
        if column is None:
            column = self._column(written)
            if len(self._columns) >= _REMEMBERED:
                self._columns.clear()
            self._columns[written] = column
        return column

    def near_miss(self, written: str, present: Iterable[str]) -> str:
        """A hint if a variable's name is almost 'prompt' or a parameter's, and that is absent.

        It would do nothing, and the run would cost money without doing what was meant.
        """
        wanted = {"prompt", *(name for name in self._own if len(name) >= _TELLING)}
        return did_you_mean(
            template_name(written), sorted(wanted - set(present)), nearness=_NEAR_MISS
        )

    def _column(self, written: str) -> Column:
        name = template_name(written)
        if known := KNOWN.get(name):
            return known
        if found := _NUMBERED_IMAGE(name):
            return Column("image", name, int(found.group(1)))
        if name in self._own or name in COUNT_NAMES:
            return Column("parameter", name)
        if name in self._known:
            raise RowError(
                f"model {self._model.id} takes no {name}{did_you_mean(name, self._own)}; it would"
                f" be ignored (remove {quoted(written)}, use another model, or give the column"
                " another name if it is your own)"
            )
        return Column("variable", written)


def _same(written: str) -> str:
    """Column names do not mind letter case, spaces and hyphens."""
    return template_name(written) or written.strip()


def template_name(written: str) -> str:
    """``Product Name`` → ``product_name``; may be empty, or start with a digit."""
    return re.sub(r"\W+", "_", normalised(written).strip().lower()).strip("_")


def missing_column(names: Iterable[str], wanted: str) -> str:
    """`` (did you mean 'images' by 'imgaes'?)`` if one of the names is near to a wanted one."""
    for name in names:
        if did_you_mean(template_name(name), [wanted]):
            return f" (did you mean {wanted!r} by {quoted(name)}?)"
    return ""
