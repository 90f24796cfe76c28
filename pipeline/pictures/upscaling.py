"""More pixels than there are: Lanczos, unless an upscaler is named."""

from collections.abc import Callable
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import JobError

if TYPE_CHECKING:
    from PIL.Image import Image

GROUP = "pipeline.upscalers"
"""Of entry points: a distribution that brings an upscaler names it here."""


class Upscaler(Protocol):
    """Makes a picture larger, by whatever it knows about pictures.

    Gets an ``RGB`` or ``RGBA`` picture and the size in pixels that is wanted, which is larger on at
    least one side; gives a picture of the same mode. Another size than the one wanted is
    brought to it (upscalers know fixed factors). Must give the same for the same; may be called by
    several threads at once. What it raises ends this one rendition.
    """

    def __call__(self, picture: "Image", size: tuple[int, int], /) -> "Image": ...


def load_upscaler(name: str) -> Upscaler:
    """An upscaler by its entry point's name in `GROUP`, or as ``module:function``.

    Raises `JobError` with what is there.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise JobError(f"upscaler: {name!r} cannot be loaded: {error}") from error
        return _callable(found, name)
    known = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name not in known:
        there = f"there are: {', '.join(sorted(known))}" if known else "none is installed"
        raise JobError(f"upscaler: unknown {name!r} ({there}; or name one as 'module:function')")
    try:
        found = known[name].load()
    except (ImportError, AttributeError) as error:
        raise JobError(f"upscaler: {name!r} cannot be loaded: {error}") from error
    return _callable(found, name)


def _callable(found: object, name: str) -> Upscaler:
    if not callable(found):
        raise JobError(f"upscaler: {name!r} is not a function, but {type(found).__name__}")
    chosen: Callable[..., Image] = found
    return chosen
