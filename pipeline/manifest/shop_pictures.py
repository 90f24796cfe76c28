"""What exports of shops have in common: pictures of products, an edit for each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.errors import ManifestError
from pipeline.manifest.columns import Column
from pipeline.manifest.names import sanitised
from pipeline.manifest.rows import RowReader
from pipeline.models import Edit, Problem


class ShopPicture(NamedTuple):
    """``name``: of the product; ``position``: among its pictures, from 1."""

    line: int
    name: str
    position: int
    url: str


class Wishes:
    """What the job's column mapping asks of an export, beyond what it gives by itself.

    ``id_column``, ``image_columns``: instead of the usual ones; may be empty. Raises
    `ManifestError` for columns that the export does not have, if ``header`` is given.
    """

    def __init__(self, rows: RowReader, place: str, header: Sequence[str] | None) -> None:
        columns = rows.columns
        if header is not None and (problems := columns.absent(header)):
            raise ManifestError(f"{place}: " + "; ".join(problems))
        self.id_column = ""
        self.image_columns: list[str] = []
        self.others: list[tuple[Column, str]] = []
        for key, written in columns.mapping.items():
            column = columns.column(key)
            if column.role == "id":
                self.id_column = written[0]
            elif column.role in ("images", "image"):
                self.image_columns += written
            else:
                self.others.append((column, written[0]))

    def columns(self) -> list[str]:
        """All that are named."""
        named = [self.id_column, *self.image_columns, *[column for _, column in self.others]]
        return [name for name in named if name]


def picture_edit(
    rows: RowReader,
    picture: ShopPicture,
    *,
    variables: dict[str, str],
    wishes: Wishes,
    wished: Mapping[str, str],
) -> Edit | Problem:
    """``<name>-<position>``. ``wished``: the cells of the columns that ``wishes`` names."""
    prompt = variant = ""
    parameters: dict[str, str] = {}
    for column, written in wishes.others:
        value = wished.get(written, "").strip()
        if column.role == "prompt":
            prompt = value
        elif column.role == "variant":
            variant = value
        elif column.role == "parameter":
            parameters |= {column.name: value} if value else {}
        else:
            variables[column.name] = value
    found = rows.edit(
        picture.line,
        name=sanitised(f"{picture.name}-{picture.position}"),
        entries=[picture.url],
        prompt=prompt,
        variant=variant,
        parameters=parameters,
        variables={**variables, "position": str(picture.position)},
    )
    if isinstance(found, Problem):
        message = f"product {picture.name!r}: {found.message}"
        return Problem(place=found.place, message=message, id=found.id)
    return found


def check_prompt(wishes: Wishes, place: str, default_prompt: str) -> None:
    """Raises `ManifestError` when no edit could have a prompt: an export holds none."""
    has_column = any(column.role == "prompt" for column, _ in wishes.others)
    if not default_prompt and not has_column:
        raise ManifestError(f"{place}: no prompt (an export has none: give the job one)")
