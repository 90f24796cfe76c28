"""Where local pictures lie, by what `Edit.place` may call the manifest that spells them."""

from collections.abc import Sequence
from pathlib import Path


def input_folders(manifests: Sequence[Path], root: Path | None) -> dict[str, Path]:
    """Each manifest's folder, or ``root`` where there is one, by each of the manifest's names."""
    found = {}
    for path in manifests:
        for name in spellings(path):
            found[printable(name)] = root or path.parent
    return found


def spellings(path: Path) -> tuple[str, str, str]:
    """What messages may call a file, from the shortest to the surest."""
    return path.name, f"{path.parent.name}/{path.name}", str(path)


def printable(name: str) -> str:
    """A file's name as messages show it."""
    return name if name.isprintable() else ascii(name)
