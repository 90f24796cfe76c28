"""The page, and its data as scripts that it can load from disk."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline import look
from pipeline.gallery.charting import Chart

STATIC = Path(__file__).parent / "static"
"""The page's template and what goes beside it."""

TEMPLATE = "page.html"


def page(
    *,
    title: str,
    charts: Iterable[Chart] = (),
    live: Mapping[str, Any] | None = None,
    csrf_token: str = "",
    assets: str = "",
    data: str = "data/",
    thumbs: str = "thumbs/",
    back: str = "",
) -> str:
    """The HTML. ``assets``, ``data``, ``thumbs``: addresses of folders, with a slash at the end.

    ``live``: as in `index_of`, None on disk. ``csrf_token``, ``back``: of a served page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(STATIC), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(TEMPLATE).render(
        title=title,
        charts=tuple(charts),
        live=live,
        csrf_token=csrf_token,
        assets=assets,
        data=data,
        thumbs=thumbs,
        back=back,
    )


def assets() -> tuple[Path, ...]:
    """The files that lie beside the page: what all pages share, and its own."""
    return (*look.files(), *look.files(STATIC))


def index_script(index: Mapping[str, Any]) -> str:
    """``data/index.js``."""
    return f"gallery.index({script_value(index)});\n"


def details_script(number: int, details: Iterable[Mapping[str, Any]]) -> str:
    """``data/details-<number>.js``; ``number`` from 0, as in `details_name`."""
    return f"gallery.details({number}, {script_value(list(details))});\n"


def details_name(number: int) -> str:
    return f"details-{number:04}.js"


def script_value(value: Any) -> str:
    """A value as an expression of JavaScript, safe inside a page."""
    # JSON in a text, not as source: quicker to parse, and a key such as "__proto__" is a key.
    text = msgspec.json.encode(value).decode("utf-8")
    return "JSON.parse('" + text.translate(_IN_A_SCRIPT) + "')"


_IN_A_SCRIPT = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        "<": "\\x3c",  # no "</script>" and no "<!--", wherever somebody puts this text
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
        "\ufeff": "\\ufeff",
    }
)
