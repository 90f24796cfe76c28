"""The smaller parts of a job: endpoint, inputs, limits, retry, budget, canary, outputs."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from pipeline.errors import JobError
from pipeline.job.values import Bytes, Part
from pipeline.manifest.problems import quoted
from pipeline.pictures.framing import OutputSize, parse_size


def _absolute(value: Path, info: ValidationInfo) -> Path:
    """Relative to the job file's folder; without it, to the working folder."""
    folder = (info.context or {}).get("folder", Path())
    return Path(os.path.abspath(folder / value))  # noqa: PTH100 - '..' is taken as written


def checked_url(value: str) -> str:
    """An endpoint's base URL, without the last slash. Raises `ValueError`."""
    try:
        url = urlsplit(value)
        host, port = url.hostname, url.port
    except ValueError:
        host = None
    # urlsplit drops line ends and tabs in silence.
    unclean = re.search(r"[\x00-\x20\x7f]", value) is not None
    if host is None or url.scheme not in ("http", "https") or port == 0 or unclean:
        raise ValueError("it is no http or https URL (https://host, perhaps with a path)")
    # The value is not shown: it may hold a key.
    if url.username is not None or url.password is not None:
        raise ValueError("it holds a user or password (keys come from environment variables)")
    if url.query or url.fragment or "?" in value or "#" in value:
        raise ValueError("it has a query or fragment (https://host, perhaps with a path)")
    return value.rstrip("/")


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", value):
        raise ValueError(
            "it is no NAME of an environment variable (AIMLAPI_API_KEY); the key itself belongs"
            " into that variable or into a .env file"
        )
    return value


def _colour(value: Any) -> Any:
    if value is None:
        raise ValueError("it is empty (a colour like '#ffffff' stands in quotes)")
    if isinstance(value, str) and not re.fullmatch(
        r"[A-Za-z]+|#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})", value
    ):
        raise ValueError(f"{quoted(value)} is no colour (white, or '#ffffff')")
    return value


def _store(value: str) -> str:
    url = urlsplit(value)
    if not url.scheme or "://" not in value:
        raise ValueError("it is no URL of a store (s3://bucket/folder; folders: directory)")
    if url.password is not None:
        raise ValueError("it holds a password (keys come from environment variables)")
    return value


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PerMinute = Annotated[float, Field(gt=0, allow_inf_nan=False)]
JobPath = Annotated[Path, AfterValidator(_absolute)]


class Endpoint(Part):
    """Where edits are asked for. ``price_usd``: a picture, over the model catalog's."""

    provider: str = "aimlapi"
    model: str = "google/gemini-2.5-flash-image-edit"
    base_url: Annotated[str, AfterValidator(checked_url)] = "https://api.aimlapi.com"
    api_key_env: Annotated[str, AfterValidator(_variable)] = "AIMLAPI_API_KEY"
    timeout_s: Seconds = 300.0
    connect_timeout_s: Seconds = 10.0
    first_byte_timeout_s: Seconds | None = None
    download_timeout_s: Seconds = 60.0
    price_usd: Dollars | None = None
    max_response_bytes: Bytes = 64 * 10**6


class Inputs(Part):
    """How input pictures are found and prepared. ``max_side`` in pixels. ``fit``: how the first is
    brought to a shape that the model has; ``fill``: what padding shows.
    """

    root: JobPath | None = None
    max_side: Annotated[int, Field(ge=64, le=16_384)] = 2048
    max_bytes: Bytes = 7 * 10**6
    background: Annotated[str, BeforeValidator(_colour)] = "white"
    embed_urls: bool = False
    fit: Literal["none", "pad", "crop"] = "none"
    fill: Literal["background", "edge"] = "background"


class Limits(Part):
    """How fast. ``None``: not stated."""

    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    requests_per_minute: PerMinute | None = None
    images_per_minute: PerMinute | None = None
    adaptive: bool = True
    max_bytes_in_flight: Bytes = 512 * 10**6
    on_quota: Literal["wait", "stop"] = "wait"
    quota_after_s: Seconds = 1800.0
    drain_s: Seconds = 330.0
    stall_s: Seconds = 600.0


class Retry(Part):
    """When to try again; waits in seconds."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 6
    wait_initial_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 1.0
    wait_max_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 60.0
    wait_jitter_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 1.0
    no_image_attempts: Annotated[int, Field(ge=1, le=100)] = 2
    on_unknown: Literal["retry", "reconcile", "hold"] = "retry"
    unknown_budget_usd: Dollars | None = None
    logs_delay_s: Seconds = 600.0
    edit_timeout_s: Seconds = 3600.0
    breaker_after: Annotated[int, Field(ge=2, le=1000)] = 10
    outage_s: Seconds = 3600.0


class Budget(Part):
    """Caps. ``None``: no cap."""

    run_usd: Dollars | None = None
    day_usd: Dollars | None = None


class Canary(Part):
    """A few edits first, and what they must keep to. ``None``: no canary; anything goes."""

    edits: Annotated[int, Field(ge=1)] | None = None
    max_failure_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = 0.5
    max_cost_usd_per_edit: Dollars | None = None
    max_seconds_p95: Seconds | None = None


def _output_size(value: str) -> str:
    try:
        parse_size(value)
    except JobError as error:
        raise ValueError(str(error).removeprefix("outputs.size: ")) from None
    return value


class Outputs(Part):
    """``image``: the template of a picture's name. ``store``: an fsspec URL for the pictures.
    ``size`` and ``alpha``: of the finished pictures, see `finished_size`.
    """

    directory: JobPath
    image: str = "{{ id }}"
    store: Annotated[str, AfterValidator(_store)] | None = None
    size: Annotated[str, AfterValidator(_output_size)] = "as_returned"
    alpha: Literal["as_returned", "restore"] = "as_returned"

    @property
    def finished_size(self) -> OutputSize:
        """``size``, read."""
        return parse_size(self.size)
