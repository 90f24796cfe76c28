"""The gallery's data: one index of everything to filter, sort and group by, and the details of
`DETAILS_PER_FILE` edits at a time.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, get_args

import msgspec

from pipeline.gallery.links import Links, Picture, input_name, is_remote
from pipeline.ledger import AttemptRow, LedgerReader, timeline
from pipeline.ledger.checked import checks_of
from pipeline.ledger.timeline import DetailRow, GalleryRow, TakeRow
from pipeline.models import PictureCheck, Status, StoredImage

VERSION = 1
"""Of the data's shape, for the page that reads it."""

DETAILS_PER_FILE = 200
"""Edits in one file of details: about 200 kB, loaded when somebody scrolls there."""

STATUSES: tuple[Status, ...] = get_args(Status)
DECISIONS = ("", "approved", "rejected", "redo")

ATTEMPTS_SHOWN = 50
"""Of one edit, the latest. Nobody reads more, and a night of retries must not fill the page."""


class _Texts:
    """A dictionary of strings, each once, referred to by number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int:
        if text is None:
            return -1
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


def wanted(edit_id: str, only: Sequence[str]) -> bool:
    """Whether an id is one of ``only`` (ids or globs), or that is empty."""
    return not only or any(fnmatchcase(edit_id, glob) for glob in only)


def wanted_ids(reader: LedgerReader, only: Sequence[str] = ()) -> tuple[str, ...]:
    """The ids of the gallery's edits, in the manifest's order. Raises `LedgerError`."""
    ids = timeline.ids_in_order(reader)
    return tuple([edit_id for edit_id in ids if wanted(edit_id, only)]) if only else ids


def index_of(
    reader: LedgerReader,
    links: Links,
    *,
    job: str,
    generated_at: float,
    title: str = "",
    live: dict[str, Any] | None = None,
    only: Sequence[str] = (),
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything about all edits that can be filtered, sorted or grouped by, ready for JSON.

    Columns of equal length, one value an edit, in the manifest's order; texts are numbers into
    ``texts``. ``generated_at``: epoch seconds. ``live``: None on disk, else ``{decide: URL,
    read_only: bool}``. ``only``: ids or globs. ``job`` and ``options``: what a command about this
    ledger is to be given, as in ``pipeline review <job> decisions.csv <options>``. Raises
    `LedgerError`.
    """
    names = timeline.manifest_columns(reader)
    texts = _Texts()
    edits: dict[str, list[Any]] = {
        name: []
        for name in (
            *("id", "fingerprint", "status", "reason", "prompt", "cost", "seconds", "attempts"),
            *("finished", "variant", "decision", "note", "before", "after", "inputs", "outputs"),
            "size",
        )
    }
    columns: list[list[int]] = [[] for _ in names]
    counts = dict.fromkeys(STATUSES, 0)
    for row in timeline.gallery_rows(reader):
        if not wanted(row.id, only):
            continue
        counts[row.status] += 1
        for name, value in _columns_of(row, links, texts).items():
            edits[name].append(value)
        for column, name in zip(columns, names, strict=True):
            column.append(texts.number(_cell(row.variables.get(name))))
    money = _money(reader)
    return {
        "version": VERSION,
        "job": job,
        "options": options,
        "title": title or job,
        "model": ", ".join(sorted(reader.models())),
        "generated_at": datetime.fromtimestamp(generated_at, UTC).isoformat(timespec="seconds"),
        "key": timeline.first_run_id(reader) or job,
        "details_per_file": DETAILS_PER_FILE,
        "live": live,
        "summary": {
            "edits": sum(counts.values()),
            "counts": {status: count for status, count in counts.items() if count},
            "pictures": sum(edits["outputs"]),
            **money,
        },
        "statuses": STATUSES,
        "decisions": DECISIONS,
        "columns": names,
        "texts": texts.texts,
        "edits": {**edits, "columns": columns},
    }


def _columns_of(row: GalleryRow, links: Links, texts: _Texts) -> dict[str, Any]:
    before = after = ""
    if row.inputs:
        before = links.shown(_input(row, 1, row.inputs[0])).thumb
    if row.image is not None:
        after = links.shown(_output(row.id, row.place, 1, row.image)).thumb
    return {
        "id": row.id,
        "fingerprint": row.fingerprint,
        "status": STATUSES.index(row.status),
        "reason": texts.number(row.error_code),
        "prompt": texts.number(row.prompt),
        "cost": _dollars(row.cost_usd),
        "seconds": round(row.finished_at - row.started_at, 2),
        "attempts": row.attempts,
        "finished": round(row.finished_at, 1),
        "variant": row.variant,
        "decision": DECISIONS.index(row.decision) if row.decision in DECISIONS else 0,
        "note": texts.number(row.note or None),
        "before": before,
        "after": after,
        "inputs": len(row.inputs),
        "outputs": row.images,
        "size": [row.image.width, row.image.height] if row.image is not None else None,
    }


