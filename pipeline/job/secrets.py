"""Keys that got into a job file: found before anything else is said of it."""

import re
from collections.abc import Iterator

from pipeline.manifest.problems import quoted
from pipeline.manifest.safe_yaml import YamlList, YamlMap, YamlNode, YamlScalar

_SECRET_KEY = re.compile(r"(?:.*[_-])?(?:api_?key|key|token|secret|password|authorization)", re.I)
_SECRET_VALUE = re.compile(r"Bearer\s.+|sk-[\w-]{16,}|[0-9a-f]{32,}", re.I)


def secrets_in(node: YamlNode) -> Iterator[tuple[int, str]]:
    """Where, and what to do about each. Their values are not shown."""
    way_out = (
        "an API key does not belong into a job file (put it into an environment variable, or into"
        " a .env file, and name that variable in endpoint.api_key_env; treat this key as leaked)"
    )
    if isinstance(node, YamlMap):
        for key, value in node.entries.items():
            holds = isinstance(value, YamlScalar) and value.value not in (None, "")
            if holds and _SECRET_KEY.fullmatch(key):
                yield node.lines[key], f"{quoted(key)}: {way_out}"
            else:
                yield from secrets_in(value)
    elif isinstance(node, YamlList):
        for item in node.items:
            yield from secrets_in(item)
    elif _SECRET_VALUE.fullmatch(node.text.strip()):
        yield node.line, f"this value looks like a key; {way_out}"
