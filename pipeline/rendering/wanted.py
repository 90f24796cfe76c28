"""Which renditions a job wants, and what each file of them is called."""

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import msgspec

from pipeline.errors import ConfigError
from pipeline.filling import PictureNames
from pipeline.job import Job
from pipeline.ledger import LedgerReader
from pipeline.ledger.pictured import Pictured, pictured, pictured_ids
from pipeline.ledger.queries import CHUNK
from pipeline.manifest.names import Claims, output_problem
from pipeline.manifest.problems import RowError, listed
from pipeline.pictures.presets import load_presets, preset
from pipeline.pictures.rendition_spec import RenditionSpec

PROBLEMS_SHOWN = 20


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition to be made. ``asked``: it is a preset that the job does not have.

    ``upscaler``: by its name; empty for Lanczos.
    """

    name: str
    spec: RenditionSpec
    upscaler: str = ""
    asked: bool = False


def chosen_renditions(
    job: Job, *, renditions: Sequence[str] = (), presets: Sequence[str] = ()
) -> tuple[Chosen, ...]:
    """The job's, or of them those that are named; and presets by name.

    A preset means the job's own renditions that are based on it; where it has none, the preset as
    it is. Raises `ConfigError`.
    """
    own = {
        name: Chosen(name=name, spec=one.spec, upscaler=one.upscaler)
        for name, one in job.renditions.items()
    }
    if not (renditions or presets):
        return tuple(own.values())
    found: dict[str, Chosen] = {}
    for name in renditions:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            also = " (it is a preset: --preset)" if name in load_presets() and not guess else ""
            raise ConfigError(
                f"--rendition: the job has no rendition {name!r}{guess or also}."
                f" There are: {listed(own, 'none')}"
            )
        found[name] = own[name]
    for name in presets:
        spec = preset(name).spec
        based = [key for key, one in job.renditions.items() if one.preset == name]
        for key in based:
            found[key] = own[key]
        if not based:
            if name in own:
                raise ConfigError(
                    f"--preset: the job calls a rendition of its own {name!r}, which is not based"
                    f" on that preset (rename it, or say --rendition {name})"
                )
            found[name] = Chosen(name=name, spec=spec, asked=True)
    return tuple(found.values())


class Target(msgspec.Struct, frozen=True):
    """Where a rendition of a picture is to lie: from the renditions' folder."""

    path: str
    rendition: Chosen
    position: int


class Naming:
    """Names all files of some renditions, each once."""

    def __init__(self, renditions: Sequence[Chosen]) -> None:
        self._renditions = renditions
        self._names = PictureNames()

    def of(self, edit: Pictured) -> Iterator[Target]:
        """All renditions of all pictures of an edit. Raises `RowError`."""
        for position in range(1, len(edit.images) + 1):
            for one in self._renditions:
                name = self._names.of(one.spec, one.name, edit.id, edit.variables, position)
                path = f"{name}{one.spec.extension}"
                if problem := output_problem(name):
                    raise RowError(
                        f"renditions.{one.name}: {path!r} cannot be a file's name: {problem}"
                        " (use '|slug' in its 'file' or 'folder')"
                    )
                yield Target(path, one, position)


def all_targets(
    reader: LedgerReader, naming: Naming, ids: Sequence[str]
) -> dict[str, tuple[str, str, int]]:
    """Each path, with its edit, rendition and position. Raises `ConfigError` with all that cannot
    be named, or has a name that another has: before anything is written.
    """
    claims = Claims()
    paths: dict[str, tuple[str, str, int]] = {}
    owners: list[tuple[str, str]] = []
    problems: list[str] = []
    for edit in edits_of(reader, ids):
        try:
            for target in naming.of(edit):
                owners.append((edit.id, target.path))
                if taken := claims.claim(target.path, len(owners)):
                    other, path = owners[taken - 1]
                    problems.append(
                        f"{edit.place}: {edit.id}: {target.path} is what a rendition of"
                        f" {other} is called, too"
                        + ("" if path == target.path else " (letter case does not count)")
                        + f"; make 'file' of renditions.{target.rendition.name} tell them apart"
                    )
                paths[target.path] = (edit.id, target.rendition.name, target.position)
        except RowError as error:
            problems.append(f"{edit.place}: {edit.id}: {error}")
    if problems:
        shown = problems[:PROBLEMS_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown):,} more")
        raise ConfigError("renditions: nothing was made\n" + "\n".join(shown))
    return paths


def edits_of(reader: LedgerReader, ids: Sequence[str]) -> Iterator[Pictured]:
    """These edits, a chunk at a time."""
    for first in range(0, len(ids), CHUNK):
        yield from pictured(reader, ids[first : first + CHUNK])


def ids_of(reader: LedgerReader, only: Sequence[str]) -> tuple[str, ...]:
    """Edits that succeeded, of those that match ``only`` (ids or globs). Raises `ConfigError` where
    none matches.
    """
    ids = pictured_ids(reader)
    if not only:
        return ids
    plain, globs = frozenset(only), [one for one in only if set("*?[").intersection(one)]
    found = tuple(
        [one for one in ids if one in plain or any(fnmatchcase(one, each) for each in globs)]
    )
    if not found:
        raise ConfigError(f"--only: no edit that succeeded is called {', '.join(only)}")
    return found
