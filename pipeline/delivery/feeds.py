"""Tables that a platform's import reads: which picture belongs to which product.

Values are exact: a feed is read by a machine, and an apostrophe before a SKU would make it another
SKU. Columns and formats as the platforms document them: docs/delivery.md names the pages.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlsplit

import msgspec

from pipeline.delivery.products import Picture
from pipeline.delivery.values import FeedName, File
from pipeline.errors import ConfigError

GOOGLE_MORE = 10
AMAZON_MORE = 8
"""Pictures beside the first that the platform takes."""

MAX_URL = 2000
"""Characters; Google takes no more."""


class Feed(msgspec.Struct, frozen=True):
    """A feed's file. ``notes``: what of the delivery is not in it."""

    file: str
    data: bytes
    notes: tuple[str, ...] = ()


class Product(msgspec.Struct, frozen=True):
    """A product with its pictures, the first one first, and where each can be fetched."""

    sku: str
    pictures: tuple[Picture, ...]
    urls: tuple[str, ...]


def check_base_url(base_url: str, feeds: Sequence[FeedName]) -> None:
    """Raises `ConfigError`."""
    needs = [feed for feed in feeds if feed != "csv"]
    if not base_url:
        if needs:
            raise ConfigError(
                f"--feed {needs[0]} needs --base-url: the public address where the pictures will"
                " lie, such as https://cdn.example.com/catalog"
            )
        return
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.netloc or url.query or url.fragment:
        raise ConfigError(
            f"--base-url: {base_url!r} is no address of a folder (https://cdn.example.com/catalog)"
        )


def make_feed(
    feed: FeedName, pictures: Sequence[Picture], files: Sequence[File], base_url: str
) -> Feed:
    """``files``: of the pictures, in the same order."""
    products: dict[str, list[Picture]] = {}
    for picture in pictures:
        products.setdefault(picture.sku, []).append(picture)
    listed = [
        Product(sku, tuple(some), tuple([_url(base_url, one.path) for one in some]))
        for sku, some in products.items()
    ]
    if feed == "csv":
        return _generic(pictures, files, base_url)
    writers: dict[FeedName, Callable[[Sequence[Product]], Feed]] = {
        "shopify": _shopify,
        "google": _google,
        "amazon": _amazon,
    }
    return writers[feed](listed)


def _shopify(products: Sequence[Product]) -> Feed:
    rows: list[list[object]] = []
    handles: dict[str, str] = {}
    for product in products:
        handle = product.pictures[0].handle or _handle(product.sku)
        if handles.setdefault(handle, product.sku) != product.sku:
            raise ConfigError(
                f"--feed shopify: the products {handles[handle]!r} and {product.sku!r} would both"
                f" have the handle {handle!r} (give the manifest a column 'handle')"
            )
        for number, (picture, url) in enumerate(zip(product.pictures, product.urls, strict=True)):
            title = product.pictures[0].title if number == 0 else ""
            rows.append([handle, title, url, number + 1, picture.alt_text[:512]])
    head = ["Handle", "Title", "Image Src", "Image Position", "Image Alt Text"]
    return Feed("shopify.csv", _table(head, rows))


def _google(products: Sequence[Product]) -> Feed:
    rows = []
    more = 0
    for product in products:
        others = product.urls[1 : 1 + GOOGLE_MORE]
        more += len(product.urls) - 1 - len(others)
        # No quotes: Google takes a quoted value for one address. Commas inside are encoded.
        rows.append([product.sku, product.urls[0], ",".join(others)])
    notes = _left_out("google", more, GOOGLE_MORE + 1)
    return Feed("google.txt", _tabbed(["id", "image_link", "additional_image_link"], rows), notes)


def _amazon(products: Sequence[Product]) -> Feed:
    names = [f"other_image_url{number}" for number in range(1, AMAZON_MORE + 1)]
    rows = []
    more = 0
    for product in products:
        others = list(product.urls[1 : 1 + AMAZON_MORE])
        more += len(product.urls) - 1 - len(others)
        blanks = [""] * (AMAZON_MORE - len(others))
        rows.append([product.sku, "PartialUpdate", product.urls[0], *others, *blanks])
    notes = _left_out("amazon", more, AMAZON_MORE + 1)
    if any(one.path.endswith((".webp", ".avif")) for one in products[0].pictures):
        notes += ("amazon: takes JPEG, PNG, TIFF and GIF, and these are neither",)
    head = ["item_sku", "update_delete", "main_image_url", *names]
    return Feed("amazon.txt", _tabbed(head, rows), notes)


def _generic(pictures: Sequence[Picture], files: Sequence[File], base_url: str) -> Feed:
    rows: list[list[object]] = [
        [
            picture.sku,
            picture.number,
            picture.path,
            _url(base_url, picture.path) if base_url else "",
            picture.title,
            picture.alt_text,
            file.size,
            file.sha256,
            picture.edit_id,
            "approved" if picture.approved else "",
        ]
        for picture, file in zip(pictures, files, strict=True)
    ]
    head = ["sku", "number", "file", "url", "title", "alt_text", "bytes", "sha256", "id"]
    return Feed("pictures.csv", _table([*head, "decision"], rows))


def _left_out(feed: str, count: int, most: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (
        f"{feed}: {count:,} pictures are not in the feed, because it takes {most} of a product"
        " (their files are delivered)",
    )


def _handle(sku: str) -> str:
    """As Shopify makes them: small letters, digits and hyphens."""
    return re.sub(r"[\W_]+", "-", sku.casefold()).strip("-") or "product"


def _url(base_url: str, path: str) -> str:
    url = f"{base_url.rstrip('/')}/{quote(path)}"
    if len(url) > MAX_URL:
        raise ConfigError(
            f"{path}: its address would have {len(url):,} characters (shorten --name)"
        )
    return url


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _tabbed(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    lines = ["\t".join([re.sub(r"[\t\r\n]", " ", cell) for cell in row]) for row in (head, *rows)]
    return "".join([f"{line}\n" for line in lines]).encode("utf-8")
