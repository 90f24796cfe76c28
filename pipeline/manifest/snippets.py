"""Pieces of prompts that many share: files in ``prompts/`` beside the manifest, for includes."""

import os
from pathlib import Path

from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.manifest.text_lines import small_text

MAX_BYTES = 128 * 1024

_SUGGESTED = 1000


class Snippets:
    """``folder`` may be missing: then nothing can be included. No file outside of it is read."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._edges: dict[str, set[str]] = {}

    def begin(self) -> None:
        """For each rendering: who includes whom is counted anew."""
        self._edges.clear()

    def source(self, name: str) -> str | None:
        """The file's text; ``None`` if there is none. Raises `RowError`."""
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts) or set(name) & set("\\:\0"):
            raise RowError(
                f"the include {quoted(name)} leads out of prompts/ (name a file inside it, with"
                " forward slashes)"
            )
        if self._folder is None or not self._folder.is_dir():
            return None
        root = os.path.realpath(self._folder)
        path = Path(os.path.realpath(self._folder.joinpath(*parts)))
        if not path.is_relative_to(root):
            raise RowError(
                f"the include {quoted(name)} is a link that leads out of prompts/ (put the file"
                " itself there)"
            )
        if not path.is_file():
            return None
        return small_text(path, f"prompts/{name}", MAX_BYTES)

    def include(self, name: str, parent: str) -> str:
        """Notes that a file includes another. Raises `RowError` when that comes back to itself."""
        self._edges.setdefault(parent, set()).add(name)
        if way := self._way(name, parent):
            raise RowError(
                f"prompts/{parent} includes itself: {' → '.join([parent, *way])} (remove one of"
                " these includes)"
            )
        return name

    def missing(self, name: str) -> str:
        """The message for an include that is not there."""
        if self._folder is None or not self._folder.is_dir():
            where = "" if self._folder is None else f": {self._folder}"
            return (
                f"the include {quoted(name)} is not there: there is no folder prompts/ beside the"
                f" manifest{where} (make it, and put the file there)"
            )
        names = self._names()
        return (
            f"the include {quoted(name)} is not in prompts/{did_you_mean(name, names)} (there are"
            f" {listed(names)})"
        )

    def _names(self) -> list[str]:
        found: list[str] = []
        if self._folder is None:
            return found
        for path in self._folder.rglob("*"):
            if len(found) >= _SUGGESTED:
                break
            if path.is_file() and not path.name.startswith("."):
                found.append(path.relative_to(self._folder).as_posix())
        return sorted(found)

    def _way(self, start: str, goal: str) -> list[str]:
        """From one file to another along includes; empty if there is none."""
        waiting = [[start]]
        seen = {start}
        while waiting:
            way = waiting.pop()
            if way[-1] == goal:
                return way
            for name in sorted(self._edges.get(way[-1], ())):
                if name not in seen:
                    seen.add(name)
                    waiting.append([*way, name])
        return []
