"""A job file to a frozen `Job`: parsed and checked here, trusted everywhere else."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, field_validator

from pipeline.errors import JobError
from pipeline.job.checks import Checks
from pipeline.job.design import Models, Target, TargetPart, for_model, split_model, with_model
from pipeline.job.exports import Exports
from pipeline.job.guards import Guards
from pipeline.job.notify import Recipient
from pipeline.job.parts import (
    Budget,
    Canary,
    Dollars,
    Endpoint,
    Inputs,
    JobPath,
    Limits,
    Outputs,
    Retry,
    checked_url,
)
from pipeline.job.provenance import ProvenancePart, switched
from pipeline.job.renditions import Renditions
from pipeline.job.schedule import Schedule
from pipeline.job.secrets import secrets_in
from pipeline.job.values import Part, as_list
from pipeline.job.words import in_words
from pipeline.manifest.names import name_problem
from pipeline.manifest.problems import quoted
from pipeline.manifest.safe_yaml import YamlMap, as_text, load_yaml, plain

__all__ = ["Endpoint", "Job", "Limits", "job_of", "load_job", "read_api_key", "read_variable"]

MAX_PROBLEMS = 50


class Job(Part):
    """A job file's contents, checked; paths are absolute. It never holds a key."""

    name: str
    manifest: Annotated[tuple[JobPath, ...], BeforeValidator(as_list), Field(min_length=1)]
    format: Literal["auto", "table", "shopify", "google"] = "auto"
    columns: dict[
        str, Annotated[tuple[str, ...], BeforeValidator(as_list), Field(min_length=1)]
    ] = Field({})
    prompt: str | None = None
    parameters: dict[str, Any] = Field({})
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
    renditions: Renditions = Field({})
    provenance: Annotated[ProvenancePart, BeforeValidator(switched)] = ProvenancePart()
    exports: Exports = ()
    schedule: Schedule = Schedule()
    notify: Annotated[tuple[Recipient, ...], BeforeValidator(as_list)] = ()

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
            url = checked_url(base_url)
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
            outputs=self.outputs.model_copy(update={"directory": directory, "store": None}),
            exports=tuple([one.rehearsed(directory) for one in self.exports]),
        )

    def _with(self, **parts: Any) -> "Job":
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
    problems = [f"{label}:{line}: {message}" for line, message in secrets_in(top)]
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


def job_of(job: Job | Path | str, *, rehearse: bool = False) -> Job:
    """A job, or the one in that file; ``rehearse``: with the outputs of its rehearsal. Raises
    `JobError`.
    """
    loaded = job if isinstance(job, Job) else load_job(job)
    return loaded.for_rehearsal() if rehearse else loaded


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
