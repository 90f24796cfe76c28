"""A product feed of Google Merchant Center, as it is: an item a product, an edit a picture."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.errors import ManifestError
from pipeline.manifest.cells import NEEDED
from pipeline.manifest.columns import template_name
from pipeline.manifest.html_text import plain_text
from pipeline.manifest.names import Claims
from pipeline.manifest.problems import did_you_mean, listed, row_problem
from pipeline.manifest.rows import RowReader
from pipeline.manifest.shop_pictures import ShopPicture, Wishes, check_prompt, picture_edit
from pipeline.manifest.tables import Source
from pipeline.models import Edit, Problem

VARIABLES = (
    *("title", "description", "link", "brand", "gtin", "mpn", "price", "condition"),
    *("availability", "product_type", "google_product_category", "item_group_id", "color"),
    *("size", "material", "pattern", "gender", "age_group", "custom_label_0", "custom_label_1"),
    *("custom_label_2", "custom_label_3", "custom_label_4"),
)
"""Attributes that each edit carries; others by the job's column mapping."""

_BETWEEN_URLS = re.compile(r",\s*(?=https?:)")


class Item(NamedTuple):
    """``attributes``: each with all its values, under names such as ``image_link``."""

    line: int
    attributes: dict[str, list[str]]

    def first(self, name: str) -> str:
        return next(iter(self.attributes.get(name, ())), "")


def attribute(written: str) -> str:
    """``g:image_link``, ``Image Link`` and ``image link`` are one attribute."""
    return template_name(written).removeprefix("g_")


def looks_like_merchant(header: Sequence[str]) -> bool:
    return {attribute(name) for name in header} >= {"id", "title", "image_link"}


def table_items(source: Source) -> Iterator[Item | Problem]:
    """A feed as CSV or TSV. Raises `ManifestError` when it has no pictures."""
    names = [attribute(name) for name in source.header]
    for needed in ("id", "image_link"):
        if needed not in names:
            raise ManifestError(
                f"{source.place}: no column {needed!r}{did_you_mean(needed, names)}, which a"
                " Merchant feed has (or say format: table in the job)"
            )
    return _table_items(source, names)


def _table_items(source: Source, names: list[str]) -> Iterator[Item | Problem]:
    for row in source.rows:
        if isinstance(row, Problem):
            yield row
            continue
        line, cells = row
        if not any(map(str.strip, cells)):
            continue
        if any(map(str.strip, cells[len(names) :])):
            yield row_problem(
                source.label,
                line,
                f"{len(cells):,} cells, but {len(names):,} columns (export the feed again)",
            )
            continue
        attributes: dict[str, list[str]] = {}
        for name, cell in zip(names, cells, strict=False):
            if name and (text := cell.strip()):
                attributes.setdefault(name, []).append(text)
        yield Item(line, attributes)


def merchant_edits(
    items: Iterable[Item | Problem],
    rows: RowReader,
    *,
    place: str,
    header: Sequence[str] | None,
    default_prompt: str,
) -> Iterator[Edit | Problem]:
    """``header``: of a table. Raises `ManifestError` about the job's column mapping."""
    wishes = Wishes(rows, place, header)
    check_prompt(wishes, place, default_prompt)
    return _edits(items, rows, wishes)


def _edits(
    items: Iterable[Item | Problem], rows: RowReader, wishes: Wishes
) -> Iterator[Edit | Problem]:
    shown = Claims()
    for item in items:
        if isinstance(item, Problem):
            yield item
            continue
        wished = {written: item.first(attribute(written)) for written in wishes.columns()}
        name = wished.get(wishes.id_column, "") or item.first("id")
        if not name:
            yield row_problem(
                rows.label,
                item.line,
                f"no id (there are {listed(sorted(item.attributes))}; each item has one)",
            )
            continue
        if lacking := _lacking(item, rows):
            yield row_problem(rows.label, item.line, f"product {name!r}: {lacking}")
            continue
        variables = {each: item.first(each) for each in VARIABLES}
        variables["description"] = plain_text(variables["description"])
        variables["item_id"] = item.first("id")
        group = item.first("item_group_id")
        for position, url in enumerate(_pictures(item, wishes), start=1):
            # Sizes of one shirt show the same picture: it is edited, and paid for, once.
            if group and shown.claim(f"{group}\n{url}", 1):
                continue
            yield picture_edit(
                rows,
                ShopPicture(item.line, name, position, url),
                variables=dict(variables),
                wishes=wishes,
                wished=wished,
            )


def _lacking(item: Item, rows: RowReader) -> str:
    """What the job's mapping needs and the item does not have."""
    if not rows.columns.mapping:
        return ""
    present = [*item.attributes, *[f"g:{name}" for name in item.attributes]]
    return "; ".join(rows.columns.absent(present, NEEDED))


def _pictures(item: Item, wishes: Wishes) -> list[str]:
    names = [attribute(name) for name in wishes.image_columns] or [
        "image_link",
        "additional_image_link",
    ]
    texts = [text for name in names for text in item.attributes.get(name, ())]
    return list(
        dict.fromkeys(
            url for text in texts for each in _BETWEEN_URLS.split(text) if (url := each.strip())
        )
    )
