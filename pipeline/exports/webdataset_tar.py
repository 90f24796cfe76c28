"""WebDataset: a tar of samples, each a few files with one key.

``<key>.json`` has the values, ``<key>.<extension>`` the picture of the column ``image``, and
``<key>.<column>.<extension>`` every further one. The same samples make the same bytes everywhere:
no times, no owners, USTAR.
"""

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from pipeline.exports.samples import Column, Sample

MAIN = "image"


def write_webdataset(columns: Sequence[Column], samples: Iterable[Sample], path: Path) -> None:
    """Writes one shard, as the samples come. Raises `OSError`."""
    order = [column.name for column in columns if column.kind != "picture"]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for name, picture in sample.pictures.items():
                if picture is not None:
                    middle = "" if name == MAIN else f".{name}"
                    _add(tar, f"{sample.key}{middle}{picture.extension}", picture.data)
            values = {name: sample.values[name] for name in order}
            _add(tar, f"{sample.key}.json", msgspec.json.encode(values))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)  # time 0, no owner, mode 0644
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
