"""`inspect`: what a picture file says of itself, as a person reads it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson
from pipeline.terminal.words import counted, in_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.pictures.provenance import Inspection

app = typer.Typer()

_NAMES = {"webp": "WebP"}
_LONGEST = 400
"""Characters of one value on the screen; ``--json`` has more."""


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Picture files.")],
    as_json: AsJson = False,
) -> None:
    """Say what picture files carry: their origin, AI label, model, and other embedded metadata."""
    from rich.console import Console

    from pipeline.cli import words
    from pipeline.errors import InputError

    # What `pipeline.inspect` is; not by way of `api`, which loads all that a run needs.
    from pipeline.pictures.provenance import read_provenance

    console = Console(highlight=False, soft_wrap=True)
    problems = 0
    shown: list[object] = []
    for path in files:
        try:
            found = read_provenance(path)
        except InputError as error:
            problems += 1
            if as_json:
                shown.append({"path": str(path), "error": str(error)})
            else:
                words.complain(str(error))
            continue
        if as_json:
            shown.append(found)
        else:
            print_inspection(console, found)
    exit_code = 3 if problems else 0
    if as_json:
        words.print_json({"files": shown, "exit_code": exit_code})
    raise typer.Exit(exit_code)


def print_inspection(console: "Console", found: "Inspection") -> None:
    from rich.markup import escape

    from pipeline.pictures.provenance.inspection import when

    console.print(f"[bold]{escape(_printable(found.path))}[/]")
    form = _NAMES.get(found.format, found.format.upper())
    console.print(f"  {form}, {found.width:,} × {found.height:,} pixels, {in_bytes(found.size)}")
    rows = [("source", _source(found)), ("model", found.model), ("software", _software(found))]
    rows.append(("made", when(found.created) if found.created else None))
    for name in ("title", "description", "alt_text", "creator", "copyright", "fingerprint"):
        rows.append((name.replace("_", " "), getattr(found, name)))
    rows += [("rendition", found.rendition), ("made from", found.derived_from)]
    rows.append(("embedded", ", ".join(_embedded(found)) or "nothing"))
    for label, text in rows:
        if text:
            console.print(f"  [dim]{label:<11}[/] {escape(_printable(text))}")
    for problem in found.problems:
        console.print(f"  [yellow]{'problem':<11}[/] it {escape(_printable(problem))}")
    console.print()


def _source(found: "Inspection") -> str:
    if found.digital_source is None:
        return "not said"
    label = found.digital_source_label or "a code that is not in IPTC's list"
    return f"{label} ({found.digital_source})"


def _software(found: "Inspection") -> str | None:
    """Without the model, where that is named already."""
    text = found.software or ""
    return text.removeprefix(f"{found.model} via ") if found.model else text


def _embedded(found: "Inspection") -> list[str]:
    parts = []
    if found.xmp_bytes:
        parts.append(f"XMP ({counted(len(found.xmp), 'property', 'properties')})")
    if found.c2pa is not None:
        says = (
            f", says {', '.join(found.c2pa.digital_sources)}" if found.c2pa.digital_sources else ""
        )
        parts.append(f"C2PA ({in_bytes(found.c2pa.size)}{says}; the signature is not checked)")
    if found.exif is not None:
        fields = [*found.exif.fields.values()][:2]
        said = [*fields, *(["says where it was taken"] if found.exif.gps else [])]
        parts.append(f"EXIF ({', '.join(said) or in_bytes(found.exif.size)})")
    if found.icc is not None:
        parts.append(f"colour profile {found.icc}")
    if found.iptc_bytes:
        parts.append(f"legacy IPTC ({in_bytes(found.iptc_bytes)})")
    if found.texts:
        parts.append(f"texts ({', '.join(found.texts[:6])})")
    return parts


def _printable(text: str) -> str:
    """On one line, without what a terminal would obey: a picture may come from anybody."""
    line = "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
