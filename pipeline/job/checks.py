"""The part ``checks`` of a job: what has to be right in a picture, and what follows where not."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from pipeline.best_pictures import TOP_UPS
from pipeline.errors import JobError
from pipeline.job.values import Part, as_list
from pipeline.pictures.checks.settings import read_settings
from pipeline.pictures.checks.values import CheckSettings

_NAMES = (
    "min_size",
    "ratio",
    "not_blank",
    "not_unchanged",
    "not_duplicate",
    "background_white",
    "subject_kept",
)


class Checks(Part):
    """Each check as ``true``, ``false``, its main limit, or a mapping of its limits.

    ``custom``: checks of the user's own, by name; one call of them may take ``custom_timeout_s``.
    ``rerolls``: how often an edit is asked for again at most because a check turned a picture down;
    ``top_up``: also ask for pictures that are missing. ``reroll_budget_usd``: what both together
    may cost in a run; None: only the run's own cap.
    """

    decodes: Literal[True] = True
    min_size: Any = None
    ratio: Any = None
    not_blank: Any = None
    not_unchanged: Any = None
    not_duplicate: Any = None
    background_white: Any = None
    subject_kept: Any = None
    custom: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    custom_timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0
    rerolls: Annotated[int, Field(ge=0, le=20)] = 0
    reroll_budget_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_up: bool = False

    @field_validator(*_NAMES)
    @classmethod
    def _readable(cls, value: Any, info: Any) -> Any:
        place = f"checks.{info.field_name}: "
        try:
            read_settings({info.field_name: value})
        except JobError as error:
            raise ValueError(str(error).removeprefix(place)) from None
        return value

    @property
    def settings(self) -> CheckSettings:
        """Which checks, and their limits."""
        stated = {name: getattr(self, name) for name in _NAMES}
        return read_settings({**stated, "custom": list(self.custom)})

    @property
    def names(self) -> tuple[str, ...]:
        """Of those that are on; empty where none was asked for."""
        settings = self.settings
        on = [name for name in _NAMES if getattr(settings, name) is not None]
        own = [name.rpartition(":")[2] for name in self.custom]
        return (*on, *own)

    @property
    def looks(self) -> bool:
        """Whether answers are looked at at all: every pixel of them is decoded then."""
        return bool(self.names or self.rerolls) or "decodes" in self.model_fields_set


def with_rerolls(
    part: Checks, requests: int, pictures: int, *, price_usd: float | None
) -> float | None:
    """What so many pictures may cost at most if all are turned down as often as they are asked for
    again; None where the price is unknown. Retries after faults are not in it.
    """
    if price_usd is None:
        return None
    again = pictures * part.rerolls
    if part.top_up:
        again += TOP_UPS * (pictures - requests)  # at least one of each answer is there
    extra = again * price_usd
    if part.reroll_budget_usd is not None:
        extra = min(extra, part.reroll_budget_usd)
    return round(pictures * price_usd + extra, 6)
