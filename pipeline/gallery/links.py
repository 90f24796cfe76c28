"""Where a picture of an edit is to be found: said by whoever shows the gallery."""

from typing import Literal, Protocol

import msgspec

from pipeline.models import StoredImage


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture of an edit. ``position``: from 1, among its kind.

    An ``input`` has a ``source``, as the manifest spells it (a data URI is cut), and the ``place``
    (file:row) that spelled it. An ``output``, or one of a ``take`` (of this number), has its
    ``image``.
    """

    edit_id: str
    kind: Literal["input", "output", "take"]
    position: int
    place: str
    source: str = ""
    image: StoredImage | None = None
    take: int = 0


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is. ``src``: the address of the full size, relative to the page, or "" where there
    is none that a browser can show. ``thumb``: the preview's path below the thumbnails' address, or
    "" where there is no preview. ``width``, ``height``: pixels as displayed; 0: not known.
    """

    src: str = ""
    thumb: str = ""
    width: int = 0
    height: int = 0


class Links(Protocol):
    """Finds pictures. Asked once for each picture in each file of data: it should be quick."""

    def shown(self, picture: Picture) -> Shown:
        """Where the picture is; never raises for one that is missing or broken."""
        ...


def is_remote(source: str) -> bool:
    """Whether an input is somewhere on the web. Such pictures are linked, and never fetched."""
    return source[:8].lower().startswith(("http://", "https://"))


def is_local(picture: Picture) -> bool:
    """Whether it is an input that should lie on this machine."""
    source = picture.source
    return bool(source) and not is_remote(source) and source[:5].lower() != "data:"


def input_name(source: str) -> str:
    """What to call an input: the last part of its path or URL; ``data`` for a data URI."""
    if source[:5].lower() == "data:":
        return "data URI"
    plain = source.split("?")[0].split("#")[0] if is_remote(source) else source
    return plain.rstrip("/").rpartition("/")[2] or source
