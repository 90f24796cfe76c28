"""The model catalog as data."""

import pytest

from pipeline.endpoints.catalog import all_parameter_names, load_catalog, model_spec
from pipeline.errors import JobError

# The provider's table: id, field, list, min, max, count field, most pictures.
TABLE = [
    ("google/gemini-2.5-flash-image-edit", "image_urls", True, 1, 3, "num_images", 4),
    ("google/nano-banana-edit", "image_urls", True, 0, 3, "num_images", 4),
    ("google/gemini-3-pro-image-edit", "image_urls", True, 1, 5, "num_images", 4),
    ("google/nano-banana-2", "image_urls", True, 0, 5, None, 1),
    ("bytedance/seedream-v4-edit", "image_urls", True, 1, 10, "num_images", 4),
    ("bytedance/seedream-4-5", "image_urls", True, 0, 14, None, 1),
    ("bytedance/seededit-3.0-i2i", "image", False, 1, 1, None, 1),
    ("flux/kontext-pro/image-to-image", "image_url", False, 1, 1, "num_images", 4),
    ("flux/kontext-max/image-to-image", "image_url", False, 1, 1, "num_images", 4),
    ("blackforestlabs/flux-2-edit", "image_urls", True, 1, 3, "num_images", 4),
    ("alibaba/qwen-image-edit", "image", False, 1, 1, None, 1),
    ("alibaba/qwen-image-3-edit", "image_urls", True, 1, 3, "num_images", 4),
    ("reve/edit-image", "image_url", False, 1, 1, None, 1),
    ("reve/remix-edit-image", "image_urls", True, 1, 4, None, 1),
    ("klingai/image-o1", "image_urls", True, 1, 10, "num_images", 9),
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_each_model_of_the_route_is_in_the_catalog(row: tuple[object, ...]) -> None:
    spec = model_spec(str(row[0]))
    assert row == (
        spec.id,
        spec.image_field,
        spec.image_list,
        spec.min_images,
        spec.max_images,
        spec.count_field,
        spec.max_count,
    )


def test_nothing_else_is_in_it() -> None:
    assert set(load_catalog()) == {row[0] for row in TABLE}


def test_the_missions_model_has_its_ratios_and_its_price() -> None:
    spec = model_spec("google/gemini-2.5-flash-image-edit")
    ratio = spec.parameters["aspect_ratio"]
    assert sorted(ratio.choices) == [
        *("16:9", "1:1", "21:9", "2:3", "3:2"),
        *("3:4", "4:3", "4:5", "5:4", "9:16"),
    ]
    assert ratio.default == "1:1"
    assert spec.price_usd == 0.042
    assert spec.count({"num_images": 3}) == 3


def test_ratios_are_text_though_yaml_would_read_some_as_numbers() -> None:
    for spec in load_catalog().values():
        for parameter in spec.parameters.values():
            assert all(isinstance(choice, str) for choice in parameter.choices)


def test_count_fields_are_parameters_with_a_range() -> None:
    count = model_spec("klingai/image-o1").parameters["num_images"]
    assert (count.type, count.minimum, count.maximum, count.default) == ("integer", 1, 9, 1)


def test_defaults_lie_in_their_choices_and_ranges() -> None:
    for spec in load_catalog().values():
        for name, parameter in spec.parameters.items():
            if parameter.default is not None and parameter.choices:
                assert parameter.default in parameter.choices, (spec.id, name)


def test_an_unknown_model_is_refused_with_the_nearest_and_all() -> None:
    with pytest.raises(JobError) as caught:
        model_spec("google/gemini-2.5-flash-image-edt")
    assert "did you mean 'google/gemini-2.5-flash-image-edit'?" in str(caught.value)
    assert "klingai/image-o1" in str(caught.value)


def test_all_parameter_names_know_every_models_options() -> None:
    assert {"num_images", "aspect_ratio", "negative_prompt", "image_size"} <= all_parameter_names()
    assert "prompt" not in all_parameter_names()
