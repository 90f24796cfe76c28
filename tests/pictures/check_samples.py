"""Pictures as an endpoint returns them, right and wrong, made from the demo's own."""

import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

DEMO = Path(__file__).parents[2] / "manifests" / "images"
NAMES = ("mug", "teapot", "headphones", "vase", "wrist-watch", "perfume-bottle")


@functools.cache
def demo(name: str) -> Image.Image:
    with Image.open(DEMO / f"{name}.jpg") as picture:
        return picture.convert("RGB")


def bytes_of(picture: Image.Image, form: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(picture: Image.Image, quality: int = 75) -> bytes:
    return bytes_of(picture, "JPEG", quality=quality)


def noisy(picture: Image.Image, sigma: float) -> Image.Image:
    dice = np.random.default_rng(7)
    values = np.asarray(picture, np.float32) + dice.normal(0, sigma, (*picture.size[::-1], 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def shifted(picture: Image.Image, pixels: int) -> Image.Image:
    """A little to the right and down; what comes in repeats the edge."""
    width, height = picture.size
    grown = ImageOps.expand(picture, pixels)
    grown.paste(picture.resize((width, height)), (0, 0))
    grown.paste(picture, (pixels, pixels))
    return grown.crop((0, 0, width, height))


def retouched(picture: Image.Image, share: float = 0.08) -> Image.Image:
    """A spot in the middle painted over, as when a logo is taken away."""
    width, height = picture.size
    side = round(min(width, height) * share)
    box = (width // 2, height // 2, width // 2 + side, height // 2 + side)
    result = picture.copy()
    around = picture.crop(box).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(around, tuple)
    other = tuple((value + 90) % 256 for value in around)
    result.paste(other, box)
    return result


def product(colour: str = "#b03a2e", size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A jug with a label, in RGBA: a shape that nothing else has."""
    image = Image.new("RGBA", (size[0] * 2, size[1] * 2), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((440, 200, 820, 820), 120, fill=colour)
    pen.ellipse((760, 320, 960, 640), outline=colour, width=50)
    pen.rectangle((500, 420, 760, 640), fill="#f4efe2")
    pen.polygon([(440, 300), (360, 200), (480, 220)], fill=colour)
    pen.ellipse((580, 130, 680, 230), fill="#6b4a2b")
    for row in range(450, 620, 34):
        pen.rectangle((530, row, 730 - row % 90, row + 12), fill="#403a33")
    return image.resize(size, Image.Resampling.LANCZOS)


def on(ground: Image.Image | str, cut_out: Image.Image) -> Image.Image:
    """A cut-out on a colour or a picture."""
    if isinstance(ground, str):
        canvas = Image.new("RGB", cut_out.size, ground)
    else:
        canvas = ImageOps.fit(ground, cut_out.size)
    canvas.paste(cut_out, mask=cut_out.getchannel("A"))
    return canvas


def softened(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(1.5))
