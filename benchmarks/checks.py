"""Measures what checks cost, and what they find on real pictures: the tables of docs/checks.md.

``python -m benchmarks.checks`` prints both; ``cost`` or ``limits`` prints one. Reads the demo's
inputs, and the provider's example pictures where they lie beside the checkout.
"""

import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from pipeline.emulator import studio
from pipeline.pictures.checks.contrast import contrast_of
from pipeline.pictures.checks.differences import most_changed
from pipeline.pictures.checks.likeness import SeenPictures, likeness_of
from pipeline.pictures.checks.pictures import PictureUnderTest, Reference
from pipeline.pictures.checks.run import run_checks
from pipeline.pictures.checks.settings import read_settings
from pipeline.pictures.checks.structure import compare
from pipeline.pictures.checks.subject import subject_of

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT.parent / "shared" / "reference"
MODEL_SIZES = [(1024, 1024), (832, 1248), (1248, 832), (864, 1184), (1184, 864), (896, 1152)]
MODEL_SIZES += [(1152, 896), (768, 1344), (1344, 768), (1536, 672)]

Change = Callable[[Image.Image], Image.Image]


def pictures() -> dict[str, Image.Image]:
    paths = sorted((ROOT / "manifests" / "images").glob("*.jpg"))
    if REFERENCE.is_dir():
        paths += sorted([*REFERENCE.glob("*.jpg"), *REFERENCE.glob("*.png")])
    return {path.name: Image.open(path).convert("RGB") for path in paths}


