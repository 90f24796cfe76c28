"""A job file to a frozen `Job`: parsed and checked here, trusted everywhere else."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from pipeline.errors import JobError
from pipeline.job.checks import Checks
from pipeline.job.design import Models, Target, TargetPart, for_model, split_model, with_model
from pipeline.job.guards import Guards
from pipeline.job.notify import Recipient
from pipeline.job.provenance import ProvenancePart, switched
from pipeline.job.renditions import Renditions
from pipeline.job.schedule import Schedule
from pipeline.job.values import Bytes
from pipeline.job.words import in_words
from pipeline.manifest.names import name_problem
from pipeline.manifest.problems import quoted
from pipeline.manifest.safe_yaml import (
    YamlList,
    YamlMap,
    YamlNode,
    YamlScalar,
    as_text,
    load_yaml,
    plain,
)
from pipeline.pictures.framing import OutputSize, parse_size

MAX_PROBLEMS = 50

_SECRET_KEY = re.compile(r"(?:.*[_-])?(?:api_?key|key|token|secret|password|authorization)", re.I)
_SECRET_VALUE = re.compile(r"Bearer\s.+|sk-[\w-]{16,}|[0-9a-f]{32,}", re.I)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _absolute(value: Path, info: ValidationInfo) -> Path:
    """Relative to the job file's folder; without it, to the working folder."""
    folder = (info.context or {}).get("folder", Path())
    return Path(os.path.abspath(folder / value))  # noqa: PTH100 - '..' is taken as written


def _origin(value: str) -> str:
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


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )


class Endpoint(_Part):
    """Where edits are asked for. ``price_usd``: a picture, over the model catalog's."""

    provider: str = "aimlapi"
    model: str = "google/gemini-2.5-flash-image-edit"
    base_url: Annotated[str, AfterValidator(_origin)] = "https://api.aimlapi.com"
    api_key_env: Annotated[str, AfterValidator(_variable)] = "AIMLAPI_API_KEY"
    timeout_s: Seconds = 300.0
    connect_timeout_s: Seconds = 10.0
    first_byte_timeout_s: Seconds | None = None
    download_timeout_s: Seconds = 60.0
    price_usd: Dollars | None = None
    max_response_bytes: Bytes = 64 * 10**6


class Inputs(_Part):
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


class Limits(_Part):
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


class Retry(_Part):
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


class Budget(_Part):
    """Caps. ``None``: no cap."""

    run_usd: Dollars | None = None
    day_usd: Dollars | None = None


class Canary(_Part):
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


class Outputs(_Part):
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


class Job(_Part):
    """A job file's contents, checked; paths are absolute. It never holds a key."""

    name: str
    manifest: Annotated[tuple[JobPath, ...], BeforeValidator(_listed), Field(min_length=1)]
    format: Literal["auto", "table", "shopify", "google"] = "auto"
    columns: dict[
        str, Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
    ] = {}
    prompt: str | None = None
    parameters: dict[str, Any] = {}
    endpoint: Endpoint = Endpoint()
    models: Models = ()
    target_accepted: TargetPart = Target()
    inputs: Inputs = Inputs()
    limits: Limits = Limits()
    retry: Retry = Retry()
    budget: Budget = Budget()
    canary: Canary = Canary()
    guards: Guards = Guards()
    outputs: Outputs
    confirm_above_usd: Dollars = 1.0
    checks: Checks = Checks()
    renditions: Renditions = {}
    provenance: Annotated[ProvenancePart, BeforeValidator(switched)] = ProvenancePart()
    schedule: Schedule = Schedule()
    notify: Annotated[tuple[Recipient, ...], BeforeValidator(_listed)] = ()

    _path: Path = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        self._path = (context or {}).get("path", Path())

    @property
    def path(self) -> Path:
        """The job file, absolute."""
        return self._path

    def at(self, base_url: str) -> "Job":
        """The same job, asked of another server. Raises `JobError`."""
        try:
            url = _origin(base_url)
        except ValueError as error:
            raise JobError(f"--base-url: {error}") from None
        return self._with(endpoint=self.endpoint.model_copy(update={"base_url": url}))

    def capped(self, run_usd: float) -> "Job":
        """The same job, at most so dear: the lower of this and its own cap. Raises `JobError`."""
        if not (math.isfinite(run_usd) and run_usd >= 0):
            raise JobError("--max-cost: it is no sum of money (dollars, as in --max-cost 25)")
        own = self.budget.run_usd
        cap = run_usd if own is None else min(own, run_usd)
        return self._with(budget=self.budget.model_copy(update={"run_usd": cap}))

    def for_rehearsal(self) -> "Job":
        """The same job with outputs of its own, beside the real ones and always local."""
        real = self.outputs.directory
        directory = real.with_name(f"{real.name}-rehearsal")
        return self._with(
            outputs=self.outputs.model_copy(update={"directory": directory, "store": None})
        )

    def _with(self, **parts: BaseModel) -> "Job":
        return self.model_copy(update=parts)

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        if problem := name_problem(name):
            raise ValueError(f"{quoted(name)} cannot name a folder: {problem}")
        return name

    @property
    def finishes(self) -> bool:
        """Whether finished pictures are made beside the ones that come back."""
        outputs = self.outputs
        as_it_came = (outputs.size, outputs.alpha) == ("as_returned", "as_returned")
        return self.inputs.fit != "none" or not as_it_came


