"""The results as a pandas DataFrame."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

_TIMES = ("started_at", "finished_at")
_FLOATS = ("cost_usd", "duration_s")
_INTEGERS = ("attempts", "variant")


def to_dataframe(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """One row per edit, indexed 0, 1, …, with the columns of the view `results`.

    ``started_at`` and ``finished_at`` are UTC timestamps, ``cost_usd`` (USD) and ``duration_s``
    (seconds) floats, ``attempts`` and ``variant`` nullable integers; ``images`` are paths joined by
    ``;``, as in ``results.csv``; everything else is text as the manifest or the endpoint wrote it,
    ``None`` where there is none. Raises `ConfigError` without pandas.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ConfigError(
            "a DataFrame needs pandas: pip install 'image-edit-pipeline[pandas]'"
        ) from error
    values: list[list[Any]] = [[] for _ in columns]
    for row in rows:
        for column, name in zip(values, columns, strict=True):
            column.append(row[name])
    frame = pd.DataFrame(
        {
            name: pd.Series(column, dtype=object)
            for name, column in zip(columns, values, strict=True)
        },
        columns=list(columns),
    )
    for name in columns:
        if name in _TIMES:
            times = pd.to_datetime(frame[name], utc=True, format="ISO8601")
            frame[name] = times.dt.as_unit("us")  # else it depends on pandas and on the rows
        elif name in _FLOATS:
            frame[name] = frame[name].astype("float64")
        elif name in _INTEGERS:
            frame[name] = frame[name].astype("Int64")
    return frame
