"""The models on the route, as the emulator knows them: field names, ranges, sizes, prices.

The table is API.md's. Prices: only the mission's model has a documented one (84,000 credits); the
others are the emulator's own figures, which a profile's `prices` overrides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.emulator.rules import (
    Check,
    choice,
    flag,
    integer,
    number,
    size_or_name,
    text,
)

RATIO_SIZES: Mapping[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
"""Pixels, width then height: about one megapixel whatever goes in."""

_ALL_RATIOS = tuple(RATIO_SIZES)
_FIVE_RATIOS = ("1:1", "9:16", "16:9", "3:4", "4:3")
_SEED = integer(0, 4_294_967_295)
_MAX_INPUT_BYTES = 7 * 1024 * 1024


@dataclass(frozen=True)
class Model:
    """One model: what a body for it may hold, and what a picture costs."""

    id: str
    input_field: str
    min_inputs: int
    max_inputs: int
    max_count: int
    """Largest `num_images`; 1 means that the model has no count field."""
    price_credits: int
    """A picture, in credits."""
    ratios: tuple[str, ...] = ()
    default_ratio: str | None = "1:1"
    """Used when the body names no shape; `None`: the listed ratio nearest to the first input."""
    options: Mapping[str, Check] = field(default_factory=dict)
    max_prompt: int | None = None
    max_input_bytes: int = _MAX_INPUT_BYTES

    @property
    def developer(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]

    @property
    def input_is_list(self) -> bool:
        """Whether the inputs come as a list rather than as one string."""
        return self.input_field == "image_urls"


def _models(*models: Model) -> Mapping[str, Model]:
    return {model.id: model for model in models}


_URL_OR_B64 = choice("url", "b64_json")
_JPEG_OR_PNG = choice("jpeg", "png")
_RESOLUTION = choice("1K", "2K", "4K")


def _flux_kontext(name: str, price_credits: int) -> Model:
    return Model(
        f"flux/{name}/image-to-image",
        "image_url",
        1,
        1,
        4,
        price_credits,
        ratios=_ALL_RATIOS,
        default_ratio="16:9",
        options={
            "output_format": _JPEG_OR_PNG,
            "safety_tolerance": choice("1", "2", "3", "4", "5", "6"),
            "guidance_scale": number(),
            "seed": integer(),
        },
    )


MODELS: Mapping[str, Model] = _models(
    Model(
        "google/gemini-2.5-flash-image-edit",
        "image_urls",
        1,
        3,
        4,
        84_000,
        ratios=_ALL_RATIOS,
        options={"provider": text()},
    ),
    Model(
        "google/nano-banana-edit",
        "image_urls",
        0,
        3,
        4,
        84_000,
        # The OpenAPI file's five, and its rule for a body without one.
        ratios=_FIVE_RATIOS,
        default_ratio=None,
        options={
            "seed": _SEED,
            "enhance_prompt": flag(),
            "person_generation": choice("dont_allow", "allow_adult"),
            "safety_setting": choice(
                "block_low_and_above", "block_medium_and_above", "block_only_high"
            ),
            "add_watermark": flag(),
            "convert_base64_to_url": flag(),
            "provider": text(),
        },
    ),
    Model(
        "google/gemini-3-pro-image-edit",
        "image_urls",
        1,
        5,
        4,
        320_000,
        ratios=_ALL_RATIOS,
        options={"resolution": _RESOLUTION, "provider": text()},
    ),
    Model(
        "google/nano-banana-2",
        "image_urls",
        0,
        5,
        1,
        160_000,
        ratios=_ALL_RATIOS,
        options={"resolution": _RESOLUTION, "enable_web_search": flag()},
    ),
    Model(
        "bytedance/seedream-v4-edit",
        "image_urls",
        1,
        10,
        4,
        63_000,
        options={
            "image_size": size_or_name(),
            "seed": integer(),
            "sync_mode": flag(),
            "enable_safety_checker": flag(),
        },
    ),
    Model(
        "bytedance/seedream-4-5",
        "image_urls",
        0,
        14,
        1,
        84_000,
        options={
            "image_size": size_or_name(),
            "response_format": _URL_OR_B64,
            "watermark": flag(),
            "seed": integer(),
        },
    ),
    Model(
        "bytedance/seededit-3.0-i2i",
        "image",
        1,
        1,
        1,
        63_000,
        default_ratio=None,
        options={
            "size": text(),
            "response_format": _URL_OR_B64,
            "guidance_scale": number(),
            "seed": integer(),
            "watermark": flag(),
        },
    ),
    _flux_kontext("kontext-pro", 84_000),
    _flux_kontext("kontext-max", 168_000),
    Model(
        "blackforestlabs/flux-2-edit",
        "image_urls",
        1,
        3,
        4,
        50_000,
        options={
            "image_size": size_or_name(),
            "output_format": _JPEG_OR_PNG,
            "guidance_scale": number(),
            "num_inference_steps": integer(1),
            "seed": integer(),
            "enable_safety_checker": flag(),
        },
    ),
    Model(
        "alibaba/qwen-image-edit",
        "image",
        1,
        1,
        1,
        63_000,
        default_ratio=None,
        options={"negative_prompt": text(), "watermark": flag()},
    ),
    Model(
        "alibaba/qwen-image-3-edit",
        "image_urls",
        1,
        3,
        4,
        73_500,
        max_prompt=800,
        options={
            "image_size": size_or_name(),
            "negative_prompt": text(),
            "output_format": _JPEG_OR_PNG,
            "seed": integer(),
        },
    ),
    Model(
        "reve/edit-image",
        "image_url",
        1,
        1,
        1,
        84_000,
        default_ratio=None,
        options={"convert_base64_to_url": flag()},
    ),
    Model(
        "reve/remix-edit-image",
        "image_urls",
        1,
        4,
        1,
        84_000,
        ratios=_ALL_RATIOS,
        options={"convert_base64_to_url": flag()},
    ),
    Model(
        "klingai/image-o1",
        "image_urls",
        1,
        10,
        9,
        58_800,
        ratios=_ALL_RATIOS,
        options={"resolution": text(), "output_format": text()},
    ),
)


def nearest_ratio(width: int, height: int, ratios: tuple[str, ...] = _ALL_RATIOS) -> str:
    """The listed ratio whose shape is nearest to `width` × `height` pixels."""
    wanted = width / height

    def distance(ratio: str) -> float:
        w, h = RATIO_SIZES[ratio]
        quotient = (w / h) / wanted
        return max(quotient, 1 / quotient)

    return min(ratios or _ALL_RATIOS, key=distance)
