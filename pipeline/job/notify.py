"""The part ``notify`` of a job: who is told of a run, of what, and in which words."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from pipeline.job.values import Part, as_list
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.manifest.templates import Templates, is_template

Occasion = Literal["finish", "failure", "cap", "stall", "nothing_new"]
"""
- ``finish``: a run came to its end by itself and had something to do
- ``failure``: edits did not succeed; a run was stopped by an error or a guard rail, could not
  start, was interrupted, or its process died
- ``cap``: a money cap stopped it
- ``stall``: nothing has ended for ``limits.stall_s``
- ``nothing_new``: there was nothing to do
"""

OCCASIONS: tuple[Occasion, ...] = ("finish", "failure", "cap", "stall", "nothing_new")

VARIABLES = frozenset(
    {
        *("job", "on", "headline", "text", "error", "notes", "run_id", "ended", "exit_code"),
        *("succeeded", "failed", "refused", "rejected", "unknown", "unchanged", "kept", "images"),
        *("new", "changed", "newly_failing", "recovered", "reasons", "made"),
        *("cost_usd", "unknown_usd", "duration", "duration_s", "started_at"),
        *("outputs", "host", "next"),
    }
)
"""What ``title`` and ``body`` can name; `pipeline.notifying.wording` fills them."""

_OPEN_SCHEMES = frozenset(
    {"mailto", "mailtos", "json", "jsons", "form", "forms", "xml", "xmls", "syslog"}
)
"""Of apprise's schemes those whose address alone lets nobody in: there a URL may stand in a file.
Almost everywhere else the token *is* the address."""

_SECRET_NAME = re.compile(
    r"[-+:]?.*(?:key|token|secret|pass|pwd|auth|cookie|sig).*", re.I
).fullmatch
_LOOKS_SECRET = re.compile(
    r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_~+=-]{16,}|[0-9a-fA-F-]{24,}"
).fullmatch
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}").fullmatch


def _named(value: str) -> str:
    if not _VARIABLE(value):
        # The value is not shown: it may be the URL itself.
        raise ValueError(
            "it is no NAME of an environment variable (SLACK_URL); the URL itself belongs into"
            " that variable or into a .env file"
        )
    return value


def _open(value: str) -> str:
    """The value is not shown: it may hold a password."""
    way_out = (
        " (put the whole URL into an environment variable, or into a .env file beside the job, and"
        " write url_env: ITS_NAME instead)"
    )
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("it is no URL that apprise could use (mailto://…, json://…)") from None
    if not url.scheme or "://" not in value:
        raise ValueError("it is no URL that apprise could use (mailto://…, json://…)")
    if url.password is not None:
        raise ValueError(f"it holds a password{way_out}")
    if url.scheme.lower() not in _OPEN_SCHEMES:
        raise ValueError(
            f"URLs of {quoted(url.scheme)} carry their token and must not stand in a file{way_out}"
        )
    parts = [url.username or "", *url.path.split("/"), url.fragment]
    query = parse_qsl(url.query, keep_blank_values=True)
    if any(_SECRET_NAME(name) for name, _ in query) or any(
        _LOOKS_SECRET(unquote(part)) for part in (*parts, *[text for _, text in query])
    ):
        raise ValueError(f"it seems to hold a token{way_out}")
    return value


class Recipient(Part):
    """Whom to tell (``url_env`` or ``url``), of what (``on``), and how (templates)."""

    url_env: Annotated[str, AfterValidator(_named)] | None = None
    url: Annotated[str, AfterValidator(_open)] | None = None
    on: Annotated[tuple[Occasion, ...], BeforeValidator(as_list), Field(min_length=1)] = OCCASIONS
    title: str | None = None
    body: str | None = None

    @property
    def name(self) -> str:
        """How messages call it. Holds no secret."""
        return self.url_env or self.url or ""

    @field_validator("title", "body")
    @classmethod
    def _can_be_rendered(cls, text: str | None) -> str | None:
        if text is not None:
            check_template(text)
        return text

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError(
                "it needs url_env, the NAME of a variable with the URL, or url, one without"
                " secrets; one of the two"
            )
        return self


def check_template(text: str) -> None:
    """Raises `ValueError` for a template that cannot work, whatever a run comes to."""
    try:
        Templates().check(text)
    except RowError as error:
        raise ValueError(str(error)) from None
    if not is_template(text):
        return
    from jinja2 import Environment
    from jinja2.meta import find_undeclared_variables

    plain = Environment()  # noqa: S701 - read, never rendered
    for name in sorted(find_undeclared_variables(plain.parse(text)) - VARIABLES - {"range"}):
        hint = did_you_mean(name, VARIABLES) or f" (there are {listed(sorted(VARIABLES))})"
        raise ValueError(f"the template names {quoted(name)}, which there is not{hint}")
