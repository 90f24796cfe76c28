"""Which pictures are delivered, whose products they show, and what their files are called."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.delivery.values import DeliverySettings
from pipeline.errors import ConfigError
from pipeline.filling import PictureNames, picture_values
from pipeline.job import Job
from pipeline.ledger import LedgerReader
from pipeline.ledger.pictured import Pictured, decided
from pipeline.manifest.names import Claims, output_problem
from pipeline.manifest.problems import RowError, listed, quoted
from pipeline.manifest.templates import is_template
from pipeline.models import StoredImage
from pipeline.rendering.wanted import Chosen, edits_of, ids_of

SKU_COLUMNS = ("sku", "item_sku", "variant sku", "product_id", "handle")
"""Columns that name the product, where no other is named; letter case does not count."""

TITLE_COLUMNS = ("title", "product title", "product name", "product", "name")
"""The same for the product's title."""

PROBLEMS_SHOWN = 20


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to be delivered as ``path``. ``number``: of its product's, from 1; ``position``: of
    its edit's. ``handle``: the product's, where the manifest has such a column.
    """

    path: str
    sku: str
    number: int
    edit_id: str
    place: str
    position: int
    image: StoredImage
    title: str
    alt_text: str
    handle: str = ""
    approved: bool = False


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """``undecided``: edits that were left out because they are not approved."""

    pictures: tuple[Picture, ...]
    approved_only: bool
    undecided: int


def choose(job: Job, reader: LedgerReader, rendition: Chosen, settings: DeliverySettings) -> Choice:
    """All pictures to be delivered, in the manifest's order, each with its name.

    As soon as one edit of the job is approved, only approved ones are delivered; until then, all
    that succeeded. Raises `ConfigError` with everything that cannot be named or told apart.
    """
    counts = decided(reader)
    approved_only = settings.approved_only or (
        counts.get("approved", 0) > 0 and not settings.undecided_too
    )
    naming = _Naming(job, rendition, settings)
    undecided = 0
    for edit in edits_of(reader, ids_of(reader, settings.only)):
        if approved_only and edit.decision != "approved":
            undecided += 1
        else:
            naming.take(edit)
    if naming.problems:
        shown = naming.problems[:PROBLEMS_SHOWN]
        if len(naming.problems) > len(shown):
            shown.append(f"and {len(naming.problems) - len(shown):,} more")
        raise ConfigError("nothing was delivered\n" + "\n".join(shown))
    if not naming.pictures:
        why = "no edit has succeeded"
        if undecided:
            why = f"none of {undecided:,} edits is approved (pipeline review, or --undecided-too)"
        raise ConfigError(f"there is nothing to deliver: {why}")
    return Choice(pictures=tuple(naming.pictures), approved_only=approved_only, undecided=undecided)


class _Naming:
    """Names pictures one after the other, and gathers what is wrong with them."""

    def __init__(self, job: Job, rendition: Chosen, settings: DeliverySettings) -> None:
        self._rendition = rendition
        self._settings = settings
        self._names = PictureNames()
        self._title = settings.title or job.provenance.title
        self._alt_text = settings.alt_text or job.provenance.alt_text
        self._numbers: dict[str, int] = {}
        self._claims = Claims()
        self._unknown_column = False
        self.pictures: list[Picture] = []
        self.problems: list[str] = []

    def take(self, edit: Pictured) -> None:
        try:
            sku = self._sku(edit)
            for position, image in enumerate(edit.images, start=1):
                number = self._numbers[sku] = self._numbers.get(sku, 0) + 1
                self._add(edit, image, sku=sku, position=position, number=number)
        except RowError as error:
            self.problems.append(f"{edit.place}: {edit.id}: {error}")

    def _add(
        self, edit: Pictured, image: StoredImage, *, sku: str, position: int, number: int
    ) -> None:
        values = {
            **picture_values(
                edit.id, edit.variables, rendition=self._rendition.name, position=position
            ),
            "sku": sku,
            "number": number,
        }
        name = self._names.render(self._settings.name, values)
        path = f"{name}{self._rendition.spec.extension}"
        if problem := output_problem(name):
            raise RowError(
                f"{quoted(path)} cannot be a file's name: {problem} (use '|slug' in --name)"
            )
        if taken := self._claims.claim(path, len(self.pictures) + 1):
            other = self.pictures[taken - 1]
            raise RowError(
                f"{path} is what a picture of {other.edit_id} (product {quoted(other.sku)}) is"
                f" called, too; this one is of product {quoted(sku)} (tell them apart in --name)"
            )
        self.pictures.append(
            Picture(
                path=path,
                sku=sku,
                number=number,
                edit_id=edit.id,
                place=edit.place,
                position=position,
                image=image,
                title=self._text(
                    self._title, values, _column(edit.variables, TITLE_COLUMNS) or sku
                ),
                alt_text=self._text(self._alt_text, values, ""),
                handle=_column(edit.variables, ("handle", "url handle")),
                approved=edit.decision == "approved",
            )
        )

    def _text(self, template: str, values: Mapping[str, Any], otherwise: str) -> str:
        text = self._names.render(template, values) if is_template(template) else template
        return " ".join(text.split()) or otherwise

    def _sku(self, edit: Pictured) -> str:
        wanted = self._settings.sku
        if not wanted:
            return _column(edit.variables, SKU_COLUMNS) or edit.id
        columns = {name.casefold(): name for name in edit.variables}
        found = columns.get(wanted.casefold())
        if found is None:
            raise RowError(
                f"--sku: there is no column {quoted(wanted)} (there are {listed(edit.variables)})"
            )
        sku = str(edit.variables[found] or "").strip()
        if not sku:
            raise RowError(f"its {found} is empty (fill it in, run again to take it over)")
        return sku


def _column(variables: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these columns that says anything."""
    folded = {
        name.casefold().strip(): str(value or "").strip() for name, value in variables.items()
    }
    return next((folded[name] for name in names if folded.get(name)), "")
