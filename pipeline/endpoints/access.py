"""What a user gave to reach a provider: its address and the key, checked once."""

import re

from yarl import URL

from pipeline.endpoints.failures import clean_text
from pipeline.errors import JobError

_KEY = re.compile(r"[\x21-\x7e]+")


def checked_access(base_url: str, api_key: str) -> tuple[URL, str]:
    """The URL and the key, ready for a header. Raises `JobError`, which never shows the key."""
    key = api_key.strip()
    if not _KEY.fullmatch(key):
        raise JobError(
            "endpoint.api_key_env: the API key is empty or holds spaces or characters that no key"
            " has (copy it again, without quotes or line breaks)"
        )
    try:
        url = URL(base_url.rstrip("/"))
    except ValueError as error:
        raise JobError(f"endpoint.base_url: {base_url!r} is no URL ({error})") from error
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.user:
        raise JobError(
            f"endpoint.base_url: {clean_text(base_url)!r} must be an http or https URL such as"
            " https://api.aimlapi.com, without user, password or query"
        )
    return url, key
