"""The contact sheet of a job: which edits are on it, and what stands above them."""

from collections.abc import Collection, Sequence
from datetime import tzinfo
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.gallery import data, scales
from pipeline.gallery.links import Links
from pipeline.ledger import LedgerReader
from pipeline.models import Status
from pipeline.pictures.contact_sheet import Heading, Pair, draw_sheet


def write_contact_sheet(
    reader: LedgerReader,
    links: Links,
    thumbs: Path,
    path: Path,
    *,
    title: str,
    now: float,
    only: Sequence[str] = (),
    statuses: Collection[str] = (),
    zone: tzinfo | None = None,
) -> int:
    """Draws the chosen edits (``only``: ids or globs; ``statuses``: any, if empty); its pages.

    ``thumbs``: the folder with the previews that ``links`` names. ``zone``: of the date; None: this
    machine's. Raises `ConfigError` (a name that is no .jpg or .pdf), `LedgerError`, `StoreError`.
    """
    index = data.index_of(reader, links, job=title, generated_at=now, only=only)
    edits, texts = index["edits"], index["texts"]
    pairs = [
        Pair(
            number=n + 1,
            id=edits["id"][n],
            status=data.STATUSES[edits["status"][n]],
            reason=_reason(texts, edits["reason"][n], data.STATUSES[edits["status"][n]]),
            decision=data.DECISIONS[edits["decision"][n]],
            before=thumbs / edits["before"][n] if edits["before"][n] else None,
            after=thumbs / edits["after"][n] if edits["after"][n] else None,
        )
        for n in range(len(edits["id"]))
        if not statuses or data.STATUSES[edits["status"][n]] in statuses
    ]
    counts = ", ".join(f"{n:,} {status}" for status, n in index["summary"]["counts"].items())
    facts = [scales.several(index["summary"]["edits"], "edit"), counts]
    cost = index["summary"]["cost_usd"]
    facts += [scales.dollars(cost)] if cost else []
    facts += [index["model"]] if index["model"] else []
    heading = Heading(title, scales.moment(now, zone), "  ·  ".join(filter(None, facts)))
    return draw_sheet(pairs, heading, path)


def statuses_in(names: Sequence[str]) -> tuple[Status, ...]:
    """Statuses, one by one or joined by commas. Raises `ConfigError` for what is none."""
    known: dict[str, Status] = {status: status for status in data.STATUSES}
    asked = [name.strip() for part in names for name in part.split(",") if name.strip()]
    for name in asked:
        if name not in known:
            raise ConfigError(f"--status: {name!r} is no status ({', '.join(known)})")
    return tuple([known[name] for name in asked])


def _reason(texts: Sequence[str], number: int, status: str) -> str:
    reason = texts[number].replace("_", " ") if number >= 0 else ""
    return "" if reason == status else reason
