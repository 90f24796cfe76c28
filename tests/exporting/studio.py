"""A job with a real ledger, real sources and real results: what an export begins with."""

import asyncio
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image, ImageDraw

from pipeline.exporting.entrance import export
from pipeline.exporting.result import ExportResult
from pipeline.ledger import open_ledger
from pipeline.models import Edit, ImageRef, Record, StoredImage
from pipeline.pictures.prepare import digest_file
from tests.ledger.samples import START, a_run


def drawing(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture unlike those of other seeds: coloured blocks."""
    picture = Image.new("RGB", size, _colour(seed, 0))
    draw = ImageDraw.Draw(picture)
    for n in range(1, 9):
        shade = hashlib.sha256(f"{seed} {n}".encode()).digest()
        left, top = shade[0] % size[0], shade[1] % size[1]
        draw.rectangle(
            (left, top, left + 8 + shade[2] % 40, top + 8 + shade[3] % 30), fill=_colour(seed, n)
        )
    return picture


def _colour(seed: int, n: int) -> tuple[int, int, int]:
    red, green, blue = hashlib.sha256(f"colour {seed} {n}".encode()).digest()[:3]
    return red, green, blue


def file_of(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@dataclass
class Studio:
    """``add`` makes edits as a run would leave them; ``export`` exports below ``folder/data``."""

    folder: Path
    records: dict[str, Record] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        for name in ("jobs", "manifests", "outputs/shop/images"):
            (self.folder / name).mkdir(parents=True)
        self.job.write_text("manifest: ../manifests/shop.csv\nprompt: Do it\n")
        (self.manifests / "shop.csv").write_text("id,images\n")

    @property
    def job(self) -> Path:
        return self.folder / "jobs" / "shop.yaml"

    @property
    def manifests(self) -> Path:
        return self.folder / "manifests"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs" / "shop"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def source(self, name: str, picture: Image.Image, **options: Any) -> str:
        kind = "JPEG" if name.endswith("jpg") else "PNG"
        (self.manifests / name).write_bytes(file_of(picture, kind, **options))
        return name

    def edit(
        self,
        edit_id: str,
        sources: Sequence[str] = (),
        *,
        prompt: str = "Make it white",
        result: int | None = None,
        pictures: int = 1,
        variables: dict[str, str] | None = None,
        **changes: Any,
    ) -> Record:
        """A record with pictures in the store. ``result``: the seed of what came back."""
        self.made += 1
        images = []
        for number in range(1, pictures + 1):
            seed = result if result is not None else self.made + 10_000
            path = f"images/{edit_id}{'' if number == 1 else f'-{number}'}.png"
            data = file_of(drawing(seed + 100_000 * number))
            target = self.outputs / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            images.append(
                StoredImage(
                    path=path,
                    sha256=hashlib.sha256(data).hexdigest(),
                    size=len(data),
                    width=96,
                    height=64,
                    format="png",
                )
            )
        refs = [
            ImageRef(source=name, kind="file", path=str((self.manifests / name).resolve()))
            for name in sources
        ]
        record = Record(
            edit=Edit(
                id=edit_id,
                images=tuple(refs),
                prompt=prompt,
                parameters={},
                variables=variables or {},
                place=f"shop.csv:{self.made + 1}",
                output=edit_id,
            ),
            model="google/gemini-2.5-flash-image-edit",
            fingerprint=hashlib.sha256(f"{edit_id} {prompt} {result}".encode()).hexdigest(),
            run_id="run-1",
            status="succeeded",
            attempts=1,
            started_at=START,
            finished_at=START + self.made,
            images=tuple(images),
            cost_usd=0.042,
        )
        return msgspec.structs.replace(record, **changes)

    def add(self, *records: Record) -> None:
        """Writes records, and the digests of their inputs, as a run does."""

        async def write() -> None:
            ledger = open_ledger(self.outputs / "ledger.db", origin="emulator")
            try:
                if not self.records:
                    await ledger.start_run(a_run())
                for record in records:
                    for ref in record.edit.images:
                        if ref.kind == "file":
                            stat = Path(ref.path).stat()
                            ledger.remember_input(
                                ref.path, stat.st_size, stat.st_mtime_ns, digest_file(ref.path)
                            )
                    await ledger.record(record)
                    self.records[record.edit.id] = record
            finally:
                ledger.close()

        asyncio.run(write())

    def sourced(self, count: int, *, first: int = 0, prompts: int = 1) -> None:
        """``count`` sources, each with as many edits as there are prompts."""
        records = []
        for n in range(first, first + count):
            name = self.source(f"s{n}.png", drawing(n))
            for p in range(prompts):
                records.append(
                    self.edit(f"e{n}-{p}", [name], prompt=f"prompt {p}", result=n * 50 + p)
                )
        self.add(*records)

    def export(self, kind: str, name: str = "set", **options: Any) -> ExportResult:
        return export(self.job, format=kind, output=self.data / name, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check_sums(folder: Path) -> None:
    """Every file of an export is as its SHA256SUMS says, and there are no others."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    said = {line[66:]: line[:64] for line in lines}
    found = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in contents(folder).items()
        if name != "SHA256SUMS"
    }
    assert said == found
