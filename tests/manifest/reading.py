"""Manifests written to a folder and read back, for the tests of this folder."""

from pathlib import Path
from typing import Any

from pipeline.manifest import read_manifests
from pipeline.models import Edit, ModelSpec, ParameterSpec, Problem

MODEL = ModelSpec(
    id="test/edit",
    image_field="image_urls",
    image_list=True,
    min_images=1,
    max_images=3,
    count_field="num_images",
    max_count=4,
    parameters={
        "num_images": ParameterSpec(type="integer", minimum=1, maximum=4),
        "aspect_ratio": ParameterSpec(type="string", choices=("1:1", "16:9")),
        "seed": ParameterSpec(type="integer", minimum=0, maximum=1000),
        "strength": ParameterSpec(type="number", minimum=0, maximum=1),
        "watermark": ParameterSpec(type="boolean"),
        "image_size": ParameterSpec(
            type="size", choices=("square_hd", "2K"), minimum=512, maximum=2048
        ),
        "safety": ParameterSpec(type="string", choices=("1", "2", "3")),
        "negative_prompt": ParameterSpec(type="string"),
    },
    prompt_max_length=500,
)

KNOWN = frozenset({*MODEL.parameters, "resolution", "size"})


def write(folder: Path, content: str | bytes, name: str = "shoes.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(*paths: Path, **options: Any) -> list[Edit | Problem]:
    given: dict[str, Any] = {
        "model": MODEL,
        "root": None,
        "prompt": "on white",
        "parameters": {},
        "known_parameters": KNOWN,
        **options,
    }
    return list(read_manifests(list(paths), **given))


def edits(*paths: Path, **options: Any) -> list[Edit]:
    """All rows, none of which may be a problem."""
    found = read(*paths, **options)
    problems = [str(row) for row in found if isinstance(row, Problem)]
    assert not problems
    return [row for row in found if isinstance(row, Edit)]


def problem(*paths: Path, **options: Any) -> Problem:
    """The only problem among the rows."""
    (found,) = [row for row in read(*paths, **options) if isinstance(row, Problem)]
    return found