def load_job(path: Path | str) -> Job:
    """The job in a YAML file. Raises `JobError` with all that is wrong, a line each."""
    path, model = split_model(Path(path))
    label = path.name
    top = load_yaml(path, label, error=JobError)
    problems = [f"{label}:{line}: {message}" for line, message in _secrets(top)]
    if not problems:
        location = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed
        try:
            job = Job.model_validate(
                _values(top, location),
                context={"folder": location.parent, "path": with_model(location, model)},
            )
            return job.model_copy(update=for_model(job, model)) if model else job
        except ValidationError as error:
            found = [
                in_words(dict(problem), top, Job) for problem in error.errors(include_url=False)
            ]
            problems = [f"{label}:{line}: {message}" for line, message in sorted(set(found))]
    if len(problems) > MAX_PROBLEMS:
        hidden = len(problems) - MAX_PROBLEMS
        problems = [*problems[:MAX_PROBLEMS], f"{label}: and {hidden} more"]
    raise JobError("\n".join(problems))


def read_api_key(job: Job, environ: Mapping[str, str]) -> str | None:
    """The key: from ``environ``, a ``.env`` beside the job, or one in the working folder.

    ``None`` when there is none. Never kept in the job. Raises `JobError` (an unreadable file).
    """
    return read_variable(job, job.endpoint.api_key_env, environ)


def read_variable(job: Job, name: str, environ: Mapping[str, str]) -> str | None:
    """Any variable that the job names, from the same places as `read_api_key`."""
    if key := environ.get(name, "").strip():
        return key
    from dotenv import dotenv_values

    for file in (job.path.parent / ".env", Path.cwd() / ".env"):
        if not file.is_file():
            continue
        try:
            values = dotenv_values(file, interpolate=False)
        except (OSError, UnicodeDecodeError) as error:
            raise JobError(
                f"{file}: cannot be read: {error} (make it readable UTF-8, or set {name})"
            ) from None
        if key := (values.get(name) or "").strip():
            return key
    return None


def _values(top: YamlMap, path: Path) -> dict[str, Any]:
    """What the file says; keys without a value are as good as absent.

    Texts as written (a name may look like a number), but the parameters' values as meant.
    """
    values: dict[str, Any] = _stated(as_text(top))
    if "parameters" in top.entries and "parameters" in values:
        values["parameters"] = plain(top.entries["parameters"])
    if isinstance(top.entries.get("checks"), YamlMap):
        values["checks"] = _stated(plain(top.entries["checks"]))
    inputs = top.entries.get("inputs")
    if isinstance(inputs, YamlMap) and "background" in inputs.entries:
        # '#fff' without quotes is a comment: not to be taken for the default in silence.
        values.setdefault("inputs", {}).setdefault("background", None)
    values.setdefault("name", path.stem)
    outputs = values.setdefault("outputs", {})
    if isinstance(outputs, dict):
        outputs.setdefault("directory", f"../outputs/{values['name']}")
    return values


def _stated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stated(each) for key, each in value.items() if each is not None}
    return value


def _secrets(node: YamlNode) -> Iterator[tuple[int, str]]:
    """Keys that got into the file. Their values are not shown."""
    way_out = (
        "an API key does not belong into a job file (put it into an environment variable, or into"
        " a .env file, and name that variable in endpoint.api_key_env; treat this key as leaked)"
    )
    if isinstance(node, YamlMap):
        for key, value in node.entries.items():
            holds = isinstance(value, YamlScalar) and value.value not in (None, "")
            if holds and _SECRET_KEY.fullmatch(key):
                yield node.lines[key], f"{quoted(key)}: {way_out}"
            else:
                yield from _secrets(value)
    elif isinstance(node, YamlList):
        for item in node.items:
            yield from _secrets(item)
    elif _SECRET_VALUE.fullmatch(node.text.strip()):
        yield node.line, f"this value looks like a key; {way_out}"
