"""Whatever stands in a file, reading ends in edits, problems or a `ConfigError`: never in a bug."""

import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, JobError
from pipeline.job import load_job
from pipeline.manifest.problems import RowError
from pipeline.manifest.templates import MAX_LENGTH, Templates
from pipeline.models import Edit
from tests.manifest.reading import read, write

quick = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

_PIECES = {
    ".csv": ["id", "images", "prompt", "seed", ",", ";", "\t", "\n", "\r\n", "\r", '"', "|", " ",
             "a.jpg", "*.jpg", "[", "{{ id }}", "{% if %}", "\0", "\ufeff", "ä", "=1+1", "data:"],
    ".jsonl": ["{", "}", '"id"', '"images"', '"seed"', ":", ",", "[", "]", '"a.jpg"', "null", "1",
               "\n", '"{{"', '"\\ud800"', "1e999", "9" * 40, "ä", "\ufeff"],
    ".yaml": ["image_sets", "prompts", "edits", "defaults", "id", "images", "each", "set", ": ",
              "\n", "  ", "- ", "[", "]", "{", "}", "&a ", "*a", "<<", "!!str ", "|\n", "'", '"',
              "a.jpg", "*.jpg", ", ", "null", "5", "---\n", "# ", "%YAML 1.1\n", "\t", "? ", "ä"],
}  # fmt: skip


def outcome(path: Path) -> list[str]:
    """The ids of the edits, or the lines of the one error that may be raised."""
    try:
        return [row.id for row in read(path) if isinstance(row, Edit)]
    except ConfigError as error:
        return [f"error in {line}" for line in str(error).splitlines()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".yaml"])
def test_nonsense_is_no_bug(tmp_path: Path, suffix: str) -> None:
    rng = random.Random(suffix)
    write(tmp_path, "x", "a.jpg")
    for _ in range(150):
        text = "".join(rng.choices(_PIECES[suffix], k=rng.randint(1, 40)))
        found = outcome(write(tmp_path, text, f"m{suffix}"))
        assert len({name.casefold() for name in found}) == len(found)


@quick
@given(
    st.binary(max_size=200),
    st.sampled_from([".csv", ".jsonl", ".yaml", ".xlsx", ".xml", ".parquet"]),
)
@example(b"\xff\xfe\x00", ".csv")
@example(b"\xff\xfei\x00m\x00a\x00g\x00e\x00s\x00\n\x00\x00\xd8", ".csv")
@example(b"\xef\xbb", ".csv")
@example(b"PK\x05\x06" + bytes(18), ".xlsx")
@example(b"PAR1" + bytes(8) + b"PAR1", ".parquet")
@example(b"<rss><item><id>\xff", ".xml")
def test_bytes_are_no_bug(tmp_path: Path, content: bytes, suffix: str) -> None:
    for line in outcome(write(tmp_path, content, f"m{suffix}")):
        assert line.isprintable()


def test_nonsense_in_a_job_is_refused_in_its_words(tmp_path: Path) -> None:
    keys = ["manifest", "endpoint", "limits", "concurrency", "outputs", "name", "notify"]
    rng = random.Random(5)
    for _ in range(100):
        text = "".join(rng.choices([*_PIECES[".yaml"], *keys], k=rng.randint(1, 30)))
        with pytest.raises(JobError, match=r"^j\.yaml"):
            load_job(write(tmp_path, f"{text}\nunknown: 1\n", "j.yaml"))


def test_nonsense_templates_are_no_bug() -> None:
    pieces = ["{{", "}}", "{%", "%}", "{#", "#}", " ", "id", "row", "x", ".", "[", "]", "(", ")",
              "|", "upper", "join", "replace", "'a'", "1", "+", "~", "for", "in", "endfor", "if",
              "else", "endif", "set", "range", ",", "not", "is", "defined", "**", "%", "loop",
              "__class__", "items", "\n", "-", "raw", "endraw", "{", "}", "<"]  # fmt: skip
    templates = Templates()
    rng = random.Random(3)
    for _ in range(1500):
        text = " ".join(rng.choices(pieces, k=rng.randint(1, 14)))
        with suppress(RowError):
            rendered = templates.render(f"{{{{ {text} }}}}", {"id": "a", "x": "b", "row": {}})
            assert len(rendered) <= MAX_LENGTH
