"""What came back, into the store: every usable picture of an answer."""

import asyncio

from pipeline.attempts import OpenAttempt
from pipeline.errors import BadResponseError
from pipeline.models import EditResponse, PictureFacts, StoredImage
from pipeline.pictures.verify import inspect_picture
from pipeline.stores import OutputStore

UNPARSED_MAX_BYTES = 64 * 1024


async def keep(
    store: OutputStore, response: EditResponse, attempt: OpenAttempt, *, name: str
) -> tuple[StoredImage, ...]:
    """Puts every usable picture, as ``name``, ``name-2`` and so on; an answer with none is a
    `BadResponseError`. Raises `StoreError`.
    """
    names = [name, *(f"{name}-{n}" for n in range(2, len(response.images) + 1))]
    put = [
        store.put(draft, name, inspect=_inspected)
        for draft, name in zip(response.images, names, strict=True)
    ]
    try:
        results = await asyncio.gather(*put, return_exceptions=True)
    except asyncio.CancelledError:
        attempt.not_kept(response, "the run was interrupted while the answer was being kept")
        raise
    stored = tuple([result for result in results if isinstance(result, StoredImage)])
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


def _inspected(data: memoryview) -> PictureFacts:
    """As `inspect_picture`; what is no picture goes with the error, for a person to look at."""
    try:
        return inspect_picture(data)
    except BadResponseError as error:
        error.body = bytes(data[:UNPARSED_MAX_BYTES])
        raise
