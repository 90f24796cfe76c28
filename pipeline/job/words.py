"""What pydantic says of a job file, in words: the place, the problem, the way out."""

from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from pipeline.manifest.problems import did_you_mean, listed, quoted
from pipeline.manifest.safe_yaml import YamlList, YamlMap, YamlNode


def in_words(problem: dict[str, Any], top: YamlMap, job: type[BaseModel]) -> tuple[int, str]:
    """One of pydantic's complaints about a ``job``, as a line number and a sentence.

    ``top``: the file's contents, with their lines.
    """
    location: tuple[int | str, ...] = problem["loc"]
    key = ".".join(str(part) for part in location)
    line = _line(top, location)
    kind: str = problem["type"]
    context: dict[str, Any] = problem.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(job, location[:-1])
        where = f" in {quoted('.'.join(map(str, location[:-1])))}" if location[:-1] else ""
        name = str(location[-1])
        hint = did_you_mean(name, known) or f" (there are {listed(known)})"
        return line, f"unknown key {quoted(name)}{where}{hint}"
    if kind == "missing":
        return line, f"{key!r} is missing (add it: {key}: …)"
    if kind == "value_error":
        return line, f"{key}: {context['error']}"
    words = _WORDS.get(kind)
    if words is None:
        return line, f"{key}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
    return line, f"{key}: {words.format(**context)}"


_WORDS = {
    "int_parsing": "no whole number",
    "int_type": "no whole number",
    "int_from_float": "no whole number",
    "float_parsing": "no number",
    "float_type": "no number",
    "finite_number": "no finite number",
    "bool_parsing": "neither true nor false",
    "bool_type": "neither true nor false",
    "string_type": "no text",
    "path_type": "no path",
    "dict_type": "no mapping (write 'key: value' lines below it)",
    "model_type": "no mapping (write 'key: value' lines below it)",
    "tuple_type": "no list",
    "too_short": "empty (name at least one)",
    "literal_error": "not among the choices ({expected})",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}


def _known_keys(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    found: Any = model
    for part in location:
        if get_origin(found) is dict:  # by name: what each of its values is
            found = get_args(found)[1]
        elif get_origin(found) is tuple:
            found = get_args(found)[0]
        else:
            found = found.model_fields[str(part)].annotation
        if get_origin(found) is Annotated:
            found = get_args(found)[0]
    return list(found.model_fields)


def _line(top: YamlMap, location: Iterable[int | str]) -> int:
    """Where the innermost key stands that the file has."""
    node: YamlNode = top
    line = top.line
    for part in location:
        if isinstance(node, YamlMap) and part in node.entries:
            line = node.lines[str(part)]
            node = node.entries[str(part)]
        elif isinstance(node, YamlList) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            line = node.line
    return line