def stored(picture: Image.Image, form: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    if form == "PNG":
        options.setdefault("compress_level", 1)
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(quality: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        data = stored(picture, "JPEG", quality=quality)
        return Image.open(io.BytesIO(data)).convert("RGB")

    return change


def model_size(picture: Image.Image) -> Image.Image:
    shape = picture.width / picture.height
    size = min(MODEL_SIZES, key=lambda one: abs(np.log(one[0] / one[1] / shape)))
    return jpeg(85)(picture.resize(size, Image.Resampling.LANCZOS))


def noise(sigma: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        dice = np.random.default_rng(1)
        values = np.asarray(picture, np.float32) + dice.normal(0, sigma, (*picture.size[::-1], 3))
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

    return change


def zoom(by: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        across, down = (side * (1 - 1 / by) / 2 for side in picture.size)
        box = (across, down, picture.width - across, picture.height - down)
        return picture.resize(picture.size, Image.Resampling.LANCZOS, box=box)

    return change


def shift(pixels: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        moved = ImageChops.offset(picture, pixels, pixels)
        moved.paste(picture.crop((0, 0, picture.width, pixels)), (0, 0))
        moved.paste(picture.crop((0, 0, pixels, picture.height)), (0, 0))
        return moved

    return change


def retouch(share: float) -> Change:
    """The most structured square is painted over with its own mean, as when a logo goes."""

    def change(picture: Image.Image) -> Image.Image:
        side = max(4, round(min(picture.size) * share))
        grey = np.asarray(picture.convert("L"), np.float32)
        places = [
            (float(grey[y : y + side, x : x + side].std()), x, y)
            for y in range(0, picture.height - side, side)
            for x in range(0, picture.width - side, side)
        ]
        _, x, y = max(places)
        result = picture.copy()
        box = (x, y, x + side, y + side)
        result.paste(
            picture.crop(box).resize((1, 1), Image.Resampling.BOX).resize((side, side)), box
        )
        return result

    return change


def hue(by: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        h, s, v = picture.convert("HSV").split()
        return Image.merge("HSV", (h.point(lambda x: (x + by) % 256), s, v)).convert("RGB")

    return change


def brighter(by: float) -> Change:
    return lambda picture: ImageEnhance.Brightness(picture).enhance(by)


def warmer(picture: Image.Image) -> Image.Image:
    return Image.blend(picture, Image.new("RGB", picture.size, (255, 220, 170)), 0.08)


def labelled(picture: Image.Image) -> Image.Image:
    result = picture.copy()
    width, height = result.size
    pen = ImageDraw.Draw(result)
    pen.text((width * 0.4, height * 0.5), "SALE", fill="red", font_size=width * 0.08)
    return result


def waved(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    down, across = np.mgrid[:height, :width]
    rows = np.clip(down + 0.02 * height * np.sin(across / width * 12), 0, height - 1).astype(int)
    columns = np.clip(across + 0.02 * width * np.sin(down / height * 12), 0, width - 1).astype(int)
    return Image.fromarray(np.asarray(picture)[rows, columns])


SAME: dict[str, Change] = {
    "JPEG quality 95": jpeg(95),
    "JPEG quality 75": jpeg(75),
    "JPEG quality 40": jpeg(40),
    "model's size, JPEG 85": model_size,
    "half the size, JPEG 75": lambda p: jpeg(75)(p.resize((p.width // 2, p.height // 2))),
    "noise, sigma 6": noise(6),
    "shifted by 3 pixels": shift(3),
    "1 % larger": zoom(1.01),
}
EDITED: dict[str, Change] = {
    "retouched, 4 % of the side": retouch(0.04),
    "retouched, 8 % of the side": retouch(0.08),
    "retouched, 15 % of the side": retouch(0.15),
    "5 % brighter": brighter(1.05),
    "15 % brighter": brighter(1.15),
    "warmer light": warmer,
    "hue by 11 degrees": hue(8),
    "hue by 42 degrees": hue(30),
    "mirrored": ImageOps.mirror,
}
KEPT: dict[str, Change] = {
    "as it is": lambda p: p,
    "model's size, JPEG 85": model_size,
    "shifted by 10 pixels": shift(10),
    "3 % larger": zoom(1.03),
    "30 % darker": brighter(0.7),
    "30 % more contrast": lambda p: ImageEnhance.Contrast(p).enhance(1.3),
    "warmer light": warmer,
    "softer": lambda p: p.filter(ImageFilter.GaussianBlur(1.5)),
}
DRIFTED: dict[str, Change] = {
    "mirrored": ImageOps.mirror,
    "turned by 8 degrees": lambda p: p.rotate(8, Image.Resampling.BICUBIC, fillcolor="white"),
    "15 % larger": zoom(1.15),
    "bent by 2 %": waved,
    "a word added": labelled,
    "retouched, 25 % of the side": retouch(0.25),
    "hue by 28 degrees": hue(20),
    "hue by 85 degrees": hue(60),
}


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f} | {median(values):.2f} | {max(values):.2f}"


def unchanged(all_pictures: dict[str, Image.Image]) -> None:
    print("\nnot_unchanged, and not_duplicate's two measures: least | median | most")
    known = {}
    for name, picture in all_pictures.items():
        data = stored(picture)
        known[name] = Reference(data), likeness_of(PictureUnderTest(data).reduced, b"")
    for title, changes in (("the same", SAME), ("edited", EDITED)):
        for name, change in changes.items():
            spots, bits, cells = [], [], []
            for which, picture in all_pictures.items():
                before, one = known[which]
                after = PictureUnderTest(stored(change(picture)))
                spots.append(most_changed(before.colours, after.compared_with(before))[0])
                two = likeness_of(after.reduced, b"")
                bits.append((int.from_bytes(one.hash) ^ int.from_bytes(two.hash)).bit_count())
                a, b = (np.frombuffer(like.cells, np.uint8).astype(int) for like in (one, two))
                cells.append(int(np.abs(a - b).max()))
            print(
                f"| {title} | {name} | {spread(spots)} | {spread(bits)} | {spread(cells)} |",
                flush=True,
            )


def apart(all_pictures: dict[str, Image.Image]) -> None:
    likes = {
        name: likeness_of(PictureUnderTest(stored(picture)).reduced, b"")
        for name, picture in all_pictures.items()
    }
    for name, picture in list(all_pictures.items())[:12]:
        for index in range(2):
            scene = studio.Scene(
                size=(1024, 1024),
                prompt="on white",
                inputs=(stored(picture),),
                index=index,
                count=2,
            )
            likes[f"emulator {name} {index}"] = likeness_of(studio.draw(scene), b"")
    names = list(likes)
    bits = [
        (int.from_bytes(likes[a].hash) ^ int.from_bytes(likes[b].hash)).bit_count()
        for n, a in enumerate(names)
        for b in names[:n]
        if a.rsplit(" ", 1)[0] != b.rsplit(" ", 1)[0]
    ]
    print(f"hash bits between different pictures: {spread(bits)}")


def each(all_pictures: dict[str, Image.Image]) -> None:
    """One row a picture, for the docs."""
    print("\npicture | contrast | white | JPEG 75 | model size | retouched | nearest other")
    likes = {
        name: likeness_of(PictureUnderTest(stored(picture)).reduced, b"")
        for name, picture in all_pictures.items()
    }
    white_border = read_settings({"background_white": True})
    for name, picture in all_pictures.items():
        data = stored(picture)
        before = Reference(data)
        spots = []
        for change in (jpeg(75), model_size, retouch(0.08)):
            after = PictureUnderTest(stored(change(picture)))
            spots.append(most_changed(before.colours, after.compared_with(before))[0])
        others = [
            (int.from_bytes(likes[name].hash) ^ int.from_bytes(like.hash)).bit_count()
            for other, like in likes.items()
            if other != name
        ]
        contrast = contrast_of(PictureUnderTest(data).reduced)
        share = run_checks(white_border, data).results[1].value or 0
        print(
            f"| `{name}` | {contrast:.0f} | {share:.2f} | {spots[0]:.1f} | {spots[1]:.1f} |"
            f" {spots[2]:.0f} | {min(others)} |",
            flush=True,
        )


def blank(all_pictures: dict[str, Image.Image]) -> None:
    print("\nnot_blank")
    grounds = {name: Image.new("RGB", (1024, 1024), name) for name in ("white", "black", "gray")}
    for name, ground in grounds.items():
        values = [contrast_of(change(ground)) for change in (noise(0), noise(5), noise(30))]
        print(f"| {name}, noise of sigma 0, 5, 30 | {' | '.join(f'{v:.1f}' for v in values)} |")
    for kind in (Image.linear_gradient, Image.radial_gradient):
        gradient = kind("L").resize((1024, 1024)).convert("RGB")
        print(f"| {kind.__name__} | {contrast_of(gradient):.1f} |")
    product = next(iter(all_pictures.values()))
    for side in (40, 60, 90, 130):
        canvas = Image.new("RGB", (1024, 1024), "white")
        canvas.paste(product.resize((side, side)), (470, 470))
        print(f"| a product of {side} pixels on white | {contrast_of(canvas):.1f} |")
    for name, picture in all_pictures.items():
        print(f"| {name} | {contrast_of(picture):.1f} |")


def white(all_pictures: dict[str, Image.Image]) -> None:
    print("\nbackground_white: share within 0, 4, 8, 16 levels")
    for name, picture in all_pictures.items():
        row = []
        for tolerance in (0, 4, 8, 16):
            settings = read_settings({"background_white": {"tolerance": tolerance}})
            row.append(run_checks(settings, stored(jpeg(85)(picture))).results[1].value)
        print(f"| {name} as JPEG 85 | {' | '.join(f'{v:.4f}' for v in row if v is not None)} |")


def subjects(
    all_pictures: dict[str, Image.Image],
) -> list[tuple[Image.Image, Image.Image, Reference]]:
    """Those whose subject can be seen, and an oval cut out of each of the others."""
    found = []
    for picture in all_pictures.values():
        reference = Reference(stored(picture))
        mask = subject_of(reference)
        if mask is not None:
            outline = Image.fromarray(mask).convert("L").resize(picture.size, 3)
            found.append((picture, outline.filter(ImageFilter.GaussianBlur(1)), reference))
            continue
        oval = Image.radial_gradient("L").resize(picture.size).point(lambda v: 255 * (v < 100))
        oval = oval.filter(ImageFilter.GaussianBlur(2))
        cut = picture.copy()
        cut.putalpha(oval)
        found.append((picture, oval, Reference(stored(cut))))
    return found


def structure(all_pictures: dict[str, Image.Image]) -> None:
    print("\nsubject_kept: structure least | 5 % | median | most; colour median | most")
    grounds: list[Image.Image | str] = ["white", "black", all_pictures["sunlit-kitchen.jpg"]]
    cases = subjects(all_pictures)

    def row(title: str, name: str, answers: Callable[[int], Sequence[Image.Image]]) -> None:
        kept, moved = [], []
        for number, (_, _, reference) in enumerate(cases):
            mask = subject_of(reference)
            assert mask is not None
            for answer in answers(number):
                after = PictureUnderTest(stored(answer)).compared_with(reference)
                measured = compare(reference.colours, mask, after)
                kept.append(min(measured.kept, 1 - measured.added))
                moved.append(measured.colour)
        low = float(np.percentile(kept, 5))
        print(
            f"| {title} | {name} | {min(kept):.2f} | {low:.2f} | {median(kept):.2f} |"
            f" {max(kept):.2f} | {median(moved):.1f} | {max(moved):.1f} |",
            flush=True,
        )

    def on(picture: Image.Image, outline: Image.Image) -> list[Image.Image]:
        return [
            Image.composite(
                picture,
                Image.new("RGB", picture.size, ground)
                if isinstance(ground, str)
                else ImageOps.fit(ground, picture.size),
                outline,
            )
            for ground in grounds
        ]

    for name, change in KEPT.items():
        row("kept", name, lambda n, c=change: [c(one) for one in on(*cases[n][:2])])  # type: ignore[misc]
    for name, change in DRIFTED.items():
        # What moves takes its outline along.
        moves = name[0] in "mt1b"
        row(
            "drifted",
            name,
            lambda n, c=change, m=moves: on(  # type: ignore[misc]
                c(cases[n][0]),
                c(cases[n][1].convert("RGB")).convert("L") if m else cases[n][1],
            ),
        )
    others = [cases[(number + 3) % len(cases)][0] for number in range(len(cases))]
    row(
        "drifted",
        "another subject in its outline",
        lambda n: on(others[n].resize(cases[n][0].size), cases[n][1]),
    )
    row("drifted", "another picture", lambda n: [others[n].resize(cases[n][0].size)])


def cost() -> None:
    """Each check's time as a multiple of Pillow's own decode of the same bytes; medians."""
    picture = pictures()["mug.jpg"].resize((1184, 864))
    everything = {
        "min_size": 500,
        "ratio": True,
        "not_blank": True,
        "not_unchanged": True,
        "not_duplicate": True,
        "background_white": True,
    }
    reference = Reference(stored(Image.open(ROOT / "manifests/images/perfume-bottle.jpg")))
    source = (ROOT / "manifests/images/perfume-bottle.jpg").read_bytes()
    for form in ("PNG", "JPEG", "WEBP"):
        data = stored(picture, form)

        def plain(data: bytes = data) -> None:
            with Image.open(io.BytesIO(data)) as opened:
                opened.load()

        def run(checks: dict[str, object], inputs: Sequence[object], data: bytes = data) -> None:
            seen = SeenPictures()
            run_checks(read_settings(checks), data, inputs=inputs, asked_ratio="4:3", seen=seen)  # type: ignore[arg-type]

        jobs: dict[str, Callable[[], object]] = {
            "plain Pillow": plain,
            "decodes": lambda: run({}, []),
            "all but subject_kept, input kept": lambda: run(everything, [reference]),
            "all but subject_kept, input read": lambda: run(everything, [source]),
            "all, input kept": lambda: run({**everything, "subject_kept": True}, [reference]),
        }
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(15):
            for name, job in jobs.items():
                # The thread's own seconds: other work on the machine is not in them.
                start = time.thread_time()
                job()
                times[name].append(time.thread_time() - start)
        base = median(times["plain Pillow"])
        for name, taken in times.items():
            print(f"| {form} | {name} | {median(taken) / base:.2f} |")
    seen, dice = SeenPictures(), np.random.default_rng(3)
    like = likeness_of(picture, b"x")
    for number in range(20_000):
        hashed = dice.bytes(32)
        seen.add(str(number), type(like)(hashed, hashed, like.cells))
    start = time.thread_time()
    for _ in range(50):
        seen.nearest("new", like)
    print(f"nearest of 20,000: {(time.thread_time() - start) / 50 * 1000:.2f} ms")


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["cost", "limits"]
    if "cost" in chosen:
        cost()
    if "limits" in chosen:
        found = pictures()
        each(found)
        unchanged(found)
        apart(found)
        blank(found)
        white(found)
        structure(found)
