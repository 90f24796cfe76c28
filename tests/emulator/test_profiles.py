"""Profiles: the shipped ones, files, overrides, and what is refused."""

import json

import pytest

from pipeline.emulator import Profile, ProfileError, load_profile
from pipeline.emulator.faultnames import FAULTS
from pipeline.emulator.profile import shipped_profiles


@pytest.mark.parametrize("name", ["calm", "demo", "realistic", "storm"])
def test_shipped_profiles_load(name):
    """By name, with a description for the person who chooses."""
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description


def test_what_is_shipped():
    """Exactly these."""
    assert shipped_profiles() == ["calm", "demo", "realistic", "storm"]


def test_calm_has_no_faults_and_storm_has_most():
    """The names keep their promise; the storm leaves out only what would stop or hang a run."""
    calm, storm = load_profile("calm"), load_profile("storm")
    assert not calm.faults
    assert not calm.script
    assert calm.latency.median_s == 0
    left_out = set(FAULTS) - set(storm.faults)
    assert left_out == {
        "no_credits",
        "model_withdrawn",
        "never_answers",
        "endless_body",
        "gzip_bomb",
        "no_op_edit",
        "blank_picture",
        "wrong_shape",
        "repeated_picture",
    }


def test_a_yaml_file_may_extend_a_shipped_profile(tmp_path):
    """Fields are merged where a setting has fields; maps of weights are replaced."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: storm\nlimits: {concurrency: 3}\nfaults: {status_500: 0.5}\n", encoding="utf-8"
    )
    profile, storm = load_profile(path), load_profile("storm")
    assert (profile.name, profile.limits.concurrency) == ("mine", 3)
    assert profile.limits.requests_per_minute == storm.limits.requests_per_minute
    assert profile.faults == {"status_500": 0.5}


def test_a_json_file_is_read_too(tmp_path):
    """The same settings in another notation."""
    path = tmp_path / "mine.json"
    rule = {"when": {"nth": 3}, "fault": "status_503", "times": 1}
    path.write_text(json.dumps({"payload": "url", "script": [rule]}), encoding="utf-8")
    profile = load_profile(str(path))
    assert profile.payload == "url"
    assert (profile.script[0].when.nth, profile.script[0].times) == (3, 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("latenzy: {}", "unknown setting 'latenzy' (did you mean 'latency'?)"),
        ("limits: {concurency: 3}", "unknown setting 'limits.concurency' (did you mean"),
        ("script: [{fault: status_500, wen: {}}]", "'script[0].wen' (did you mean 'when'?)"),
        ("script: [{fault: status_500, when: {prompt: x}}]", "'script[0].when.prompt'"),
        ("faults: {status_505: 0.1}", "unknown fault 'status_505' (did you mean 'status_50"),
        ("script: [{fault: boom}]", "script[0]: unknown fault 'boom'"),
        ("faults: {status_500: 1.5}", "<= 1"),
        ("faults: {status_500: 0.6, status_503: 0.6}", "add up to more than 1"),
        ("shapes: {choices: 0}", "at least one weight"),
        ("shapes: {circle: 1}", "circle"),
        ("payload: carrier pigeon", "carrier pigeon"),
        ("latency: {median_s: -1}", ">= 0"),
        ("latency: fast", "latency"),
        ("[1, 2]", "expected a mapping"),
        ("a: [", "cannot be read"),
        ("extends: stormy", "no profile 'stormy'"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place(tmp_path, text, complaint):
    """File, setting, and what was probably meant."""
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    assert complaint in str(caught.value)
    if "extends" not in text:
        assert "wrong.yaml" in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    """And guesses."""
    with pytest.raises(ProfileError, match=r"calm, demo, realistic, storm.*did you mean 'storm'"):
        load_profile("strom")


def test_overrides_are_checked_like_files():
    """Keywords and run-time changes go through the same door."""
    with pytest.raises(ProfileError, match="did you mean 'payload'"):
        Profile().with_overrides({"paylod": "url"})


def test_plain_settings_do_not_show_the_key():
    """Even the emulator's own key is not printed."""
    assert Profile(accepted_key="sesame").to_json()["accepted_key"] == "***"
