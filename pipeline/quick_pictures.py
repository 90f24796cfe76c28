"""Pictures as a command line names them: files, folders, patterns, URLs."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError
from pipeline.manifest.problems import quoted

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif"}
)
"""What a folder or a pattern brings in; a file that is named itself may have any."""

MAX_PICTURES = 1_000_000

_WILD = frozenset("*?[")


class Found(NamedTuple):
    """``source``: as it was found. ``path``: links followed; ``None`` for a URL."""

    source: str
    path: Path | None

    @property
    def key(self) -> str:
        return self.source if self.path is None else os.path.normcase(self.path)

    @property
    def stem(self) -> str:
        """The name without folders and extension, of the link where it is one."""
        name = unquote(urlsplit(self.source).path) if self.path is None else self.source
        return Path(name).stem


def find_pictures(entries: Sequence[str]) -> list[Found]:
    """Each picture once; those of a folder or a pattern in natural order (2 before 10).

    A name that a file has is that file, whatever characters are in it. Raises `ConfigError` for
    an entry that finds nothing.
    """
    if not entries:
        raise ConfigError("--images: no pictures (as in --images 'photos/*.jpg')")
    found: dict[str, Found] = {}
    for entry in entries:
        try:
            for picture in _found(entry):
                found.setdefault(picture.key, picture)
                if len(found) > MAX_PICTURES:
                    raise ConfigError(
                        f"--images {quoted(entry)}: more than {MAX_PICTURES:,} pictures (narrow it)"
                    )
        except OSError as error:
            raise ConfigError(
                f"--images {quoted(entry)}: {error.strerror or error} (check the path and its"
                " permissions)"
            ) from error
    return list(found.values())


def problem_with_path(path: str) -> str | None:
    """Why a manifest cannot hold a path; ``None`` if it can."""
    if "|" in path:
        return "a '|' separates pictures in a manifest"
    if not path.isprintable() or path != path.strip():
        return "its name holds a line end, a control character, or a space at an end"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8"
    return None


def _found(entry: str) -> Iterator[Found]:
    if urlsplit(entry).scheme in ("http", "https"):
        yield Found(entry, None)
        return
    try:
        path = Path(entry).expanduser()
    except RuntimeError:  # ~somebody, who has no folder here
        path = Path(entry)
    if path.is_file():
        yield _file(path)
        return
    if path.is_dir():
        matches = [str(each) for each in path.iterdir()]
        nothing = f"the folder holds no picture (for folders in it: {entry.rstrip('/')}/**)"
    elif _WILD.isdisjoint(entry):
        raise ConfigError(f"--images {quoted(entry)}: no such file or folder (correct the path)")
    else:
        # 'photos/**' means the pictures at every depth.
        pattern = str(path / "*") if path.name == "**" else str(path)
        matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 - patterns may be absolute
        nothing = "it matches no picture (correct the pattern)"
    pictures = [
        match
        for match in matches
        if Path(match).suffix.lower() in EXTENSIONS
        and not Path(match).name.startswith(".")
        and Path(match).is_file()
    ]
    if not pictures:
        others = sum(1 for match in matches if Path(match).is_file())
        files = "1 file that is none" if others == 1 else f"{others:,} files that are none"
        seen = f"; there is {files}" if others == 1 else f"; there are {files}" if others else ""
        raise ConfigError(f"--images {quoted(entry)}: {nothing}{seen}")
    from natsort import natsorted, ns

    yield from (_file(Path(match)) for match in natsorted(pictures, alg=ns.PATH))


def _file(path: Path) -> Found:
    return Found(str(path), Path(os.path.realpath(path)))
