"""One pass over the ledger: which edits are in, which split they are in, and what they come to."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial

from pipeline.exporting.choosing import (
    OWN,
    PAIRS,
    Layout,
    pairs_of,
    picture_layout,
    pictures_of,
)
from pipeline.exporting.filtering import check_columns, check_measured, holds
from pipeline.exporting.originals import Original, Originals
from pipeline.exporting.preferring import PREFERENCES, judged, pairs
from pipeline.exporting.scratch import Scratch
from pipeline.exporting.sources import Sources, look_at
from pipeline.exporting.splitting import split_of
from pipeline.exporting.tallying import Tally
from pipeline.job.exports import Export
from pipeline.ledger import LedgerReader
from pipeline.ledger.material import ExportRow, export_rows, has_checks, most_inputs
from pipeline.ledger.view import FIXED
from pipeline.pictures.checks.likeness import Likeness


def check_wish(wish: Export, reader: LedgerReader) -> None:
    """Raises `ConfigError` for columns that there are not."""
    columns = reader.columns()
    own = [column.name for column in OWN]
    exported = columns if wish.table else [*own, *columns[len(FIXED) :]]
    check_columns(wish, columns, exported, checks=has_checks(reader))


def layout_of(wish: Export, reader: LedgerReader) -> Layout:
    """The columns of what is exported."""
    if wish.format == "instruct-pix2pix":
        return PAIRS
    if wish.format == "preferences":
        return PREFERENCES
    own = reader.columns()[len(FIXED) :]
    inputs = most_inputs(reader) if wish.source else 0
    return picture_layout(own, inputs=inputs, wanted=wish.columns)


class Selection:
    """Puts what is wanted into a `Scratch`.

    ``tally``: of the edits that were chosen; ``straddling``: edits that are left out because their
    source looks like pictures of two splits; ``without_source``: because they have none.
    """

    def __init__(
        self, wish: Export, layout: Layout, reader: LedgerReader, originals: Originals
    ) -> None:
        self._wish = wish
        self._layout = layout
        self._reader = reader
        self._originals = originals
        self.tally = Tally(reader.columns())
        self.straddling = 0
        self.without_source = 0

    def fill(self, scratch: Scratch, sources: Sources | None, each: Callable[[int], None]) -> None:
        """``sources``: where splits are by source. ``each``: hears of edits that are looked at."""
        measured = set[str]()
        for row in export_rows(self._reader):
            each(1)
            measured.update(row.checks)
            inputs = [self._originals.find(source, row.place) for source in row.inputs]
            # Of all edits, in the ledger's order: what is chosen today must not decide it.
            anchors = self._anchors(sources, inputs)
            if not self._wanted(row):
                continue
            split = self._split(row, anchors)
            if split is None:
                self.straddling += 1
                continue
            self._put(scratch, row, inputs, split)
        check_measured(self._wish, measured)
        for group in scratch.groups() if self._wish.format == "preferences" else ():
            for chosen in pairs(group):
                scratch.want(chosen)

    def _put(self, scratch: Scratch, row: ExportRow, inputs: list[Original], split: str) -> None:
        match self._wish.format:
            case "preferences":
                takes = self._reader.takes_of(row.id) if row.takes else ()
                edit = judged(row, takes, inputs, split)
                if edit is None:
                    return
                scratch.judge(edit)
            case "instruct-pix2pix":
                if not inputs:
                    self.without_source += 1
                    return
                for chosen in pairs_of(row, inputs, split):
                    scratch.want(chosen)
            case _:
                for chosen in pictures_of(row, self._layout, inputs, split):
                    scratch.want(chosen)
        self.tally.add(row)

    def _anchors(self, sources: Sources | None, inputs: list[Original]) -> tuple[str, ...]:
        if sources is None or not inputs:
            return ()
        first = inputs[0]
        return sources.anchors(first.digest, partial(_look, first))

    def _split(self, row: ExportRow, anchors: tuple[str, ...]) -> str | None:
        shares = self._wish.split
        if not shares:
            return "train"
        if self._wish.split_by != "source":
            return split_of(str(row.values[self._wish.split_by] or ""), shares)
        found = {split_of(name, shares) for name in anchors or (row.id,)}
        return found.pop() if len(found) == 1 else None

    def _wanted(self, row: ExportRow) -> bool:
        return chosen_by(self._wish, row, judged_too=self._wish.format == "preferences")


def chosen_by(wish: Export, row: ExportRow, *, judged_too: bool = False) -> bool:
    """Whether an edit is wanted. Unless the wish speaks of statuses: tables have all edits, and
    what trains has those that succeeded, or (``judged_too``) any that somebody has judged.
    """
    if wish.only and not any(fnmatchcase(row.id, glob) for glob in wish.only):
        return False
    if not all(holds(one, row) for one in wish.where):
        return False
    if wish.table or judged_too or any(one.column == "status" for one in wish.where):
        return True
    return bool(row.values["status"] == "succeeded")


def table_rows(wish: Export, reader: LedgerReader) -> Iterator[dict[str, object]]:
    """The rows of a table, in the manifest's order. Streams."""
    if wish.where or wish.only:
        measured = set[str]()
        for row in export_rows(reader, in_manifest_order=True):
            measured.update(row.checks)
            if chosen_by(wish, row):
                yield row.values
        check_measured(wish, measured)
    else:
        yield from reader.results()


def _look(original: Original) -> Likeness | None:
    return look_at(original.path) if original.path else None
