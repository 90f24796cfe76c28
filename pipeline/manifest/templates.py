"""Prompts and output names as Jinja2 templates, sandboxed and bounded.

A manifest may come from somebody else, so a template can only put texts together: variables,
conditions, loops, text filters, a few text methods, and files of its own folder (`Snippets`). What
it computes is bounded by a number of steps and by the length of the result, whatever it says.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from pipeline.manifest.columns import template_name
from pipeline.manifest.names import sanitised
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.manifest.snippets import Snippets

if TYPE_CHECKING:
    import jinja2

MAX_LENGTH = 32_000
"""Characters of a rendered text, and of a template."""

MAX_STEPS = 1_000
"""Loop steps of one rendering."""

_REMEMBERED = 256

_METHODS = (
    *("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "split"),
    *("startswith", "endswith", "removeprefix", "removesuffix", "isdigit", "items", "get"),
)
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "first", "float", "int", "last", "length"),
    *("list", "lower", "reverse", "round", "sort", "string", "title", "trim", "truncate"),
    *("unique", "upper", "wordcount"),
)
_REFUSED_NODES = (
    *("Assign", "AssignBlock", "Macro", "CallBlock", "FilterBlock", "Block", "Extends"),
    *("Import", "FromImport", "ScopedEvalContextModifier", "Mul", "Pow", "Mod"),
)
_HALF = re.compile("[\ud800-\udfff]").search
_INCLUDED = "prompts/"
_UNDEFINED = re.compile(r"'([^']+)' is undefined").fullmatch


def is_template(text: str) -> bool:
    """Whether Jinja2 has anything to do; other texts are used as they are."""
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


class Templates:
    """Compiles and renders; the most recent templates are kept compiled.

    ``prompts``: the folder of what can be included.
    """

    def __init__(self, prompts: Path | None = None) -> None:
        self._snippets = Snippets(prompts)
        self._compiled: OrderedDict[str, jinja2.Template] = OrderedDict()
        self._environment: jinja2.Environment | None = None
        self._steps = _Steps()

    def render(self, text: str, values: Mapping[str, Any]) -> str:
        """The text with its variables replaced. Raises `RowError`."""
        from jinja2 import TemplateNotFound, UndefinedError

        template = self._template(text)
        self._steps.left = MAX_STEPS
        self._snippets.begin()
        pieces: list[str] = []
        length = 0
        try:
            for piece in template.generate(values):
                pieces.append(piece)
                length += len(piece)
                if length > MAX_LENGTH:
                    raise RowError(
                        f"the rendered template is longer than {MAX_LENGTH:,} characters (shorten"
                        " it)"
                    )
        except UndefinedError as error:
            raise RowError(_within(error) + _undefined(error.message or "", values)) from None
        except RowError:
            raise
        except TemplateNotFound as error:
            raise RowError(self._snippets.missing(str(error.name))) from None
        except Exception as error:
            # A template is a program of somebody else's, and may fail in any way: filters assert,
            # constants become Python's source (1e400 is the name 'inf' there).
            what = _within(error) or f"the template {quoted(text)} "
            raise RowError(f"{what}cannot be rendered: {error} (correct it)") from None
        rendered = "".join(pieces)
        if _HALF(rendered):
            raise RowError(f"the template {quoted(text)} makes half a character, which no text has")
        return rendered

    def check(self, text: str) -> None:
        """Compiles it and what it includes by name. Raises `RowError` when that fails."""
        self.variables(text)

    def variables(self, text: str) -> frozenset[str]:
        """The names that it, and what it includes by name, take from a row. Raises `RowError`, as
        `check` does.
        """
        if not is_template(text):
            return frozenset()
        self._template(text)
        assert self._environment is not None  # noqa: S101 - `_template` has made it
        names = set[str]()
        waiting, seen = [("", text)], set[str]()
        for place, source in waiting:
            found, included = _mentioned(self._environment, place, source)
            names |= found
            for name, needed in included:
                if name in seen:
                    continue
                seen.add(name)
                piece = self._snippets.source(name)
                if piece is not None:
                    waiting.append((f"{_INCLUDED}{name}", piece))
                elif needed:
                    raise RowError(self._snippets.missing(name))
        return frozenset(names)

    def _template(self, text: str) -> "jinja2.Template":
        if template := self._compiled.get(text):
            return template
        from jinja2 import TemplateError

        if self._environment is None:
            self._environment = _environment(self._steps, self._snippets)
        if len(text) > MAX_LENGTH:
            raise RowError(f"the template has more than {MAX_LENGTH:,} characters (shorten it)")
        try:
            template = self._environment.from_string(text)
        except (TemplateError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = str(error) or "it nests too deeply"
            raise RowError(
                f"the template {quoted(text)} cannot be read: {why} (correct it; braces that are"
                " no template stand between {% raw %} and {% endraw %})"
            ) from None
        self._compiled[text] = template
        if len(self._compiled) > _REMEMBERED:
            self._compiled.popitem(last=False)
        return template


class _Steps:
    """What is left of one rendering's loop steps."""

    left = MAX_STEPS

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.left -= 1
            if self.left < 0:
                raise RowError(f"the template loops more than {MAX_STEPS:,} times (shorten it)")
            yield item

    def included(self, name: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RowError(f"the template includes more than {MAX_STEPS:,} files (shorten it)")
        if isinstance(name, str) or (
            isinstance(name, list) and all(isinstance(each, str) for each in name)
        ):
            return name
        raise RowError(f"include takes a file's name, not {quoted(name)} (as in 'shadow.txt')")


def _environment(steps: _Steps, snippets: Snippets) -> "jinja2.Environment":
    from jinja2 import FunctionLoader, StrictUndefined, TemplateSyntaxError, nodes, pass_context
    from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

    refused = tuple(getattr(nodes, name) for name in _REFUSED_NODES)

    def check(node: nodes.Node) -> None:
        if isinstance(node, refused):
            kind = type(node).__name__.lower()
            raise TemplateSyntaxError(f"{kind!r} is not part of these templates", node.lineno)
        if isinstance(node, nodes.Call):
            called = node.node
            if not (
                (isinstance(called, nodes.Getattr) and called.attr in _METHODS)
                or (isinstance(called, nodes.Name) and called.name == "range")
            ):
                raise TemplateSyntaxError(
                    "only range and text methods can be called: " + listed(sorted(_METHODS)),
                    node.lineno,
                )
        if isinstance(node, nodes.For):
            node.iter = nodes.Filter(node.iter, "_counted", [], [], None, None, lineno=node.lineno)
        if isinstance(node, nodes.Include):
            node.template = nodes.Filter(
                node.template, "_included", [], [], None, None, lineno=node.lineno
            )
        for child in node.iter_child_nodes():
            check(child)

    class Environment(ImmutableSandboxedEnvironment):
        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            check(tree)
            return tree

        def join_path(self, template: str, parent: str) -> str:
            return snippets.include(template, parent)

    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,
        loader=FunctionLoader(_named(snippets)),
        cache_size=_REMEMBERED,
        auto_reload=False,
    )
    environment.globals = {"range": safe_range}
    environment.filters = {
        **{name: environment.filters[name] for name in _FILTERS},
        "replace": _replaced,
        "join": _joined,
        "slug": lambda text: sanitised(str(text)).strip(),
        "_counted": steps.counted,
        # With the context, so that it is asked each time and not once, by the compiler.
        "_included": pass_context(lambda _, name: steps.included(name)),
    }
    return environment


