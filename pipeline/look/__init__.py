"""How every page looks: colours in light and dark, type, buttons, fields; what pages are made of.

The gallery, the comparison and the live page load these files before their own. `look.css`: each
colour once, for light and dark. `theme.js`: the colours that a person chose, and the button that
changes them. `elements.js`: elements, and numbers as people read them.
"""

from pathlib import Path

STATIC = Path(__file__).parent / "static"

TYPES = {".css": "text/css", ".js": "text/javascript"}
"""What a browser loads of a folder of static files; its templates are not."""


def files(folder: Path = STATIC) -> tuple[Path, ...]:
    """The styles and scripts in a folder, to lie beside a page or to be served with it."""
    return tuple(path for path in sorted(folder.iterdir()) if path.suffix in TYPES)
