"""What came back, into the store: every usable picture of an answer."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import msgspec

from pipeline.attempts import OpenAttempt
from pipeline.errors import BadResponseError
from pipeline.models import EditResponse, PictureFacts, StoredImage
from pipeline.pictures.verify import inspect_picture
from pipeline.stores import OutputStore
from pipeline.stores.labels import Label

UNPARSED_MAX_BYTES = 64 * 1024


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was put. ``data``: as it came, where somebody is going to look at it;
    ``digest``: of that, where the same picture may come twice.
    """

    image: StoredImage
    data: bytes = b""
    digest: bytes = b""


def picture_names(name: str, count: int) -> list[str]:
    """``name``, ``name-2`` and so on."""
    return [name, *(f"{name}-{n}" for n in range(2, count + 1))]


async def keep(
    store: OutputStore,
    response: EditResponse,
    attempt: OpenAttempt,
    *,
    names: Sequence[str],
    label: Label | None = None,
    look: bool = False,
    digests: bool = False,
) -> tuple[Kept, ...]:
    """Puts every usable picture under its name; an answer with none is a `BadResponseError`.

    ``look``: keep their bytes in memory as well; ``digests``: and say what they are. Raises
    `StoreError`.
    """
    seen: dict[str, tuple[bytes, bytes]] = {}
    put = [
        store.put(draft, name, inspect=_inspecting(name, seen, look, digests), label=label)
        for draft, name in zip(response.images, names, strict=True)
    ]
    try:
        results = await asyncio.gather(*put, return_exceptions=True)
    except asyncio.CancelledError:
        attempt.not_kept(response, "the run was interrupted while the answer was being kept")
        raise
    stored = tuple(
        [
            Kept(image=result, data=seen[name][0], digest=seen[name][1])
            for name, result in zip(names, results, strict=True)
            if isinstance(result, StoredImage)
        ]
    )
    for error in results:
        if isinstance(error, BadResponseError):
            if stored:
                await store.keep_unparsed(attempt.id, error.body or b"")
                continue
            attempt.unusable(error, response)
        elif isinstance(error, BaseException):
            attempt.not_kept(response, str(error))
        if isinstance(error, BaseException):
            raise error
    return stored


def _inspecting(
    name: str, seen: dict[str, tuple[bytes, bytes]], look: bool, digests: bool
) -> Callable[[memoryview], PictureFacts]:
    def inspect(data: memoryview) -> PictureFacts:
        facts = _inspected(data)
        # Before the label goes in, which differs from edit to edit.
        digest = hashlib.sha256(data).digest() if digests else b""
        seen[name] = (bytes(data) if look else b"", digest)
        return facts

    return inspect


def _inspected(data: memoryview) -> PictureFacts:
    """As `inspect_picture`; what is no picture goes with the error, for a person to look at."""
    try:
        return inspect_picture(data)
    except BadResponseError as error:
        error.body = bytes(data[:UNPARSED_MAX_BYTES])
        raise