def _replaced(text: object, old: str, new: str) -> str:
    """Jinja's ``replace``, bounded."""
    before = str(text)
    grown = len(before) + before.count(str(old)) * (len(str(new)) - len(str(old)))
    if grown > MAX_LENGTH:
        raise RowError(f"a replacement makes more than {MAX_LENGTH:,} characters (shorten it)")
    return before.replace(str(old), str(new))


def _joined(items: Iterable[Any], between: str = "") -> str:
    """Jinja's ``join``, bounded."""
    pieces: list[str] = []
    length = 0
    for item in items:
        pieces.append(str(item))
        length += len(pieces[-1]) + len(between)
        if length > MAX_LENGTH:
            raise RowError(f"a join makes more than {MAX_LENGTH:,} characters (shorten it)")
    return str(between).join(pieces)


def _mentioned(
    environment: "jinja2.Environment", place: str, source: str
) -> tuple[set[str], list[tuple[str, bool]]]:
    """A source's variables, and the files that it includes by name, each with whether it has to be
    there. Raises `RowError`.
    """
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.meta import find_undeclared_variables

    try:
        tree = environment.parse(source)
        names = find_undeclared_variables(tree)
    except TemplateSyntaxError as error:
        raise RowError(f"{place}:{error.lineno}: {error.message} (correct it)") from None
    included = []
    for node in tree.find_all(nodes.Include):
        wrapped = node.template
        # `_environment` has put a filter around what was written.
        written = wrapped.node if isinstance(wrapped, nodes.Filter) else wrapped
        several = written.items if isinstance(written, nodes.List | nodes.Tuple) else None
        for each in several if several is not None else [written]:
            if isinstance(each, nodes.Const) and isinstance(each.value, str):
                included.append((each.value, several is None and not node.ignore_missing))
    return names, included


def _named(snippets: Snippets) -> Callable[[str], tuple[str, str, None] | None]:
    """Sources with the names that tracebacks, and so `_within`, show."""

    def load(name: str) -> tuple[str, str, None] | None:
        source = snippets.source(name)
        return None if source is None else (source, f"{_INCLUDED}{name}", None)

    return load


def _within(error: Exception) -> str:
    """``prompts/keep.txt:2: `` where it was an included file that failed; else nothing."""
    place = ""
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(_INCLUDED):
            place = f"{frame.f_code.co_filename}:{line}: "
    return place


def _undefined(message: str, values: Mapping[str, Any]) -> str:
    found = _UNDEFINED(message)
    if found is None:
        return f"the template fails: {message} (correct it)"
    name = found.group(1)
    return (
        f"the template's {name!r} is not defined{did_you_mean(name, values)}; there are"
        f" {listed(sorted(values))}"
    )


@lru_cache(maxsize=4096)
def variable_names(written: str) -> tuple[str, ...]:
    """How templates call a column: ``Product Name`` is ``product_name``."""
    name = template_name(written)
    names = dict.fromkeys([name, written])
    return tuple(name for name in names if name.isidentifier() and name not in ("row", "id"))
