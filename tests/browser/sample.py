"""Reports of any size without a run: the page as it ships, with data made to its contract.

`python -m tests.browser.sample FOLDER EDITS` writes one to look at.
"""

import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from pipeline.gallery.rendering import assets, details_script, index_script, page

PER_FILE = 200
STATUSES = ("succeeded", "failed", "refused", "rejected", "pending", "unknown")
DECISIONS = ("", "approved", "rejected", "redo")
CATEGORIES = ("Shoes", "Bags", "Lamps", "Mugs", "Chairs", "Clocks", "Vases")
PROMPTS = (
    "Put the product on pure white, with a soft shadow below it.",
    "Stand the product on an oak shelf between two books. Warm evening light.",
    "Replace the background by a sunlit kitchen, slightly out of focus.",
)
PICTURES = 6
"""Different ones; the edits of a report share them."""
WIDTH, HEIGHT = 600, 450


class Sample:
    """A report: fill `edits` and `details` (both as the contract says), then `write`."""

    def __init__(self, folder: Path, *, key: str = "sample") -> None:
        self.folder = folder
        self.key = key
        self.columns: list[str] = ["category", "material"]
        self.rows: list[dict[str, Any]] = []
        self.details: list[dict[str, Any]] = []
        self.texts: dict[str, int] = {}
        self.live: dict[str, Any] | None = None

    def text(self, words: str) -> int:
        return self.texts.setdefault(words, len(self.texts))

    def add(
        self,
        edit_id: str,
        *,
        status: str = "succeeded",
        reason: str = "",
        prompt: str = PROMPTS[0],
        message: str = "",
        decision: str = "",
        note: str = "",
        variant: int = 1,
        before: Sequence[tuple[str, str]] = (("aa/before.webp", "../inputs/before.png"),),
        after: Sequence[tuple[str, str]] = (("aa/after.webp", "../images/after.png"),),
        values: Sequence[str] = ("Shoes", "leather"),
        cost: float | None = 0.042,
        seconds: float = 8.4,
        attempts: int = 1,
        takes: Sequence[dict[str, Any]] = (),
        remote: bool = False,
        **more: Any,
    ) -> None:
        n = len(self.rows)
        after = after if status == "succeeded" else ()
        self.rows.append(
            {
                "id": edit_id,
                "fingerprint": more.get("fingerprint", f"{n:064x}"),
                "status": STATUSES.index(status),
                "reason": self.text(reason) if reason else -1,
                "prompt": self.text(prompt),
                "cost": cost if status == "succeeded" else 0.0,
                "seconds": seconds,
                "attempts": attempts,
                "finished": 1_790_000_000.0 + n,
                "variant": variant,
                "decision": DECISIONS.index(decision),
                "note": self.text(note) if note else -1,
                "before": before[0][0] if before else "",
                "after": after[0][0] if after else "",
                "inputs": len(before),
                "outputs": len(after),
                "size": [1024, 1024] if after else None,
                "columns": [self.text(value) for value in values],
            }
        )
        self.details.append(
            {
                "id": edit_id,
                "place": f"manifests/catalog.csv:{n + 2}",
                "model": "google/gemini-2.5-flash-image-edit",
                "run": "20260921T101500-3f2a",
                "started": 1_790_000_000.0 + n - seconds,
                "finished": 1_790_000_000.0 + n,
                "parameters": more.get("parameters", {"num_images": 1, "aspect_ratio": "1:1"}),
                "message": message,
                "prompt": prompt,
                "inputs": [
                    {
                        "name": more.get("name", "before.png"),
                        "src": src,
                        "thumb": thumb,
                        "width": 1200,
                        "height": 900,
                        "remote": remote,
                    }
                    for thumb, src in before
                ],
                "outputs": [
                    {
                        "src": src,
                        "thumb": thumb,
                        "width": 1200,
                        "height": 900,
                        "bytes": 1_834_201,
                        "format": "png",
                        "sha256": "0" * 64,
                    }
                    for thumb, src in after
                ],
                "attempts": [
                    {
                        "number": k + 1,
                        "status": "succeeded" if ok else "failed",
                        "seconds": seconds,
                        "cost": 0.042 if ok else 0.0,
                        "code": "" if ok else reason or "server_error",
                        "message": "" if ok else message or "the endpoint answered 503",
                        "http": 200 if ok else 503,
                    }
                    for k in range(attempts)
                    for ok in [status == "succeeded" and k == attempts - 1]
                ],
                "checks": more.get("checks", []),
                "takes": list(takes),
            }
        )

    def write(self, *, charts: Sequence[Any] = (), csrf_token: str = "") -> Path:
        """The folder of the report, complete; returns its page."""
        report = self.folder / "report"
        (report / "data").mkdir(parents=True, exist_ok=True)
        for file in assets():
            shutil.copy(file, report / file.name)
        edits: dict[str, Any] = {
            name: [row[name] for row in self.rows]
            for name in (self.rows[0] if self.rows else _EMPTY)
            if name != "columns"
        }
        edits["columns"] = [
            [row["columns"][k] for row in self.rows] for k in range(len(self.columns))
        ]
        counts = {
            status: sum(row["status"] == n for row in self.rows)
            for n, status in enumerate(STATUSES)
        }
        index = {
            "version": 1,
            "job": "jobs/catalog.yaml",
            "options": ["--rehearse"],
            "title": "Catalog, white",
            "model": "google/gemini-2.5-flash-image-edit",
            "generated_at": "2026-09-21T12:00:00+00:00",
            "key": self.key,
            "details_per_file": PER_FILE,
            "live": self.live,
            "summary": {
                "edits": len(self.rows),
                "counts": {status: count for status, count in counts.items() if count},
                "pictures": sum(row["outputs"] for row in self.rows),
                "cost_usd": round(sum(row["cost"] or 0 for row in self.rows), 4),
                "unknown_usd": 0.0,
            },
            "statuses": STATUSES,
            "decisions": DECISIONS,
            "columns": self.columns,
            "texts": list(self.texts),
            "edits": edits,
        }
        (report / "data" / "index.js").write_text(index_script(index), encoding="utf-8")
        for number in range(-(-len(self.details) // PER_FILE)):
            part = self.details[number * PER_FILE : (number + 1) * PER_FILE]
            (report / "data" / f"details-{number:04}.js").write_text(
                details_script(number, part), encoding="utf-8"
            )
        html = page(title="Catalog, white", charts=charts, live=self.live, csrf_token=csrf_token)
        (report / "index.html").write_text(html, encoding="utf-8")
        return report / "index.html"

    def pictures(self, count: int = 1) -> list[tuple[str, str, str, str]]:
        """(before's preview, its full size, after's preview, its full size), ``count`` pairs."""
        made = []
        for n in range(count):
            hue = (n * 47) % 360
            names = []
            for kind in ("before", "after"):
                picture = drawn(hue, cut_out=kind == "after")
                folder = {"before": "inputs", "after": "images"}[kind]
                full = self.folder / folder / f"{kind}-{n}.png"
                full.parent.mkdir(parents=True, exist_ok=True)
                picture.save(full, compress_level=1)
                thumb = self.folder / "report" / "thumbs" / f"{n % 256:02x}" / f"{kind}-{n}.webp"
                thumb.parent.mkdir(parents=True, exist_ok=True)
                picture.thumbnail((384, 384))
                picture.save(thumb, quality=80)
                names += [f"{thumb.parent.name}/{thumb.name}", f"../{folder}/{full.name}"]
            made.append((names[0], names[1], names[2], names[3]))
        return made


_EMPTY = (
    *("id", "fingerprint", "status", "reason", "prompt", "cost", "seconds", "attempts"),
    *("finished", "variant", "decision", "note", "before", "after", "inputs", "outputs", "size"),
)


def drawn(hue: int, *, cut_out: bool) -> Image.Image:
    """A vase on a table; cut out, on white or on nothing."""
    ground = (0, 0, 0, 0) if cut_out and hue % 2 else (255, 255, 255, 255)
    picture = Image.new("RGBA", (WIDTH, HEIGHT), ground)
    draw = ImageDraw.Draw(picture)
    if not cut_out:
        draw.rectangle((0, 0, WIDTH, 345), fill=f"hsl({(hue + 190) % 360}, 18%, 56%)")
        draw.rectangle((0, 345, WIDTH, HEIGHT), fill=f"hsl({(hue + 30) % 360}, 30%, 34%)")
    draw.ellipse((165, 371, 435, 403), fill=(0, 0, 0, 60))
    for k in range(20):
        box = (200 + 5 * k, 150 + 3 * k, 400 - 4 * k, 390 - 5 * k)
        draw.ellipse(box, fill=f"hsl({hue}, 55%, {34 + 2 * k}%)")
    draw.rectangle((270, 95, 330, 165), fill=f"hsl({hue}, 55%, 38%)")
    draw.ellipse((260, 80, 340, 110), fill=f"hsl({hue}, 50%, 28%)")
    return picture


def sample(folder: Path, count: int, *, key: str = "sample", troubled: bool = True) -> Sample:
    """``count`` edits as a night leaves them. ``troubled``: some failed. Not yet written."""
    luck = random.Random(7)
    made = Sample(folder, key=key)
    pictures = made.pictures(min(count, PICTURES)) if count else []
    for n in range(count):
        before, before_full, after, after_full = pictures[n % len(pictures)]
        roll = luck.random() if troubled else 1.0
        outcome: dict[str, Any] = {}
        if n % 10 == 7 and roll < 0.5:
            outcome = {
                "status": "failed",
                "reason": luck.choice(("server_error", "timeout", "no_image")),
                "message": "the endpoint answered 503 six times: the model is overloaded",
                "attempts": 6,
            }
        elif n % 10 == 4 and roll < 0.3:
            outcome = {
                "status": "refused",
                "reason": "content_refused",
                "message": "The provider's moderation refused this picture.",
            }
        if n % 9 == 2:
            outcome["attempts"] = outcome.get("attempts", 2)
        made.add(
            f"{CATEGORIES[n % 7].lower()[:-1]}-{n:05}",
            prompt=PROMPTS[n % 3],
            values=(CATEGORIES[n % 7], luck.choice(("leather", "oak", "steel", "cotton", ""))),
            before=[(before, before_full)] * (2 if n % 11 == 3 else 1),
            after=[(after, after_full)] * (2 if n % 13 == 5 else 1),
            seconds=round(luck.uniform(4, 19), 1),
            **outcome,
        )
    return made


if __name__ == "__main__":
    print(sample(Path(sys.argv[1]), int(sys.argv[2])).write())
