"""A product export of Shopify, as it is: several rows a product, for its variants and pictures."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.errors import ManifestError
from pipeline.manifest.columns import template_name
from pipeline.manifest.html_text import plain_text
from pipeline.manifest.names import Claims
from pipeline.manifest.problems import quoted, row_problem
from pipeline.manifest.rows import RowReader
from pipeline.manifest.shop_pictures import ShopPicture, Wishes, check_prompt, picture_edit
from pipeline.manifest.tables import Row, Source
from pipeline.models import Edit, Problem

MAX_ROWS = 10_000
"""Of one product: Shopify allows 2,048 variants and 250 pictures."""

_COLUMNS = {
    # Ours: theirs, in exports until 2024 and in those since.
    "handle": ("handle", "url_handle"),
    "title": ("title",),
    "description": ("body_html", "description"),
    "vendor": ("vendor",),
    "category": ("product_category",),
    "type": ("type", "custom_product_type"),
    "tags": ("tags",),
    "status": ("status",),
    "sku": ("variant_sku", "sku"),
    "barcode": ("variant_barcode", "barcode"),
    "option1": ("option1_value",),
    "option2": ("option2_value",),
    "option3": ("option3_value",),
    "image": ("image_src", "product_image_url"),
    "position": ("image_position",),
    "alt_text": ("image_alt_text",),
    "variant_image": ("variant_image", "variant_image_url"),
}
_OF_PRODUCTS = ("title", "description", "vendor", "category", "type", "tags", "status")
_OF_VARIANTS = ("sku", "barcode", "option1", "option2", "option3")
_NO_OPTION = "Default Title"
"""What Shopify writes for a product without variants."""


def looks_like_shopify(header: Sequence[str]) -> bool:
    names = {template_name(name) for name in header}
    return all(
        names.intersection(_COLUMNS[column]) for column in ("handle", "title", "image")
    ) and bool(names & {"variant_sku", "sku", "option1_name", "variant_price", "image_position"})


class _Variant(NamedTuple):
    image: str
    values: dict[str, str]


def shopify_edits(
    source: Source, rows: RowReader, *, default_prompt: str
) -> Iterator[Edit | Problem]:
    """An edit for each picture of each product. Raises `ManifestError` about the header."""
    export = _Export(source, rows)
    check_prompt(export.wishes, source.place, default_prompt)
    return export.edits(source.rows)


class _Export:
    def __init__(self, source: Source, rows: RowReader) -> None:
        self._label = source.label
        self._rows = rows
        self.wishes = Wishes(rows, source.place, source.header)
        names = [template_name(name) for name in source.header]
        self._width = len(names)
        self._at: dict[str, int] = {}
        for ours, theirs in _COLUMNS.items():
            found = [names.index(name) for name in theirs if name in names]
            if found:
                self._at[ours] = found[0]
        for ours in ("handle", "image"):
            if ours not in self._at and not (ours == "image" and self.wishes.image_columns):
                raise ManifestError(
                    f"{source.place}: no column {_COLUMNS[ours][0]!r}, which a Shopify export has"
                    " (export the products again, or say format: table in the job)"
                )
        self._wished = {
            written: names.index(template_name(written)) for written in self.wishes.columns()
        }
        self._images = [self._wished[each] for each in self.wishes.image_columns] or [
            self._at["image"]
        ]
        self._handles = Claims()

    def edits(self, rows: Iterator[Row | Problem]) -> Iterator[Edit | Problem]:
        product: list[Row] = []
        handle = ""
        for row in rows:
            if isinstance(row, Problem):
                yield row
                continue
            line, cells = row
            cells += [""] * (self._width - len(cells))
            if not any(map(str.strip, cells)):
                continue
            if len(cells) > self._width:
                yield row_problem(
                    self._label,
                    line,
                    f"{len(cells):,} cells, but {self._width:,} columns (export it again)",
                )
                continue
            own = self._cell(cells, "handle")
            if not own:
                yield row_problem(
                    self._label, line, "no Handle, so no product that it belongs to (fill it in)"
                )
                continue
            if own != handle:
                if product:
                    yield from self._product(handle, product)
                product, handle = [], own
            elif len(product) >= MAX_ROWS:
                raise ManifestError(
                    f"{self._label}:{line}: product {quoted(handle)} has more than {MAX_ROWS:,}"
                    " rows (is this a Shopify export? Else say format: table in the job)"
                )
            product.append(row)
        if product:
            yield from self._product(handle, product)

    def _product(self, handle: str, product: list[Row]) -> Iterator[Edit | Problem]:
        line = product[0][0]
        if above := self._handles.claim(handle, line):
            yield row_problem(
                self._label,
                line,
                f"product {quoted(handle)} has rows further up, in row {above}: the rows of a"
                " product stand together (sort by Handle)",
            )
            return
        shared = {name: self._first(product, name) for name in _OF_PRODUCTS if name in self._at}
        if "description" in shared:
            shared["description"] = plain_text(shared["description"])
        shared["handle"] = handle
        variants = self._variants(product)
        taken: set[int] = set()
        for row, url, stated in self._pictures(product):
            position = stated if stated and stated not in taken else max(taken, default=0) + 1
            taken.add(position)
            own = [variant for variant in variants if variant.image == url] or variants
            values = {name: self._common(own, name) for name in _OF_VARIANTS if name in self._at}
            if "sku" in values and own:
                values["sku"] = next((v.values["sku"] for v in own if v.values["sku"]), "")
            alt = self._cell(row[1], "alt_text") if self._is_of(row, url) else ""
            wished = {
                written: row[1][at].strip() or self._first_at(product, at)
                for written, at in self._wished.items()
            }
            name = wished.get(self.wishes.id_column, "") or handle
            if self.wishes.id_column and template_name(self.wishes.id_column) in _COLUMNS["sku"]:
                name = values.get("sku") or handle
            yield picture_edit(
                self._rows,
                ShopPicture(row[0], name, position, url),
                variables={**shared, **values, "alt_text": alt},
                wishes=self.wishes,
                wished=wished,
            )

    def _pictures(self, product: list[Row]) -> list[tuple[Row, str, int]]:
        """Row, URL and stated position (0: none), in their order, each picture once."""
        found: dict[str, tuple[Row, str, int]] = {}
        for row in product:
            for at in self._images:
                if url := row[1][at].strip():
                    stated = self._cell(row[1], "position") if len(self._images) == 1 else ""
                    position = int(stated) if stated.isdecimal() and len(stated) < 6 else 0
                    found.setdefault(url, (row, url, position))
        if not self.wishes.image_columns:
            for row in product:
                if url := self._cell(row[1], "variant_image"):
                    found.setdefault(url, (row, url, 0))
        return sorted(found.values(), key=lambda each: each[2] or 100_000)

    def _variants(self, product: list[Row]) -> list[_Variant]:
        found = []
        for _, cells in product:
            values = {name: self._cell(cells, name) for name in _OF_VARIANTS if name in self._at}
            if values.get("option1") == _NO_OPTION:
                values["option1"] = ""
            if any(values.values()) or self._cell(cells, "variant_image"):
                found.append(_Variant(self._cell(cells, "variant_image"), values))
        return found

    def _is_of(self, row: Row, url: str) -> bool:
        return any(row[1][at].strip() == url for at in self._images)

    @staticmethod
    def _common(variants: list[_Variant], name: str) -> str:
        """The value that all variants share, such as the colour of all sizes; else nothing."""
        values = {variant.values[name] for variant in variants}
        return values.pop() if len(values) == 1 else ""

    def _cell(self, cells: list[str], name: str) -> str:
        return cells[self._at[name]].strip() if name in self._at else ""

    def _first(self, product: list[Row], name: str) -> str:
        return self._first_at(product, self._at[name])

    @staticmethod
    def _first_at(product: list[Row], at: int) -> str:
        return next((text for _, cells in product if (text := cells[at].strip())), "")
