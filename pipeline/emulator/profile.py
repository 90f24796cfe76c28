"""How the emulator behaves: one frozen `Profile`, by name, from a file, or by keywords.

A file may start from another profile with `extends: calm`. Settings with fields of their own
(`latency`, `limits`) are merged field by field; maps of weights and probabilities (`shapes`,
`formats`, `faults`, `prices`, `error_bodies`) and the `script` replace what was there.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.emulator.faultnames import FAULTS

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]

_SHIPPED = Path(__file__).parent / "profiles"


class ProfileError(ValueError):
    """A profile cannot be used; the message names the profile, the place and the way out."""


class Latency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long one request works: log-normal, in seconds. A median of 0 means no waiting."""

    median_s: NotNegative = 0.0
    sigma: NotNegative = 0.0
    """Spread of the logarithm: 0.5 makes one request in twenty 2.3 times slower than the median."""
    max_s: NotNegative = 600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is let in. `None` means no limit; every refusal is a 429."""

    requests_per_minute: Positive | None = None
    images_per_minute: Positive | None = None
    concurrency: Count | None = None
    burst: Count = 10
    """Capacity of the request bucket, in requests; the picture bucket holds at least 9 pictures."""
    retry_after: Literal["seconds", "date", "absent"] = "absent"
    retry_after_s: NotNegative | None = None
    """Seconds to announce; `None`: the bucket's own figure (1 for concurrency)."""
    logs_per_minute: Count = 200
    """Documented for `/v2/logs`."""


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests a rule is for; every condition given must hold, none given means all."""

    prompt_contains: str | None = None
    """Case-insensitive."""
    request_id_glob: str | None = None
    """Matched against `X-Client-Request-Id`."""
    nth: Count | None = None
    """The nth request that was let in, from 1, counted since the start or the last profile."""
    model: str | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the script: this fault, for these requests. Without bounds it has no bounds."""

    fault: str
    when: When = When()
    times: Count | None = None
    """At most so often for the same edit."""
    total: Count | None = None
    """At most so often for all edits together."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting of the emulator. The defaults are the provider on its best day."""

    name: str = "default"
    description: str = ""

    latency: Latency = Latency()
    limits: Limits = Limits()
    accepted_key: str | None = None
    """The one key that is right; `None`: any but the empty one and `wrong`."""
    balance_usd: NotNegative = 1000.0
    prices: dict[str, NotNegative] = {}
    """USD a picture, by model, over the emulator's own table."""
    withdraw_after: Count | None = None
    """A model is withdrawn once it has made so many pictures."""
    billing_delay_s: NotNegative = 0.0
    """Transactions and logs show a request so many seconds after it ended."""

    shapes: dict[Literal["choices", "images", "data", "both"], Weight] = msgspec.field(
        default_factory=lambda: {"choices": 1.0}
    )
    """Weights of the four documented response shapes."""
    status: Literal["documented", "mixed", 200, 201] = "documented"
    """`documented`: 201 for `choices`, 200 for the others."""
    payload: Literal["base64", "url", "mixed"] = "base64"
    b64_prefix: Probability = 0.0
    """How often base64 starts with `data:image/png;base64,`."""
    b64_whitespace: Probability = 0.0
    """How often base64 is broken into lines."""
    formats: dict[Literal["png", "jpeg", "webp"], Weight] = msgspec.field(
        default_factory=lambda: {"png": 1.0}
    )
    inference_id_header: bool = True
    cost_headers: bool = True
    usage_meta: bool = True
    """`meta.usage` in the shapes `data` and `both`."""
    error_bodies: dict[Literal["plain", "list", "problem"], Weight] = msgspec.field(
        default_factory=lambda: {"plain": 1.0}
    )
    """`list`: the plain body with a list as `message` and a string as `statusCode`."""
    url_expires_s: NotNegative = 3600.0

    pictures: Literal["full", "plain"] = "full"
    """`plain`: a valid two-coloured picture of the right size, drawn in microseconds."""
    plain_bytes: Annotated[int, msgspec.Meta(ge=0, le=64_000_000)] = 0
    """Weight of a plain PNG, in bytes; padded with an ancillary chunk (0: as small as it is)."""
    strict_mime: bool = True
    """Refuse an input whose bytes are not what its data URI says."""
    max_body_mb: Positive = 40.0

    faults: dict[str, Probability] = {}
    """Probability of each fault for one request; together at most 1."""
    max_faulty_attempts: Annotated[int, msgspec.Meta(ge=0)] = 3
    """So many requests of one edit can meet a passing fault; then it passes. Rules do not count."""
    script: tuple[Rule, ...] = ()
    credits_status: Literal["mixed", 402, 403] = "mixed"
    """The answer when the money is gone."""
    drip_s: NotNegative = 2.0
    """How long a dripping body or a slow download takes, in seconds."""
    bomb_bytes: Count = 512 * 1024 * 1024
    """What the gzip bomb unpacks to."""
    endless_bytes: Count = 2 * 1024 * 1024 * 1024
    """Where the endless body ends after all, by a cut connection."""

    def __post_init__(self) -> None:
        for place, name in [("faults", name) for name in self.faults] + [
            (f"script[{index}]", rule.fault) for index, rule in enumerate(self.script)
        ]:
            if name not in FAULTS:
                raise ValueError(f"{place}: unknown fault {name!r}{_suggestion(name, FAULTS)}")
        if sum(self.faults.values()) > 1.0 + 1e-9:
            raise ValueError("faults: the probabilities add up to more than 1")
        for place, weights in (
            ("shapes", dict(self.shapes)),
            ("formats", dict(self.formats)),
            ("error_bodies", dict(self.error_bodies)),
        ):
            if not sum(weights.values()) > 0:
                raise ValueError(f"{place}: at least one weight must be above 0")

    def may_meet(self, fault: str) -> bool:
        """Whether any request can meet this fault."""
        return fault in self.faults or any(rule.fault == fault for rule in self.script)

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values, without the key."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        plain["accepted_key"] = None if self.accepted_key is None else "***"
        return plain

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Profile":
        """This profile with some settings changed, by the rules at the top of this module.

        Raises:
            ProfileError: an unknown key or a value out of range.
        """
        changes = dict(overrides)
        base: dict[str, Any] = msgspec.to_builtins(self)
        if "extends" in changes:
            base = msgspec.to_builtins(load_profile(str(changes.pop("extends"))))
        return _convert(_merged(base, _plain(changes)), source=f"profile {self.name!r}")


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_profile(name_or_path: str | Path | Profile) -> Profile:
    """A shipped profile by name, or one from a YAML or JSON file.

    Raises:
        ProfileError: no such profile, unreadable, an unknown key, or a value out of range.
    """
    if isinstance(name_or_path, Profile):
        return name_or_path
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in shipped_profiles():
        path = _SHIPPED / f"{name_or_path}.yaml"
    elif not path.is_file():
        shipped = shipped_profiles()
        raise ProfileError(
            f"no profile {str(name_or_path)!r}: neither a file nor one of {', '.join(shipped)}"
            + _suggestion(str(name_or_path), shipped)
        )
    import yaml  # here, because importing the package must stay cheap

    try:
        # JSON is read by the same parser: it is a subset of YAML.
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ProfileError(f"{path}: cannot be read as YAML or JSON: {exc}") from exc
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ProfileError(f"{path}: expected a mapping of settings")
    base: dict[str, Any] = {}
    parent = content.pop("extends", None)
    if parent is not None:
        if str(parent) == str(name_or_path):
            raise ProfileError(f"{path}: a profile cannot extend itself")
        base = msgspec.to_builtins(load_profile(str(parent)))
    return _convert(_merged(base, {"name": path.stem, **content}), source=str(path))


