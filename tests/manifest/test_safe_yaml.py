"""YAML from strangers: values as written, and no way to fill the memory or run code."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import JobError
from pipeline.manifest import safe_yaml
from pipeline.manifest.safe_yaml import as_text, load_yaml, plain
from tests.manifest.reading import write


def load(folder: Path, text: str | bytes) -> Any:
    return load_yaml(write(folder, text, "a.yaml"), "a.yaml", error=JobError)


def test_values_mean_what_they_look_like(tmp_path: Path) -> None:
    top = load(
        tmp_path,
        "a: 16:9\nb: no\nc: 007\nd: 12\ne: -1.5\nf: true\ng: null\nh:\ni: '5'\nj: 1e3\n"
        "k: 0x1f\nl: 2024-01-01\nm: [1, .5]\nn: !!str 5\no: |\n  two\n  lines\np: 1_000\n",
    )
    values = plain(top)
    assert [values[key] for key in "abcdefgh"] == ["16:9", "no", "007", 12, -1.5, True, None, None]
    assert [values[key] for key in "ijkl"] == ["5", 1000.0, "0x1f", "2024-01-01"]
    assert [values[key] for key in "mnop"] == [[1, 0.5], "5", "two\nlines\n", "1_000"]
    assert as_text(top)["m"] == ["1", ".5"]
    assert as_text(top)["h"] is None


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    top = load(tmp_path, "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\nd: *a\n")
    assert plain(top)["b"] == {"y": 3, "x": 1}
    assert plain(top)["c"] == {"x": 1, "y": 2, "z": 4}
    assert top.lines == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_mark_at_the_start_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert plain(load(tmp_path, "\ufeffa: ä\n")) == {"a": "ä"}
    assert plain(load(tmp_path, "a: ä\n".encode("utf-16"))) == {"a": "ä"}


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(JobError, match=r"^a\.yaml:\d: aliases add more than 1,000,000 values"):
        load(tmp_path, "\n".join(lines))


def test_a_bomb_of_merges_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: v" for n in range(100)) + "}"]
    lines += [f"a{n}: {{<<: [{', '.join(['*a0'] * 100)}]}}" for n in range(1, 100)]
    with pytest.raises(JobError, match="aliases add"):
        load(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "a.yaml:1: '*a' stands for nothing before it"),
        ("a: *b", "a.yaml:1: '*b' stands for nothing"),
        ("a: " + "[" * 51 + "]" * 51, "a.yaml:1: nested deeper than 50"),
        ("a: " + "[" * 100_000, "a.yaml:1: nested deeper than 50"),
        ("a: " + "{b: " * 100_000, "a.yaml:1: nested deeper than 50"),
        ("- " * 100_000, "a.yaml:1: nested deeper than 50"),
        ("x: 1\na: !!python/object/apply:os.system [ls]", "a.yaml:2: the tag"),
        ("a: !own 5", "a.yaml:1: the tag '!own' is not read"),
        ("a: 1\nb: 2\na: 3", "a.yaml:3: the key 'a' is there twice, first in line 1"),
        ("? [a]\n: b", "a.yaml:1: a key that is no text"),
        ("a: {<<: 5}", "a.yaml:1: '<<' takes a mapping"),
        ("a: 'x", "a.yaml:1: found unexpected end of stream"),
        ("a: \x07", "a.yaml: no YAML"),
        (b"a: 1\nb: sch\xf6n\n", "a.yaml:2: the byte at offset 11 (0xf6) is not UTF-8"),
        (b"\xef\xbb\xbfa: \xf6\n", "a.yaml:1: the byte at offset 6 (0xf6)"),
        ("[1]", "a.yaml: no mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(JobError) as raised:
        load(tmp_path, text)
    assert str(raised.value).startswith(message)


def test_a_file_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_yaml, "MAX_BYTES", 1024 * 1024)
    with pytest.raises(JobError, match=r"^a\.yaml: larger than 1 MB \(large manifests are CSV"):
        load(tmp_path, "a: " + "x" * 1024 * 1024)


def test_a_file_of_too_many_values_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_yaml, "MAX_NODES", 1000)
    with pytest.raises(JobError, match="more than 1,000 values"):
        load(tmp_path, "a: [" + "1," * 1000 + "]")


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"^x\.yaml: No such file"):
        load_yaml(tmp_path / "x.yaml", "x.yaml", error=JobError)
