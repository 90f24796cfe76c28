"""A job that has run, made by hand: a ledger, inputs, pictures; and what a report says."""

import ast
import asyncio
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from pipeline.job import Job, load_job
from pipeline.ledger import Ledger, LedgerReader, open_ledger, open_reader
from pipeline.models import Attempt, AttemptEnd, Edit, ImageRef, Record, StoredImage
from tests.ledger.samples import MODEL, ORIGIN, START, a_run

HOSTILE = "</script><img src=x onerror=alert(1)>'\"\\ \u2028 \u2029 \ufeff {{ 7*7 }} ${1} <!--"


def photo(path: Path, colour: str = "teal", size: tuple[int, int] = (600, 400)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.linear_gradient("L").resize(size)
    Image.merge("RGB", [image, image.transpose(Image.Transpose.ROTATE_180), image]).save(path)
    with Image.open(path) as picture:
        marked = picture.convert("RGB")
    marked.paste(colour, (0, 0, size[0] // 3, size[1] // 3))
    marked.save(path)
    return path


@dataclass
class Ran:
    """``manifests/`` and ``outputs/`` of a job below ``folder``; edits are added one by one."""

    folder: Path
    count: int = 0
    runs: int = 1
    records: list[Any] = field(default_factory=list)

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs" / "shop"

    @property
    def report(self) -> Path:
        return self.outputs / "report"

    def job(self, **sections: Any) -> Job:
        import yaml

        path = self.folder / "jobs" / "shop.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest = self.folder / "manifests" / "shop.csv"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text("id,image\n")
        path.write_text(yaml.safe_dump({"manifest": "../manifests/shop.csv", **sections}))
        return load_job(path)

    def input(self, name: str, colour: str = "teal") -> str:
        photo(self.folder / "manifests" / name, colour)
        return name

    def output(self, name: str, colour: str = "gold") -> StoredImage:
        path = photo(self.outputs / "images" / name, colour)
        data = path.read_bytes()
        return StoredImage(
            path=f"images/{name}",
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            width=600,
            height=400,
            format=path.suffix[1:],
        )

    def add(
        self,
        edit_id: str,
        *,
        inputs: Iterable[str] = (),
        images: Iterable[StoredImage] = (),
        status: Any = "succeeded",
        code: str | None = None,
        message: str | None = None,
        prompt: str = "Make it white",
        cost: float | None = 0.042,
        variables: dict[str, str] | None = None,
        place: str | None = None,
        seconds: float = 5.0,
        http: int | None = 200,
        parameters: dict[str, Any] | None = None,
        attempt: Any = None,
    ) -> "Ran":
        """Notes an edit with one attempt, to be written by `written`."""
        self.count += 1
        began = START + self.count
        self.records.append(
            (
                Attempt(
                    id=f"a{self.count}",
                    edit_id=edit_id,
                    run_id=f"run-{self.runs}",
                    number=1,
                    fingerprint=f"{self.count:064x}",
                    started_at=began,
                    images=1,
                    reserved_usd=0.042,
                ),
                AttemptEnd(
                    status=attempt or status,
                    finished_at=began + seconds,
                    cost_usd=cost,
                    http_status=http,
                    error_code=code,
                    error_message=message,
                ),
                Record(
                    edit=Edit(
                        id=edit_id,
                        images=tuple(
                            ImageRef(source=s, kind="url" if "://" in s else "file") for s in inputs
                        ),
                        prompt=prompt,
                        parameters=parameters or {},
                        variables=variables or {},
                        place=place or f"shop.csv:{self.count + 1}",
                        output=edit_id,
                    ),
                    model=MODEL,
                    fingerprint=f"{self.count:064x}",
                    run_id=f"run-{self.runs}",
                    status=status,
                    attempts=1,
                    started_at=began,
                    finished_at=began + seconds,
                    images=tuple(images),
                    cost_usd=cost,
                    error_code=code,
                    error_message=message,
                ),
            )
        )
        return self

    def plain(self, edit_id: str, **changes: Any) -> "Ran":
        """An edit that succeeded, with a picture before and after."""
        values: dict[str, Any] = {
            "inputs": [self.input(f"in-{edit_id}.png")],
            "images": [self.output(f"{edit_id}.png")],
        }
        return self.add(edit_id, **(values | changes))

    def written(self) -> "Ran":
        asyncio.run(self._write())
        self.records.clear()
        self.runs += 1
        return self

    async def _write(self) -> None:
        run = f"run-{self.runs}"
        ledger: Ledger = open_ledger(self.outputs / "ledger.db", origin=ORIGIN)
        try:
            await ledger.start_run(a_run(run))
            for attempt, end, record in self.records:
                await ledger.start_attempt(attempt)
                await ledger.record(record, attempt_id=attempt.id, end=end)
            await ledger.end_run(
                run, ended="finished", exit_code=0, totals={}, finished_at=START + 100
            )
        finally:
            ledger.close()

    def reader(self) -> LedgerReader:
        reader = open_reader(self.outputs / "ledger.db")
        assert reader is not None
        return reader


def script_value(text: str, function: str) -> Any:
    """What a data script hands over: the JSON in ``gallery.<function>(…JSON.parse('…'))``."""
    found = re.fullmatch(rf"gallery\.{function}\((?:\d+, )?JSON\.parse\('(.*)'\)\);\n", text, re.S)
    assert found, text[:200]
    # What is escaped there is spelled alike in Python.
    return msgspec.json.decode(ast.literal_eval(f"'{found[1]}'"))


def data_folder(report: Path) -> Path:
    """The folder of data that the page names."""
    found = re.search(r'data-data="([^"]+)"', (report / "index.html").read_text("utf-8"))
    assert found
    return report / found[1]


def index_in(report: Path) -> Any:
    return script_value((data_folder(report) / "index.js").read_text("utf-8"), "index")


def details_in(report: Path, number: int = 0) -> Any:
    name = f"details-{number:04}.js"
    return script_value((data_folder(report) / name).read_text("utf-8"), "details")