def details_of(
    reader: LedgerReader, links: Links, first: int, count: int, *, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The details of ``count`` edits from ``first`` (from 0) of the index. Raises `LedgerError`."""
    if only:
        ids = wanted_ids(reader, only)[first : first + count]
    else:
        ids = timeline.ids_in_order(reader, first=first, count=count)
    return list(details_for(reader, links, ids))


def details_for(reader: LedgerReader, links: Links, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The details of these edits, in this order. Raises `LedgerError`."""
    checks = checks_of(reader, ids)
    for row in timeline.detail_rows(reader, ids):
        yield {
            "id": row.id,
            "place": row.place,
            "model": row.model,
            "run": row.run_id,
            "started": round(row.started_at, 3),
            "finished": round(row.finished_at, 3),
            "parameters": row.parameters,
            "message": row.error_message or "",
            "prompt": row.prompt,
            "inputs": [
                _input_shown(_input(row, position, source), links)
                for position, source in enumerate(row.inputs, start=1)
            ],
            "outputs": [
                _output_shown(_output(row.id, row.place, position, image), image, links)
                for position, image in enumerate(row.images, start=1)
            ],
            "attempts": [_attempt(attempt) for attempt in row.history[-ATTEMPTS_SHOWN:]],
            "checks": [_check(check) for check in checks.get(row.id, ())],
            "takes": [_take(row, take, links) for take in row.takes],
        }


def pictures_of(row: DetailRow) -> Iterable[Picture]:
    """Every picture that the details of an edit show."""
    for position, source in enumerate(row.inputs, start=1):
        yield _input(row, position, source)
    for position, image in enumerate(row.images, start=1):
        yield _output(row.id, row.place, position, image)
    for take in row.takes:
        yield from _taken(row, take)


def _input(row: GalleryRow | DetailRow, position: int, source: str) -> Picture:
    return Picture(edit_id=row.id, kind="input", position=position, place=row.place, source=source)


def _output(edit_id: str, place: str, position: int, image: StoredImage) -> Picture:
    return Picture(edit_id=edit_id, kind="output", position=position, place=place, image=image)


def _taken(row: DetailRow, take: TakeRow) -> Iterator[Picture]:
    for position, image in enumerate(take.images, start=1):
        yield Picture(
            edit_id=row.id,
            kind="take",
            position=position,
            place=row.place,
            image=image,
            take=take.number,
        )


def _input_shown(picture: Picture, links: Links) -> dict[str, Any]:
    shown = links.shown(picture)
    remote = is_remote(picture.source)
    return {
        "name": input_name(picture.source),
        "src": shown.src or (picture.source if remote else ""),
        "thumb": shown.thumb,
        "width": shown.width,
        "height": shown.height,
        "remote": remote,
    }


def _output_shown(picture: Picture, image: StoredImage, links: Links) -> dict[str, Any]:
    shown = links.shown(picture)
    return {
        "src": shown.src,
        "thumb": shown.thumb,
        "width": image.width,
        "height": image.height,
        "bytes": image.size,
        "format": image.format,
        "sha256": image.sha256,
    }


def _attempt(attempt: AttemptRow) -> dict[str, Any]:
    ended = attempt.finished_at
    return {
        "number": attempt.number,
        "status": attempt.status,
        "seconds": None if ended is None else round(ended - attempt.started_at, 2),
        "cost": _dollars(attempt.cost_usd),
        "code": attempt.error_code or "",
        "message": attempt.error_message or "",
        "http": attempt.http_status,
    }


def _check(check: PictureCheck) -> dict[str, Any]:
    return msgspec.structs.asdict(check)


def _take(row: DetailRow, take: TakeRow, links: Links) -> dict[str, Any]:
    return {
        "number": take.number,
        "variant": take.variant,
        "prompt": take.prompt,
        "decision": take.decision,
        "note": take.note or "",
        "cost": _dollars(take.cost_usd),
        "outputs": [
            _output_shown(picture, image, links)
            for picture, image in zip(_taken(row, take), take.images, strict=True)
        ],
    }


def _money(reader: LedgerReader) -> dict[str, float]:
    """What all attempts of the job cost, and what those of unknown outcome may have."""
    cost = unknown = 0.0
    for total in reader.attempt_totals():
        cost += total.cost_usd
        if total.status in ("started", "unknown"):
            unknown += total.reserved_usd
    return {"cost_usd": round(cost, 6), "unknown_usd": round(unknown, 6)}


def _dollars(value: float | None) -> float | None:
    return None if value is None else round(value, 6)  # sums of cents, without their dust


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
