"""pyarrow, or what to install."""

from typing import Any

from pipeline.errors import ConfigError


def arrow() -> tuple[Any, Any]:
    """The modules ``pyarrow`` and ``pyarrow.parquet``. Raises `ConfigError` without them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet needs pyarrow: pip install 'image-edit-pipeline[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
