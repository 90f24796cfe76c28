import sys

import pandas as pd
import pytest

from pipeline.errors import ConfigError
from pipeline.exports.dataframe import to_dataframe

ROWS = [
    {
        "id": "shoe-1",
        "attempts": 2,
        "images": "images/shoe-1.png;images/shoe-1-2.png",
        "cost_usd": 0.084,
        "error_code": None,
        "duration_s": 5.25,
        "started_at": "2026-01-31T03:00:00.000Z",
        "finished_at": "2026-01-31T03:00:05.250Z",
        "colour": "red",
    },
    {
        "id": "shoe-2",
        "attempts": 1,
        "images": None,
        "cost_usd": None,
        "error_code": "input",
        "duration_s": 0.0,
        "started_at": "2026-01-31T03:00:00.000Z",
        "finished_at": "2026-01-31T03:00:00.000Z",
        "colour": None,
    },
]
COLUMNS = list(ROWS[0])


def test_columns_have_the_types_one_computes_with() -> None:
    frame = to_dataframe(COLUMNS, iter(ROWS))
    assert list(frame.columns) == COLUMNS
    assert isinstance(frame["started_at"].dtype, pd.DatetimeTZDtype)
    assert str(frame["attempts"].dtype) == "Int64"
    assert frame["cost_usd"].sum() == 0.084
    assert frame["attempts"].sum() == 3
    took = frame["finished_at"] - frame["started_at"]
    assert took.dt.total_seconds().tolist() == frame["duration_s"].tolist()
    assert frame.loc[0, "started_at"] == pd.Timestamp("2026-01-31 03:00", tz="UTC")


def test_text_stays_text_and_nothing_stays_nothing() -> None:
    frame = to_dataframe(COLUMNS, ROWS)
    assert frame["id"].tolist() == ["shoe-1", "shoe-2"]
    assert frame.loc[0, "images"].split(";")[1] == "images/shoe-1-2.png"
    assert frame["colour"].isna().tolist() == [False, True]
    assert frame["error_code"].isna().tolist() == [True, False]
    assert frame["cost_usd"].isna().tolist() == [False, True]


def test_no_rows_have_the_same_types() -> None:
    empty, full = to_dataframe(COLUMNS, []), to_dataframe(COLUMNS, ROWS)
    assert len(empty) == 0
    for name in ("attempts", "cost_usd", "started_at", "finished_at", "duration_s"):
        assert empty[name].dtype == full[name].dtype


def test_without_pandas_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"pip install 'image-edit-pipeline\[pandas\]'"):
        to_dataframe(COLUMNS, ROWS)
