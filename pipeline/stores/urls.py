"""URLs of any file system that fsspec speaks (S3, Google Cloud Storage, SFTP, …): how to open one,
and what their errors are called here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import ConfigError, PipelineError, StoreError

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


def open_url(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it, without a slash at its end. Raises
    `ConfigError` where that is not installed or the URL is none, `StoreError`.
    """
    import fsspec

    scheme = url.partition("://")[0]
    with url_errors(url, "cannot be opened"):
        try:
            files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            extra = _EXTRAS.get(scheme)
            way_out = f"pip install 'image-edit-pipeline[{extra}]'" if extra else str(error)
            raise ConfigError(
                f"{url}: support for {scheme} is not installed ({way_out})"
            ) from error
        except ValueError as error:
            raise ConfigError(f"{url}: {error} (such as s3://bucket/folder)") from error
    return files, str(root).rstrip("/")


@contextmanager
def url_errors(url: str, what: str = "") -> Iterator[None]:
    """What a file system says, as `StoreError`. ``what``: what could not be done."""
    try:
        yield
    except PipelineError:
        raise
    # No narrower type is common to what fsspec's file systems raise: botocore's, gcsfs' and
    # paramiko's errors descend from Exception itself. Nothing goes on after it.
    except Exception as error:
        where = f"{url}: {what}" if what else url
        raise StoreError(
            f"{where}: {str(error) or type(error).__name__} (check the credentials, the permission"
            " to write, and the connection)"
        ) from error
