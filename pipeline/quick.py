"""From pictures and a prompt to a job: what `pipeline quick` writes, and writes again."""

import csv
import hashlib
import io
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pipeline.durable import replacing
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError, ManifestError
from pipeline.job import Endpoint, Job, load_job
from pipeline.manifest import check_parameters
from pipeline.manifest.names import MadeNames, sanitised
from pipeline.manifest.problems import RowError, listed, quoted
from pipeline.manifest.templates import Templates
from pipeline.quick_pictures import Found, find_pictures, problem_with_path

JOB_NAME = "job.yaml"
MANIFEST_NAME = "manifest.csv"

_HEADER = ["id", "images"]
_SHOWN = 3
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]").search


class QuickJob(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, or was there. ``pictures``: in the manifest. ``added``: of them, since the
    last time; ``None`` when the job is new.
    """

    job: Path
    pictures: int
    added: int | None


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a job of this kind says. ``root``: of the pictures; ``None``: they are all URLs."""

    prompt: str
    model: str
    parameters: dict[str, Any]
    root: Path | None
    concurrency: int | None
    run_usd: float | None


def quick_job(
    images: Sequence[str | Path],
    *,
    prompt: str,
    out: Path | str | None = None,
    model: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    max_cost_usd: float | None = None,
    concurrency: int | None = None,
) -> QuickJob:
    """Writes a job and its manifest into ``out``, for `pipeline.run`; pictures stay in place.

    ``images``: files, folders, patterns (``**`` goes into folders) or URLs; an edit for each
    picture. ``out``: default `default_folder`. ``model``, ``parameters``, ``max_cost_usd`` and
    ``concurrency``: the job's; its defaults, where nothing is said. Doing the same again changes
    nothing, and new pictures are added. What differs otherwise is refused, once the job was run or
    changed by hand. Raises `ConfigError`.
    """
    folder = Path(os.path.abspath(default_folder(prompt) if out is None else out))  # noqa: PTH100
    _check(prompt, model, parameters or {})
    pictures = find_pictures([str(entry) for entry in images])
    job, manifest = folder / JOB_NAME, folder / MANIFEST_NAME
    given = [("model", model), ("concurrency", concurrency), ("run_usd", max_cost_usd)]
    stated: dict[str, Any] = {name: value for name, value in given if value is not None}
    if parameters:
        stated["parameters"] = dict(parameters)
    if not job.exists() or _untouched(folder, job):
        if manifest.exists() and not job.exists():
            raise ConfigError(
                f"{_near(manifest)} is there, but no {JOB_NAME} beside it (choose another --out)"
            )
        wish = _wish(prompt, stated, _root(pictures))
        rows = _with_ids([], pictures)
        _check_template(prompt, folder, rows[0][0])
        _write(folder, wish, rows)
        return QuickJob(job=job, pictures=len(rows), added=None)
    return _again(folder, job, manifest, prompt, stated, pictures)


def default_folder(prompt: str) -> Path:
    """``outputs/<the prompt's first words>-<4 digits>``: the same prompt, the same folder."""
    words = re.findall(r"[^\W_]+", prompt.lower())
    name = sanitised("-".join(words[:6]))[:40].strip("-. ") or "quick"
    digest = hashlib.sha256(prompt.strip().encode(errors="replace")).hexdigest()[:4]
    return Path("outputs") / f"{name}-{digest}"


def _check(prompt: str, model: str | None, parameters: Mapping[str, Any]) -> None:
    """What would make the job impossible is said before it is written."""
    if not prompt.strip():
        raise ConfigError("--prompt: it is empty (say what to do with the pictures)")
    if found := _UNPRINTABLE(prompt):
        raise ConfigError(
            f"--prompt: it holds the character {found.group()!r}, which no text has (remove it)"
        )
    spec = model_spec(model or Endpoint().model)
    if problems := check_parameters(spec, parameters):
        raise ConfigError("--parameter: " + "; ".join(problems))


def _check_template(prompt: str, folder: Path, first: str) -> None:
    """What is wrong with it for the first picture is said once, and not for each."""
    templates = Templates(folder / "prompts")
    try:
        templates.check(prompt)
        templates.render(prompt, {"id": first, "row": {}})
    except RowError as error:
        raise ConfigError(f"--prompt: {error}") from None


def _untouched(folder: Path, job: Path) -> bool:
    """Whether nothing was done with it, by a run or by hand: then it is written anew."""
    rehearsal = folder.with_name(f"{folder.name}-rehearsal")
    if any((each / "ledger.db").exists() for each in (folder, rehearsal)):
        return False
    loaded = load_job(job)
    _read(folder / MANIFEST_NAME, loaded)  # raises for one that was changed
    return job.read_text(encoding="utf-8") == _job_text(folder, _own(loaded))


def _again(
    folder: Path,
    job: Path,
    manifest: Path,
    prompt: str,
    stated: dict[str, Any],
    pictures: list[Found],
) -> QuickJob:
    """The folder holds a job already: the same one, or else it says what differs."""
    loaded = load_job(job)
    differs = []
    if (loaded.prompt or "").strip() != prompt.strip():
        differs.append(f"the prompt there is {quoted(loaded.prompt or '', 200)}")
    if "model" in stated and loaded.endpoint.model != stated["model"]:
        differs.append(f"the model there is {loaded.endpoint.model}")
    if "parameters" in stated and _texts(loaded.parameters) != _texts(stated["parameters"]):
        differs.append(f"the parameters there are {_texts(loaded.parameters)}")
    known = _read(manifest, loaded)
    present = {found.key for found in pictures}
    if gone := [found.source for found in known.values() if found.key not in present]:
        differs.append(
            f"{len(gone):,} of its {len(known):,} pictures are not among these"
            f" {len(pictures):,} ({_few(gone)})"
        )
    if differs:
        raise ConfigError(
            f"{_near(folder)} holds another job: {'; '.join(differs)}\n(give this one another"
            f" --out, or go on with the one that is there: {_run(job)})"
        )
    own = _own(loaded)
    there = {found.key for found in known.values()}
    new = [found for found in pictures if found.key not in there]
    wish = msgspec.structs.replace(
        own,
        concurrency=stated.get("concurrency", own.concurrency),
        run_usd=stated.get("run_usd", own.run_usd),
        root=_root([*known.values(), *new]) if new else own.root,
    )
    if wish != own and _job_text(folder, own) != job.read_text(encoding="utf-8"):
        raise ConfigError(
            f"{_near(job)} was changed by hand, so it is not written again (change there what you"
            f" want, and: {_run(job)})"
        )
    rows = _with_ids(list(known.items()), new)
    _write(folder, wish, rows, manifest_too=bool(new), job_too=wish != own)
    return QuickJob(job=job, pictures=len(known) + len(new), added=len(new))


def _wish(prompt: str, stated: dict[str, Any], root: Path | None) -> _Wish:
    return _Wish(
        prompt=prompt.strip(),
        model=stated.get("model", Endpoint().model),
        parameters=stated.get("parameters", {}),
        root=root,
        concurrency=stated.get("concurrency"),
        run_usd=stated.get("run_usd"),
    )


def _own(job: Job) -> _Wish:
    """What a job says of what `quick` writes."""
    limits = job.limits
    return _Wish(
        prompt=(job.prompt or "").strip(),
        model=job.endpoint.model,
        parameters=job.parameters,
        root=job.inputs.root,
        concurrency=limits.concurrency if "concurrency" in limits.model_fields_set else None,
        run_usd=job.budget.run_usd,
    )


def _texts(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(parameters.items())}


def _root(pictures: Iterable[Found]) -> Path | None:
    """The innermost folder that holds all local pictures. Raises `ConfigError`."""
    folders = {str(found.path.parent) for found in pictures if found.path is not None}
    if not folders:
        return None
    try:
        root = Path(os.path.commonpath(folders))
    except ValueError:
        root = Path(Path(min(folders)).anchor)
    if root == Path(root.anchor) and len(folders) > 1:
        raise ConfigError(
            f"--images: {_few(sorted(folders))} have nothing in common but {root}, and a job does"
            " not open a whole disk (make a job for each, with --out)"
        )
    return root


def _read(manifest: Path, job: Job) -> dict[str, Found]:
    """The pictures of a manifest that `quick` wrote: id → picture. Raises `ConfigError`."""
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            header, *rows = [*csv.reader(file)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{_near(manifest)}: cannot be read: {error} (choose another --out)"
        ) from None
    if header != _HEADER or any(len(row) != 2 for row in rows if row):
        raise ConfigError(
            f"{_near(manifest)} was changed by hand (go on with it: {_run(job.path)}; or choose"
            " another --out)"
        )
    root = job.inputs.root or manifest.parent
    found = {}
    for name, entry in filter(None, rows):
        url = urlsplit(entry).scheme in ("http", "https")
        found[name] = Found(entry, None if url else Path(os.path.normpath(root / entry)))
    return found


def _with_ids(known: Sequence[tuple[str, Found]], new: Iterable[Found]) -> list[tuple[str, Found]]:
    """Rows that keep their ids, then new ones: named after their pictures, unlike each other."""
    rows = list(known)
    taken = {name.casefold() for name, _ in rows}
    made = MadeNames()
    for found in new:
        stem = sanitised(found.stem) or "picture"
        name = made.free(stem, lambda name: name.casefold() not in taken)
        taken.add(name.casefold())
        rows.append((name, found))
    return rows


def _write(
    folder: Path,
    wish: _Wish,
    rows: Sequence[tuple[str, Found]],
    *,
    manifest_too: bool = True,
    job_too: bool = True,
) -> None:
    """Raises `ConfigError`. The job is written last: with it, the folder holds a whole one."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_HEADER)
    for name, found in rows:
        table.writerow([name, _entry(found, wish.root)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if manifest_too:
            with replacing(folder / MANIFEST_NAME) as file:
                file.write(text.getvalue().encode())
        if job_too:
            with replacing(folder / JOB_NAME) as file:
                file.write(_job_text(folder, wish).encode())
    except OSError as error:
        raise ConfigError(
            f"{_near(folder)}: {error.strerror or error} (choose another --out)"
        ) from error


def _entry(found: Found, root: Path | None) -> str:
    if found.path is None or root is None:
        return found.source
    entry = found.path.relative_to(root).as_posix()
    if problem := problem_with_path(entry):
        raise ConfigError(f"--images: {quoted(str(found.path), 200)}: {problem} (rename it)")
    # A file 'a:b.jpg' is no URL.
    return f"./{entry}" if ":" in entry else entry


def _job_text(folder: Path, wish: _Wish) -> str:
    import json

    def said(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)  # JSON's texts are YAML's, too

    name = sanitised(folder.name) or "quick"
    lines = [
        "# Written by `pipeline quick`. The same line again goes on; so does `pipeline run` with",
        "# this file. Pictures stay where they are; what comes back lies beside this file.",
        f"name: {said(name)}",
        f"manifest: {MANIFEST_NAME}",
        f"prompt: {said(wish.prompt)}",
    ]
    if wish.parameters:
        lines += ["parameters:", *[f"  {said(k)}: {said(v)}" for k, v in wish.parameters.items()]]
    lines += ["endpoint:", f"  model: {said(wish.model)}"]
    if wish.root is not None:
        lines += ["inputs:", f"  root: {said(_shown(wish.root, folder))}"]
    if wish.concurrency is not None:
        lines += ["limits:", f"  concurrency: {wish.concurrency}"]
    if wish.run_usd is not None:
        lines += ["budget:", f"  run_usd: {wish.run_usd:.15g}"]
    lines += ["outputs:", "  directory: ."]
    return "\n".join(lines) + "\n"


def _shown(root: Path, folder: Path) -> str:
    """Relative to the job where that works, so that both can be moved together."""
    try:
        return Path(os.path.relpath(root, folder)).as_posix()
    except ValueError:  # another drive
        return root.as_posix()


def _near(path: Path) -> str:
    """As short as it can be from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _run(job: Path) -> str:
    return f"pipeline run {shlex.quote(_near(job))}"


def _few(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return listed(names[:_SHOWN]) + more
