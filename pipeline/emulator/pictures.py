"""The pictures that go out, drawn in a few threads so that the server keeps answering."""

import asyncio
import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.emulator.png import plain_png
from pipeline.emulator.profile import Profile
from pipeline.emulator.validate import Asked

MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


class BrokenInputError(Exception):
    """An input has the header of a picture and breaks off behind it."""


@dataclass(frozen=True)
class Picture:
    """One finished picture and what it is."""

    data: bytes
    mime: str
    width: int
    height: int


class Painter:
    """Draws the pictures of a request, off the event loop."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(
            max_workers=min(4, (os.cpu_count() or 1) + 1), thread_name_prefix="emulator"
        )

    async def paint(
        self, asked: Asked, profile: Profile, dice: random.Random, count: int, *, first: int = 0
    ) -> list[Picture]:
        """`count` pictures for a request; the dice choose the file format by the weights.

        `first`: how many of the same subject there were before.

        Raises:
            BrokenInputError: only full pictures find this out; plain ones never decode an input.
        """
        names = list(profile.formats)
        form = dice.choices(names, [profile.formats[name] for name in names])[0]
        wanted = asked.option("output_format")
        if wanted in MIME:
            form = wanted
        if profile.pictures == "plain" and form == "png":
            numbers = range(first, first + count)
            return [_plain(asked, index, profile.plain_bytes) for index in numbers]
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(
                loop.run_in_executor(
                    self.pool, _draw, asked, first + index, first + count, form, profile.pictures
                )
                for index in range(count)
            )
        )

    def close(self) -> None:
        """End the threads; drawings not begun are dropped."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def _plain(asked: Asked, index: int, weight: int) -> Picture:
    data = plain_png(asked.size, f"{asked.key}|{index}", weight=weight)
    return Picture(data, "image/png", *asked.size)


def _draw(asked: Asked, index: int, count: int, form: str, style: str) -> Picture:
    import io

    from PIL import Image

    from pipeline.emulator import studio

    if style == "plain":
        with Image.open(io.BytesIO(plain_png(asked.size, f"{asked.key}|{index}"))) as drawn:
            canvas = drawn.convert("RGB")
    else:
        scene = studio.Scene(
            size=asked.size,
            prompt=asked.prompt,
            inputs=tuple(one.data for one in asked.inputs),
            index=index,
            count=count,
        )
        try:
            canvas = studio.draw(scene)
        except (OSError, SyntaxError, Image.DecompressionBombError) as exc:
            raise BrokenInputError(str(exc)) from exc
    return Picture(studio.encode(canvas, form), MIME[form], *asked.size)
