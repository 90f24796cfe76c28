"""A body checked strictly, as the provider's OpenAPI files say, and refused in its words.

Unknown keys are ignored without a word, as the real endpoint does: a misspelt option does nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pipeline.emulator.inputs import Input, UnusableInputError, decode_data_uri, is_web_url
from pipeline.emulator.models import MODELS, RATIO_SIZES, Model, nearest_ratio
from pipeline.emulator.problems import ProviderError
from pipeline.emulator.rules import Complaint, choice, integer, kind_of, text, wrong_kind

_NAMED_SIZES: Mapping[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
    "1K": (1024, 1024),
    "2K": (2048, 2048),
    "4K": (4096, 4096),
}
_SCALES: Mapping[str, int] = {"1K": 1, "2K": 2, "4K": 4}
_MAX_SIDE = 4096


@dataclass(frozen=True)
class Asked:
    """A valid request: what is to be drawn, how often, and how large."""

    model: Model
    prompt: str
    inputs: tuple[Input, ...]
    count: int
    options: Mapping[str, Any]
    """Every key of the body but the inputs, unknown ones too, as it came."""

    @property
    def key(self) -> str:
        """The same for every request of the same edit, whenever it arrives."""
        parts = [self.model.id, self.prompt, [one.identity for one in self.inputs]]
        parts.append(json.dumps(self.options, sort_keys=True, default=str))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def subject(self) -> str:
        """The same for every request about these inputs in these words."""
        parts = [self.model.id, self.prompt, [one.identity for one in self.inputs]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def ratio(self) -> str | None:
        """The ratio of the output; `None` when a size in pixels was asked for."""
        if "aspect_ratio" in self.options and self.model.ratios:
            return str(self.options["aspect_ratio"])
        if self._asked_size() is not None:
            return None
        if self.model.default_ratio is not None:
            return self.model.default_ratio
        first = next((one for one in self.inputs if one.width), None)
        if first is None:
            return "16:9"
        return nearest_ratio(first.width, first.height, self.model.ratios)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each output, in pixels."""
        ratio = self.ratio
        if ratio is None:
            return self._asked_size() or RATIO_SIZES["1:1"]
        width, height = RATIO_SIZES[ratio]
        scale = 1
        if "resolution" in self.model.options:
            scale = _SCALES.get(str(self.options.get("resolution")), 1)
        return width * scale, height * scale

    def option(self, name: str) -> Any:
        """A documented option of this model as it came; `None` when absent or not one of its."""
        return self.options.get(name) if name in self.model.options else None

    def without_bytes(self) -> "Asked":
        """The same request without the data of its inputs; its key stays the same."""
        return replace(self, inputs=tuple(replace(one, data=None) for one in self.inputs))

    def to_json(self) -> dict[str, Any]:
        """The body with each input described instead of carried."""
        described: Any = [one.to_json() for one in self.inputs]
        if not self.model.input_is_list:
            described = described[0] if described else None
        return {**self.options, self.model.input_field: described}

    def _asked_size(self) -> tuple[int, int] | None:
        for name in ("image_size", "size"):
            value = self.option(name)
            if isinstance(value, dict):
                return int(value["width"]), int(value["height"])
            if isinstance(value, str):
                if value in _NAMED_SIZES:
                    return _NAMED_SIZES[value]
                width, _, height = value.partition("x")
                if width.isdecimal() and height.isdecimal() and int(width) and int(height):
                    return min(int(width), _MAX_SIDE), min(int(height), _MAX_SIDE)
        return None


def parse(raw: bytes, *, is_json: bool, strict_mime: bool) -> Asked:
    """The request in a body. URLs among its inputs are left for the caller to fetch.

    Raises:
        ProviderError: 400 for a wrong body, 404 for a model that is not known.
    """
    if not is_json:
        raise body_error([("", "Expected object, received undefined")])
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ProviderError(400, f"Invalid JSON body: {exc}") from exc
    if not isinstance(body, dict):
        raise body_error([("", wrong_kind("object", body))])
    if "model" not in body:
        raise body_error([("model", "Required")])
    if not isinstance(body["model"], str):
        raise body_error([("model", wrong_kind("string", body["model"]))])
    model = MODELS.get(body["model"])
    if model is None:
        raise unknown_model(body["model"])
    complaints = list(_complaints(model, body))
    if complaints:
        raise body_error(complaints)
    inputs = _inputs(model, body, strict_mime=strict_mime)
    count = int(body.get("num_images", 1)) if model.max_count > 1 else 1
    options = {name: value for name, value in body.items() if name != model.input_field}
    return Asked(model, body["prompt"], inputs, count, options)


def body_error(complaints: list[Complaint]) -> ProviderError:
    """400, with the complaints listed the way the provider lists them."""
    listed = json.dumps(
        [{"path": where, "message": message} for where, message in complaints],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return ProviderError(400, f"Body validation error: {listed}")


def unknown_model(name: str) -> ProviderError:
    """404: withdrawn, or never there."""
    return ProviderError(404, f"Model {name[:100]!r} not found or is no longer available")


def _complaints(model: Model, body: Mapping[str, Any]) -> list[Complaint]:
    found: list[Complaint] = []
    checks = {"prompt": text(model.max_prompt), **model.options}
    if model.max_count > 1:
        checks["num_images"] = integer(1, model.max_count)
    if model.ratios:
        checks["aspect_ratio"] = choice(*model.ratios)
    if "prompt" not in body:
        found.append(("prompt", "Required"))
    for name, check in checks.items():
        if name in body:
            found.extend((name + where, message) for where, message in check(body[name]))
    found.extend(_input_complaints(model, body))
    return found


def _input_complaints(model: Model, body: Mapping[str, Any]) -> list[Complaint]:
    name = model.input_field
    if name not in body:
        return [(name, "Required")] if model.min_inputs else []
    value = body[name]
    if not model.input_is_list:
        if not isinstance(value, str):
            return [(name, wrong_kind("string", value))]
        return [] if _looks_like_url(value) else [(name, "Invalid url")]
    if not isinstance(value, list):
        return [(name, wrong_kind("array", value))]
    if len(value) < model.min_inputs:
        return [(name, f"Array must contain at least {model.min_inputs} element(s)")]
    if len(value) > model.max_inputs:
        return [(name, f"Array must contain at most {model.max_inputs} element(s)")]
    found: list[Complaint] = []
    for index, one in enumerate(value):
        if not isinstance(one, str):
            found.append((f"{name}.{index}", f"Expected string, received {kind_of(one)}"))
        elif not _looks_like_url(one):
            found.append((f"{name}.{index}", "Invalid url"))
    return found


def _looks_like_url(value: str) -> bool:
    return value[:5].lower() == "data:" or is_web_url(value)


def _inputs(model: Model, body: Mapping[str, Any], *, strict_mime: bool) -> tuple[Input, ...]:
    value = body.get(model.input_field)
    if value is None:
        return ()
    found: list[Input] = []
    for index, one in enumerate(value if model.input_is_list else [value]):
        if one[:5].lower() != "data:":
            found.append(Input(None, url=one))
            continue
        try:
            found.append(
                decode_data_uri(one, max_bytes=model.max_input_bytes, strict_mime=strict_mime)
            )
        except UnusableInputError as exc:
            where = f"{model.input_field}.{index}" if model.input_is_list else model.input_field
            raise body_error([(where, str(exc))]) from exc
    return tuple(found)
