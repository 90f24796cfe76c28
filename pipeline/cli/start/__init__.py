"""What `pipeline init` writes: a job, a manifest and a picture to begin with."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pipeline.errors import ConfigError

FILES = ("jobs/catalog.yaml", "manifests/catalog.csv", "manifests/mug.jpg")


def write_start(directory: Path) -> Path:
    """Writes the start files below ``directory`` and returns the job's path.

    Raises `ConfigError` if one of them is there already: nothing is overwritten.
    """
    source = resources.files(__name__)
    for name in FILES:
        if (directory / name).exists():
            raise ConfigError(
                f"{directory / name} is there already, and nothing is overwritten"
                " (choose another folder)"
            )
    try:
        for name in FILES:
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_file(source, name).read_bytes())
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror or error}") from error
    return directory / FILES[0]


def _file(folder: Traversable, name: str) -> Traversable:
    for part in name.split("/"):
        folder = folder / part
    return folder
