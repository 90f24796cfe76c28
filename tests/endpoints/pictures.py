"""Small real pictures."""

import io
import random

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (24, 16), seed: int = 0) -> bytes:
    """Noise, so that its size in bytes grows with its pixels."""
    width, height = size
    pixels = random.Random(seed).randbytes(width * height * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(file, kind)
    return file.getvalue()