def _convert(settings: dict[str, Any], *, source: str) -> Profile:
    _refuse_unknown(settings, Profile, source=source, place="")
    try:
        return msgspec.convert(settings, Profile)
    except (msgspec.ValidationError, TypeError) as exc:
        raise ProfileError(f"{source}: {exc}") from exc


def _refuse_unknown(
    settings: Mapping[str, Any], kind: type[msgspec.Struct], *, source: str, place: str
) -> None:
    # msgspec refuses unknown keys as well; this says which key was probably meant.
    for key in settings:
        if key not in kind.__struct_fields__:
            raise ProfileError(
                f"{source}: unknown setting {place + str(key)!r}"
                + _suggestion(str(key), kind.__struct_fields__)
            )
    nested: tuple[tuple[str, type[msgspec.Struct]], ...] = (
        ("latency", Latency),
        ("limits", Limits),
    )
    for name, inner in nested if kind is Profile else ():
        if isinstance(settings.get(name), Mapping):
            _refuse_unknown(settings[name], inner, source=source, place=f"{name}.")
    rules = settings.get("script") if kind is Profile else None
    for index, rule in enumerate(rules if isinstance(rules, (list, tuple)) else ()):
        if isinstance(rule, Mapping):
            at = f"script[{index}]."
            _refuse_unknown(rule, Rule, source=source, place=at)
            if isinstance(rule.get("when"), Mapping):
                _refuse_unknown(rule["when"], When, source=source, place=f"{at}when.")


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if key in ("latency", "limits") and isinstance(old, dict) and isinstance(value, Mapping):
            merged[key] = {**old, **value}
        else:
            merged[key] = value
    return merged


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(dict(changes))
    return plain


def _suggestion(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
