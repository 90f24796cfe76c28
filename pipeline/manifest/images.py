"""Image entries of a manifest: paths below a root, globs, URLs and data URIs to `ImageRef`s."""

import fnmatch
import os
import re
from bisect import bisect_left
from itertools import count
from pathlib import Path
from stat import S_ISLNK
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.manifest.problems import RowError, quoted
from pipeline.models import Edit, ImageRef

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MATCHES = 100_000
"""Of one glob: a pattern that reaches further was not meant."""

_REMEMBERED_FOLDERS = 4096
_REMEMBERED_FILES = 4096
_REMEMBERED_NAMES = 200_000

# Scheme of two letters or more (one is a Windows drive); wild cards; separators of Windows.
_UNUSUAL = re.compile(r"[:*?\[\\\x00-\x1f]").search
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):").match
_DRIVE = re.compile(r"[A-Za-z]:[\\/]").match
_HALF = re.compile("[\ud800-\udfff]").search  # how Python spells the bytes of such names
_WILD = re.compile(r"[*?\[]").search
_DATA = re.compile(r"data:image/[A-Za-z0-9.+-]+(?:;[A-Za-z0-9=._-]+)*;base64,(?=\S)", re.I).match


class Images:
    """Reads entries against one root, a folder with links resolved.

    A local path, its links followed, lies inside the root. Whether a plain file exists is not
    asked here: a missing one fails its own edit, later (`missing_inputs` asks for all).
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._inside = self._root if self._root.endswith(os.sep) else self._root + os.sep
        # Folder as written → resolved, with a separator at its end. Bounded.
        self._folders: dict[str, str] = {}
        self._listings: dict[str, list[str]] = {}
        self._listed_names = 0
        # Pictures that many rows share, such as a logo, are looked at once. Bounded.
        self._files: dict[str, ImageRef] = {}

    def refs(self, entry: str) -> "Iterable[ImageRef]":
        """One picture, or all that a glob finds, in natural order. Raises `RowError`."""
        if _UNUSUAL(entry) is None:
            return (self._file(entry),)
        if scheme := _SCHEME(entry):
            return (self._remote(entry, scheme.group(1).lower()),)
        if "\0" in entry or "\n" in entry or "\r" in entry:
            raise RowError(f"image {quoted(entry)} holds a line end or NUL (remove it)")
        if os.sep == "/" and _DRIVE(entry):
            raise RowError(
                f"image {quoted(entry)} is a path of a Windows computer (put the picture below"
                f" {self._root} and give its path from there)"
            )
        if "\\" in entry and (os.sep == "\\" or not self._exists(entry)):
            entry = entry.replace("\\", "/")
        if _WILD(entry) and not self._exists(entry):
            return self.matches(entry)
        return (self._file(entry),)

    def matches(self, pattern: str) -> list[ImageRef]:
        """All files that a glob finds, in natural order; never none. Raises `RowError`."""
        parts = pattern.split("/")
        if ".." in parts[next((n for n, part in enumerate(parts) if _WILD(part)), 0) :]:
            raise RowError(
                f"images {quoted(pattern)}: '..' behind a wild card leads anywhere (write the"
                " folder without it)"
            )
        folder, _, last = pattern.rpartition("/")
        if _WILD(folder) or last == "**":
            found = self._walked(parts, pattern)
        else:
            found = self._listed(folder or ("/" if pattern.startswith("/") else ""), last)
        refs = [self._file(path) for path in found]
        refs = [ref for ref in refs if Path(ref.path).is_file()]
        if not refs:
            raise RowError(
                f"images {quoted(pattern)} matches no file below {self._root} (correct the"
                " pattern, or put the pictures there)"
            )
        if len(refs) == 1:
            return refs
        from natsort import natsorted, ns

        return natsorted(refs, key=lambda ref: ref.source, alg=ns.PATH)

    def _walked(self, parts: list[str], pattern: str) -> list[str]:
        """Matches of a pattern with wild cards in its folders; ``**`` follows no links."""
        wild = next(n for n, part in enumerate(parts) if _WILD(part))
        start = "/".join(parts[:wild]) or ("/" if parts[0] == "" else "")
        self._folder(start, pattern)  # refuses what starts outside
        found: dict[str, None] = {}
        waiting = [(start, parts[wild:])]
        for visited in count():
            if not waiting:
                return list(found)
            if visited > MAX_MATCHES or len(found) > MAX_MATCHES:
                raise self._too_many(pattern)
            folder, (part, *rest) = waiting.pop()
            if part == "**":
                waiting.append((folder, rest or ["*"]))
                below = self._folders_in(folder, "*", links=False)
                waiting += [(each, ["**", *rest]) for each in below]
            elif rest:
                waiting += [(each, rest) for each in self._folders_in(folder, part, links=True)]
            else:
                found |= dict.fromkeys(self._listed(folder, part))
        raise AssertionError  # count() does not end

    def _folders_in(self, folder: str, pattern: str, *, links: bool) -> list[str]:
        where = self._folder(folder, folder)
        found = []
        for path in self._listed(folder, pattern):
            at = Path(where, path[path.rfind("/") + 1 :])
            if at.is_dir() and (links or not at.is_symlink()):
                found.append(path)
        return found

    def _listed(self, folder: str, pattern: str) -> list[str]:
        """Matches in one folder. Its listing is kept: many rows ask for their part of it."""
        where = self._folder(folder, f"{folder}/{pattern}")
        names = self._listings.get(where)
        if names is None:
            try:
                names = sorted(os.listdir(where))  # noqa: PTH208 - names are all that is needed
            except OSError:
                names = []
            full = len(self._listings) >= _REMEMBERED_FOLDERS
            if full or self._listed_names > _REMEMBERED_NAMES:
                self._listings.clear()
                self._listed_names = 0
            self._listings[where] = names
            self._listed_names += len(names)
        fixed = _WILD(pattern)
        start = pattern[: fixed.start()] if fixed else pattern
        if os.path.normcase("A") == "A":  # sorted as compared: only the part that can match
            first = bisect_left(names, start)
            names = names[first : bisect_left(names, start + "\U0010ffff", first)]
        found = fnmatch.filter(names, pattern)
        if not pattern.startswith("."):
            found = [name for name in found if not name.startswith(".")]
        if len(found) > MAX_MATCHES:
            raise self._too_many(pattern)
        return [f"{folder.rstrip('/')}/{name}" if folder else name for name in found]

    def _file(self, entry: str) -> ImageRef:
        if ref := self._files.get(entry):
            return ref
        folder, _, name = entry.rpartition("/")
        if entry[:1] == "/":
            folder = folder or "/"
        parent = self._folders.get(folder) or self._folder(folder, entry)
        if name in ("", ".", ".."):
            raise RowError(f"image {quoted(entry)} is a folder (name the pictures: {entry}/*.jpg)")
        path = parent + name
        try:
            linked = S_ISLNK(os.lstat(path).st_mode)
        except (OSError, ValueError):
            linked = False  # missing or unreadable: its edit will say so
        if linked:
            path = os.path.realpath(path)
            if not path.startswith(self._inside):
                raise self._outside(entry)
        if not path.isascii() and _HALF(path):
            raise RowError(f"image {quoted(entry)}: its name is no UTF-8 (rename it)")
        if len(self._files) >= _REMEMBERED_FILES:
            self._files.clear()
        ref = self._files[entry] = ImageRef(source=entry, kind="file", path=path)
        return ref

    def _folder(self, folder: str, entry: str) -> str:
        path = os.path.realpath(os.path.join(self._root, folder))  # noqa: PTH118 - speed
        if path != self._root and not path.startswith(self._inside):
            raise self._outside(entry)
        if not path.endswith(os.sep):
            path += os.sep
        if len(self._folders) >= _REMEMBERED_FOLDERS:
            self._folders.clear()
        self._folders[folder] = path
        return path

    def _exists(self, entry: str) -> bool:
        return os.path.lexists(os.path.join(self._root, entry))  # noqa: PTH118 - speed

    def _remote(self, entry: str, scheme: str) -> ImageRef:
        if scheme == "data":
            if _DATA(entry) is None:
                raise RowError(
                    f"image {quoted(entry, 30)} is not 'data:image/…;base64,…' (correct it, or put"
                    " the picture in a file)"
                )
            return ImageRef(source=entry, kind="data")
        if scheme not in ("http", "https"):
            raise RowError(
                f"image {quoted(entry)}: {scheme}: is not read (give a path, or an http or https"
                f" URL; a file of that name is written {quoted('./' + entry)})"
            )
        try:
            url = urlsplit(entry)
            host, secret = url.hostname, url.password
        except ValueError:
            host = secret = None
        if not host or any(char.isspace() for char in entry) or not entry.isprintable():
            raise RowError(f"image {quoted(entry)} is no valid URL (correct it; a space is %20)")
        if secret is not None:
            raise RowError(
                f"image URL at {host} holds a password, which would be sent and written down"
                " (give a URL without one, or download the picture)"
            )
        return ImageRef(source=entry, kind="url")

    def _outside(self, entry: str) -> RowError:
        return RowError(
            f"image {quoted(entry)} lies outside {self._root} (put it inside, or set inputs.root"
            " to a folder that holds all pictures)"
        )

    def _too_many(self, pattern: str) -> RowError:
        return RowError(
            f"images {quoted(pattern)} matches more than {MAX_MATCHES:,} files (narrow it)"
        )


def stem_of(ref: ImageRef) -> str:
    """The picture's name without folders and extension; empty for a data URI."""
    if ref.kind == "data":
        return ""
    name = ref.source
    if ref.kind == "url":
        name = unquote(urlsplit(name).path, errors="replace")
    name = name[name.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def missing_inputs(edit: Edit) -> list[str]:
    """A message for each local picture of the edit that is not there. Reads the file system."""
    missing = []
    for ref in edit.images:
        if ref.kind == "file" and not Path(ref.path).is_file():
            missing.append(
                f"image {quoted(ref.source)} is not there: {ref.path}"
                " (put it there, or correct the row)"
            )
    return missing
