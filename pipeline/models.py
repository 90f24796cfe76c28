"""The nouns, frozen. Four levels, one word each: job → run → edit → attempt.

Times are seconds since the epoch (UTC), money is US dollars, sizes are bytes, sides are pixels.
"""

from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from pipeline.errors import CostSource as CostSource

Status = Literal["succeeded", "failed", "refused", "rejected", "unknown", "pending"]
"""Of an edit. ``unknown``: sent, outcome not known. ``pending``: no record yet, or asked
for anew by the next run."""

AttemptStatus = Literal["started", "succeeded", "failed", "refused", "unknown"]

DecisionWord = Literal["approved", "rejected", "redo", "undecided", "restore"]
"""What a person says of an edit's pictures. ``undecided`` takes back what was said before;
``restore`` takes an earlier picture back."""

PromptMode = Literal["append", "replace"]
"""What a redo's note does to the prompt: a line more, or another prompt."""


class ParameterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes for one parameter. ``size``: a listed name or ``{width, height}``."""

    type: Literal["string", "integer", "number", "boolean", "size"]
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    default: Any = None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the model catalog (`endpoints/catalog.yaml`).

    ``returned``: width and height in pixels that it answers with, by ratio, where known.
    """

    id: str
    image_field: str
    image_list: bool
    min_images: int
    max_images: int
    count_field: str | None = None
    max_count: int = 1
    parameters: dict[str, ParameterSpec] = {}
    returned: dict[str, tuple[int, int]] = {}
    prompt_max_length: int | None = None
    price_usd: float | None = None
    superseded_by: str | None = None

    def count(self, parameters: dict[str, Any]) -> int:
        """How many pictures these parameters ask for."""
        return int(parameters.get(self.count_field, 1)) if self.count_field else 1


class ImageRef(msgspec.Struct, frozen=True, kw_only=True):
    """One input picture as the manifest names it.

    ``source``: as written. ``path``: absolute, links resolved, inside ``inputs.root`` (files only).
    """

    source: str
    kind: Literal["file", "url", "data"]
    path: str = ""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One image set and one prompt: what a person wants done.

    ``place``: ``file:row``, for every message about it. ``output``: the first picture's path below
    ``images/`` without extension, forward slashes. ``variables``: the manifest's other columns.
    """

    id: str
    images: tuple[ImageRef, ...]
    prompt: str
    parameters: dict[str, Any]
    variables: dict[str, str]
    place: str
    output: str
    variant: int = 1


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A row that cannot become an edit. ``id`` is the best name known for it."""

    place: str
    message: str
    id: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class FileSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a file that are sent as they lie, without being loaded."""

    path: str
    offset: int
    length: int


class PreparedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An input picture, ready to be sent: its bytes are ``parts``, joined.

    ``encoded``: the same as base64, where many edits share the picture. ``width`` and ``height``
    are as displayed (orientation applied).
    """

    mime: Literal["image/png", "image/jpeg", "image/webp"]
    parts: tuple[bytes | FileSlice, ...]
    width: int
    height: int
    encoded: bytes | None = None

    @property
    def size(self) -> int:
        return sum(len(p) if isinstance(p, bytes) else p.length for p in self.parts)


class RemoteImage(msgspec.Struct, frozen=True, kw_only=True):
    """An input picture that the provider fetches by itself."""

    url: str


class EditRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt sends. ``id`` goes out as ``X-Client-Request-Id``.

    ``parameters`` are final: ``auto`` values were resolved, the count is under the model's name.
    """

    id: str
    prompt: str
    images: tuple[PreparedImage | RemoteImage, ...]
    parameters: dict[str, Any]


class Draft(Protocol):
    """A picture that is arriving: bytes go in, nobody sees it under its name yet.

    Made by an `OutputStore`, filled by an `Endpoint`, then put or discarded.
    """

    path: Path
    size: int

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends. Raises `StoreError` (disk full)."""

    def discard(self) -> None:
        """Removes what was written. Harmless when done already."""


class EditResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: one draft a picture, in the provider's order; never empty."""

    images: tuple[Draft, ...]
    cost_usd: float | None
    cost_source: CostSource
    http_status: int
    inference_id: str | None = None
    text: str = ""


class PictureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes of a picture say, whatever anybody called it."""

    format: Literal["png", "jpeg", "webp"]
    width: int
    height: int

    @property
    def extension(self) -> str:
        return ".jpg" if self.format == "jpeg" else f".{self.format}"


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture on disk. ``path`` is relative to the outputs folder, forward slashes."""

    path: str
    sha256: str
    size: int
    width: int
    height: int
    format: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request about to be sent: written to the ledger, durably, before its first byte."""

    id: str
    edit_id: str
    run_id: str
    number: int
    fingerprint: str
    started_at: float
    images: int
    reserved_usd: float | None


class AttemptEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. ``unknown``: sent, and no answer says what became of it."""

    status: AttemptStatus
    finished_at: float
    cost_usd: float | None = None
    cost_source: CostSource = "none"
    http_status: int | None = None
    inference_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class PictureCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What one check said of one picture of a record. ``position``: of the picture, from 1.

    ``value``: as measured, None where nothing was; ``limit``: what it was held against.
    """

    position: int
    name: str
    value: float | None
    limit: float | None
    passed: bool
    message: str


class FinishedPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of a stored picture: its padding off, its size, its transparency.

    ``path``: relative to the outputs folder, forward slashes. ``position``: of the picture it was
    made of, from 1, whose ``source_sha256`` that is. ``made_as``: of `finishing.made_as`; empty in
    older ledgers.
    """

    position: int
    path: str
    source_sha256: str
    made_as: str = ""


class PictureLikeness(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture looks like, packed, so that later runs know it again."""

    position: int
    sha256: str
    packed: bytes


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one edit: the row of `results`.

    ``base``: of a redo, the fingerprint of what the manifest asks for; else empty. ``sent``: the
    shape that was asked for and how the first input lay in it, as JSON; empty where nobody knows.
    ``rerolls``: requests after the first answer, because checks turned pictures down or pictures
    were missing; the ledger has them as attempts.
    """

    edit: Edit
    model: str
    fingerprint: str
    run_id: str
    status: Status
    attempts: int
    started_at: float
    finished_at: float
    images: tuple[StoredImage, ...] = ()
    cost_usd: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    base: str = ""
    sent: str = ""
    checks: tuple[PictureCheck, ...] = ()
    finished: tuple[FinishedPicture, ...] = ()
    likenesses: tuple[PictureLikeness, ...] = ()
    rerolls: int = 0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided about the pictures of one edit.

    ``note``: why, or for a redo what to add to the prompt (``append``) or to ask instead
    (``replace``). ``fingerprint``: of the record that was looked at; empty: the present one.
    ``decided_at``: seconds since the epoch; ``None``: now. ``take``: of ``restore``, the number of
    the take that is to be the record again.
    """

    id: str
    decision: DecisionWord
    note: str = ""
    prompt_mode: PromptMode = "append"
    fingerprint: str = ""
    decided_at: float | None = None
    take: int | None = None


class Redo(msgspec.Struct, frozen=True):
    """How an edit is asked for because people wanted another picture: what stands in the place of
    the manifest's own prompt and variant.
    """

    prompt: str
    variant: int
