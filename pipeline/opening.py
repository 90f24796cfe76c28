"""A job's endpoint and account, opened with its key. They connect on first use."""

from collections.abc import Mapping

from yarl import URL

from pipeline.endpoints import Account, Endpoint, open_account, open_endpoint
from pipeline.endpoints.aimlapi import origin_of
from pipeline.errors import ConfigError
from pipeline.job import Job, read_api_key
from pipeline.models import ModelSpec


def api_key(job: Job, environ: Mapping[str, str]) -> str:
    """The key that the job names; any will do for the emulator. Raises `ConfigError`."""
    settings = job.endpoint
    key = read_api_key(job, environ)
    if key is None:
        if origin_of(URL(settings.base_url)) != "emulator":
            raise ConfigError(
                f"no API key: the environment variable {settings.api_key_env} is not set\n"
                f"  set it:       export {settings.api_key_env}=…   (or put it into a .env file"
                " beside the job)\n"
                f"  or rehearse:  pipeline run {job.path} --rehearse   (no key, no cost: the"
                " endpoint is played on this machine)"
            )
        key = "emulator"
    return key


def open_job_endpoint(job: Job, model: ModelSpec, key: str) -> Endpoint:
    """Raises `JobError` for a URL or key that cannot be used."""
    settings = job.endpoint
    return open_endpoint(
        settings.provider,
        model=model,
        base_url=settings.base_url,
        api_key=key,
        timeout_s=settings.timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        first_byte_timeout_s=settings.first_byte_timeout_s,
        download_timeout_s=settings.download_timeout_s,
        price_usd=settings.price_usd,
        max_response_bytes=settings.max_response_bytes,
    )


def open_job_account(job: Job, key: str) -> Account:
    """Raises `JobError` for a URL or key that cannot be used."""
    return open_account(
        job.endpoint.provider,
        base_url=job.endpoint.base_url,
        api_key=key,
        connect_timeout_s=job.endpoint.connect_timeout_s,
    )
