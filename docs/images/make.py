"""Makes the README's pictures from a real run of the demo job: `python docs/images/make.py`.

`demo.jpg` is a contact sheet of inputs and results, `run.svg` what the terminal shows. The run goes
to a temporary folder. Needs a POSIX system: the terminal is a pseudo-terminal.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COLUMNS = 96
COMMAND = ("run", "jobs/demo.yaml", "--rehearse", "--profile", "demo")

# What to show: the edit, its inputs, its results.
CARDS = (
    ("mug-white", ("mug",), ("mug-white",)),
    ("perfume-white", ("perfume-bottle",), ("perfume-white", "perfume-white-2")),
    ("lamp-fabric", ("table-lamp", "fabric-pattern"), ("lamp-fabric",)),
    ("teapot-kitchen", ("teapot", "sunlit-kitchen"), ("teapot-kitchen",)),
    ("watch/morning", ("wrist-watch",), ("watch/morning",)),
    ("candle/evening", ("candle-jar",), ("candle/evening",)),
    ("vase-kitchen", ("vase", "sunlit-kitchen"), ("vase-kitchen",)),
    ("perfume-celebrity", ("perfume-bottle",), ()),
)

WIDTH, GAP, ACROSS = 1600, 20, 4
CARD = (WIDTH - GAP * (ACROSS + 1)) // ACROSS
PAD, INPUTS, RESULT, WORDS = 16, 84, 292, 108
HEIGHT = PAD * 5 + INPUTS + RESULT + WORDS
PAPER, INK, SOFT, MARK = "#efebe4", "#23262b", "#777d86", "#b0532d"

# Between these two a frame of the block that stays in place is painted over the one before.
_FRAME = re.compile(r"\x1b\[\?2026h(.*?)\x1b\[\?2026l", re.DOTALL)
_STEERING = re.compile(r"\x1b\[\?25[lh]|\x1b\[\d*[AJK]|\r")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("jobs", "manifests"):
            shutil.copytree(ROOT / name, folder / name)
        said = ran(folder)
        (HERE / "run.svg").write_text(screenshot(said), encoding="utf-8")
        sheet = contact_sheet(folder)
        for quality in range(90, 60, -2):
            sheet.save(HERE / "demo.jpg", quality=quality, optimize=True, progressive=True)
            if (HERE / "demo.jpg").stat().st_size < 350_000:
                break


def ran(folder: Path) -> str:
    """All that the command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": "50",
    }
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "pipeline", *COMMAND],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    if process.wait() != 3:
        raise SystemExit(f"the demo ended with {process.returncode}: {written.decode()}")
    return written.decode()


def screenshot(said: str) -> str:
    """The plan, one frame from the middle of the run, and the summary, as SVG."""
    live = _FRAME.findall(said)
    first, *_, summary = _FRAME.sub("\0", said).split("\0")
    shown = "\n".join(
        [
            "\x1b[1m$ make demo\x1b[0m",
            *first.strip().splitlines()[:4],  # preflight and plan
            live[len(live) * 3 // 5].rstrip(),
            "\x1b[2m  …\x1b[0m",
            summary.rstrip(),
        ]
    )
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi(_STEERING.sub("", shown)))
    svg = console.export_svg(title="make demo")
    # No fonts from elsewhere: whoever looks at it has a monospaced one.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas")


def contact_sheet(folder: Path) -> Image.Image:
    down = -(-len(CARDS) // ACROSS)
    sheet = Image.new("RGB", (WIDTH, GAP + down * (HEIGHT + GAP)), PAPER)
    prompts = dict(prompts_of(folder))
    for number, (name, inputs, results) in enumerate(CARDS):
        row, column = divmod(number, ACROSS)
        at = (GAP + column * (CARD + GAP), GAP + row * (HEIGHT + GAP))
        shadow(sheet, at)
        sheet.paste(card(folder, name, prompts[name], inputs, results), at)
    return sheet


def prompts_of(folder: Path) -> Iterator[tuple[str, str]]:
    import csv

    with (folder / "outputs/demo-rehearsal/results.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["id"], row["prompt"]


def card(
    folder: Path, name: str, prompt: str, inputs: Sequence[str], results: Sequence[str]
) -> Image.Image:
    face = Image.new("RGB", (CARD, HEIGHT), "white")
    draw = ImageDraw.Draw(face)
    x = PAD
    for source in inputs:
        picture = opened(folder / "manifests/images", source)
        picture.thumbnail((INPUTS * 2, INPUTS), Image.Resampling.LANCZOS)
        face.paste(picture, (x, PAD))
        x += picture.width + 8
    arrow(draw, CARD - PAD - 32, PAD + INPUTS // 2, SOFT if results else MARK)
    top = PAD * 2 + INPUTS
    draw.rectangle((PAD, top, CARD - PAD, top + RESULT), fill="#f6f4f0")
    if not results:
        draw.text((CARD // 2, top + RESULT // 2 - 20), "refused", MARK, font(30), anchor="mm")
        draw.text(
            (CARD // 2, top + RESULT // 2 + 16),
            "an answer, not a fault: not asked again",
            SOFT,
            font(14),
            anchor="mm",
        )
    share = (CARD - 2 * PAD - 8 * (len(results) - 1)) // max(len(results), 1)
    for number, result in enumerate(results):
        picture = opened(folder / "outputs/demo-rehearsal/images", result)
        picture.thumbnail((share, RESULT), Image.Resampling.LANCZOS)
        left = PAD + number * (share + 8) + (share - picture.width) // 2
        face.paste(picture, (left, top + (RESULT - picture.height) // 2))
    top += RESULT + PAD
    draw.text((PAD, top), name, INK, font(20))
    for number, line in enumerate(wrapped(prompt, font(14), CARD - 2 * PAD)[:4]):
        draw.text((PAD, top + 30 + 20 * number), line, SOFT, font(14))
    return face


def arrow(draw: ImageDraw.ImageDraw, x: int, y: int, colour: str) -> None:
    draw.line((x, y, x + 30, y), fill=colour, width=3)
    draw.line((x + 20, y - 9, x + 30, y, x + 20, y + 9), fill=colour, width=3, joint="curve")


def shadow(sheet: Image.Image, at: tuple[int, int]) -> None:
    box = (at[0] - GAP, at[1] - GAP, at[0] + CARD + GAP, at[1] + HEIGHT + GAP)
    dark = Image.new("L", (CARD + 2 * GAP, HEIGHT + 2 * GAP), 0)
    ImageDraw.Draw(dark).rectangle((GAP, GAP + 3, GAP + CARD, GAP + HEIGHT + 3), fill=60)
    dark = dark.filter(ImageFilter.GaussianBlur(7))
    sheet.paste(Image.new("RGB", dark.size, "#5b4a37"), box[:2], dark)


def opened(folder: Path, stem: str) -> Image.Image:
    [path] = folder.joinpath(stem).parent.glob(Path(stem).name + ".*")
    return Image.open(path).convert("RGB")


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def wrapped(
    text: str, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if letters.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


if __name__ == "__main__":
    main()
