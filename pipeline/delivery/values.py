"""What a delivery is asked to be, and what it came to."""

from pathlib import Path
from typing import Literal, get_args

import msgspec

from pipeline.errors import ConfigError
from pipeline.manifest.problems import did_you_mean

FeedName = Literal["shopify", "google", "amazon", "csv"]
FEEDS: tuple[FeedName, ...] = get_args(FeedName)


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``name``: a template of the files' names, without extension. ``sku``: the manifest's column
    that names the product; default the first of `products.SKU_COLUMNS`, else the edit's id.
    ``feeds``: tables to write. ``base_url``: where the pictures will lie for the public.
    ``title``, ``alt_text``: templates; default the job's of ``provenance``. ``approved_only``,
    ``undecided_too``: instead of the rule (see `products.choose`). ``only``: ids or globs.
    """

    name: str = "{{ sku|slug }}-{{ number }}"
    sku: str = ""
    feeds: tuple[FeedName, ...] = ()
    base_url: str = ""
    title: str = ""
    alt_text: str = ""
    approved_only: bool = False
    undecided_too: bool = False
    only: tuple[str, ...] = ()


def feed_name(name: str) -> FeedName:
    """Raises `ConfigError` with what there is."""
    if name not in FEEDS:
        raise ConfigError(
            f"--feed: there is no feed {name!r}{did_you_mean(name, FEEDS)};"
            f" there are {', '.join(FEEDS)}"
        )
    return name


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a delivery. ``mtime_ns``: as it was written: another one says that somebody changed
    it. ``key``: what it was made from; equal keys, equal bytes. The rest: of pictures.
    """

    path: str
    size: int
    md5: str
    sha256: str
    mtime_ns: int
    key: str = ""
    edit_id: str = ""
    sku: str = ""
    number: int = 0


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery as it was written. ``before``: the one whose place it took; empty: none."""

    name: str
    job: str
    rendition: str
    made_at: float
    before: str = ""
    files: tuple[File, ...] = ()


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery came to. ``delivery``: its name; ``previous``: the one before it.

    ``pictures`` of ``products``; of all files ``new`` were written, ``unchanged`` are those of the
    delivery before, ``removed`` are no longer there. ``undecided``: edits that were left out,
    because others are approved and they are not. ``switched``: whether the folder shows another
    delivery now; False where nothing has changed. ``size``: bytes of all pictures.
    """

    to: Path
    delivery: str
    previous: str = ""
    rendition: str = ""
    products: int = 0
    pictures: int = 0
    new: int = 0
    unchanged: int = 0
    removed: int = 0
    undecided: int = 0
    approved_only: bool = False
    size: int = 0
    feeds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    switched: bool = False
    rolled_back: bool = False
    dry_run: bool = False
