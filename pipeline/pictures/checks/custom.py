"""Checks of the user's own: loaded by name, and never able to end a run.

A check is a function of a `PictureUnderTest` that returns a `CheckResult`, or several::

    def logo_visible(picture):
        found = best_match(picture.seen, LOGO)
        return CheckResult("logo_visible", found, 0.8, found >= 0.8, f"logo found: {found:.2f}")
"""

import importlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from pipeline.errors import JobError
from pipeline.pictures.checks.pictures import PictureUnderTest
from pipeline.pictures.checks.values import CheckResult

GROUP = "pipeline.checks"
"""The group of entry points that installed packages offer their checks in."""


class Check(Protocol):
    """Looks at one picture and says what it found. Called from several threads at once.

    Must not change the picture. Whatever it raises is its own failure: "could not be measured".
    """

    def __call__(self, picture: PictureUnderTest, /) -> CheckResult | Iterable[CheckResult]: ...


class NamedCheck(msgspec.Struct, frozen=True):
    """A check under the name that the job gives it."""

    name: str
    check: Check


def load_checks(names: Sequence[str]) -> tuple[NamedCheck, ...]:
    """The checks behind ``module:function`` names, or names in the group `GROUP`.

    Raises `JobError` for what cannot be found, imported or called.
    """
    return tuple(NamedCheck(_short(name), _loaded(name)) for name in names)


def measured(named: NamedCheck, picture: PictureUnderTest) -> tuple[CheckResult, ...]:
    """What a check says; where it fails itself, a result that did not pass and says why."""
    try:
        said = named.check(picture)
        results = (said,) if isinstance(said, CheckResult) else tuple(said)
        for one in results:
            if not isinstance(one, CheckResult):
                raise TypeError(f"it returned {type(one).__name__}, not CheckResult")
    # Somebody else's code may raise anything, and the picture was paid for.
    except Exception as error:
        text = str(error).split("\n")[0][:200]
        why = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return (CheckResult(named.name, None, None, False, f"could not be measured: {why}"),)
    return results


def _loaded(name: str) -> Check:
    if ":" in name:
        check = _from_module(name)
    else:
        offered = importlib.metadata.entry_points(group=GROUP)
        found = [one for one in offered if one.name == name]
        if not found:
            known = ", ".join(sorted({one.name for one in offered})) or "none"
            raise JobError(
                f"checks.custom: no installed package offers a check {name!r} (there are: {known});"
                " install it, or write module:function"
            )
        try:
            check = found[0].load()
        except (ImportError, AttributeError) as error:
            raise JobError(f"checks.custom: {name!r} cannot be loaded: {error}") from error
    if not callable(check):
        raise JobError(
            f"checks.custom: {name!r} is {type(check).__name__}; it has to be a function of a"
            " picture"
        )
    return check


def _from_module(name: str) -> Check:
    module, _, attribute = name.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise JobError(f"checks.custom: {name!r} cannot be loaded: {error}") from error
    # Importing it runs it: a mistake in it must name the job's key, whatever it is.
    except Exception as error:
        why = str(error) or type(error).__name__
        raise JobError(
            f"checks.custom: {name!r} cannot be loaded: {why} (is it installed, or on PYTHONPATH?)"
        ) from error
    return found  # type: ignore[return-value]  # whether it can be called is asked next


def _short(name: str) -> str:
    return name.rpartition(":")[2]
