"""``checks:`` of a job, and checks of the user's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import JobError
from pipeline.pictures.checks.custom import GROUP, NamedCheck, load_checks
from pipeline.pictures.checks.run import run_checks
from pipeline.pictures.checks.settings import NAMES, read_settings
from pipeline.pictures.checks.values import (
    CheckResult,
    CheckSettings,
    MinSize,
    NotBlank,
    NotDuplicate,
    Ratio,
)
from tests.pictures.check_samples import bytes_of, demo

DOCS = Path(__file__).parents[2] / "docs" / "checks.md"


def test_nothing_is_asked_for_by_default():
    assert read_settings({}) == CheckSettings()
    assert not CheckSettings().needs_inputs


def test_a_check_is_true_false_a_number_or_its_limits():
    assert read_settings(
        {
            "not_blank": True,
            "ratio": 0.1,
            "min_size": {"side": 900},
            "not_unchanged": False,
            "subject_kept": None,
            "not_duplicate": {"across_run": False},
            "custom": ["shop:logo"],
            "decodes": True,
        }
    ) == CheckSettings(
        not_blank=NotBlank(),
        ratio=Ratio(0.1),
        min_size=MinSize(900),
        not_duplicate=NotDuplicate(across_run=False),
        custom=("shop:logo",),
    )


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ({"not_blnk": True}, "checks: unknown check 'not_blnk' (did you mean 'not_blank'?)"),
        (
            {"text_absent": True},
            "checks: unknown check 'text_absent'; there are: decodes, min_size",
        ),
        ({"min_size": True}, "checks.min_size: say how much, as side: 1000"),
        ({"min_size": 0}, "side is 0; choose 1 to 16384"),
        ({"ratio": "loose"}, "checks.ratio: 'loose'; write true, a number, or its limits"),
        ({"ratio": {"tolerence": 1}}, "unknown key 'tolerence' (did you mean 'tolerance'?)"),
        ({"background_white": 98}, "share is 98; choose 0 to 1"),
        ({"background_white": {"tolerance": "x"}}, "checks.background_white: tolerance: Expected"),
        ({"subject_kept": {"unmeasured": "maybe"}}, "checks.subject_kept: unmeasured: Invalid"),
        ({"custom": 5}, "checks.custom: write a list of names"),
        ({"decodes": False}, "checks.decodes: always on"),
    ],
)
def test_mistakes_are_named_with_the_way_out(checks, message):
    with pytest.raises(JobError) as caught:
        read_settings(checks)
    assert message in str(caught.value)


def test_the_page_has_every_check_and_every_limit():
    page = DOCS.read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}`" in page
    for kind in (MinSize, NotBlank, NotDuplicate, Ratio):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in page


def test_the_settings_load_neither_numpy_nor_pillow():
    """A job file is read by commands that look at no picture."""
    code = (
        "import sys; import pipeline.pictures.checks.settings;"
        "sys.exit(bool({'numpy', 'PIL'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# The user's own.

MODULE = """
from pipeline.pictures.checks.values import CheckResult

def wide(picture):
    width, height = picture.size
    return CheckResult("wide", width, height, width > height, f"{picture.name} is {width} wide")

def both(picture):
    yield CheckResult("one", 1, 1, True, picture.asked_ratio)
    yield CheckResult("two", len(picture.inputs), 1, True, picture.variables["colour"])

def halfway(picture):
    yield CheckResult("one", 1, 1, True, "")
    raise RuntimeError("the model file is missing\\nand more")

def silent(picture):
    assert False

def wrong(picture):
    return True

class Shop:
    @staticmethod
    def grey(picture):
        return CheckResult("grey", float("nan"), None, picture.seen.mode == "RGB", "")

number = 5
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "shop_checks.py").write_text(MODULE)
    (tmp_path / "broken_checks.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop_checks", raising=False)
    return tmp_path


def results_of(*names, **more):
    custom = load_checks(names)
    return run_checks(CheckSettings(), bytes_of(demo("mug")), custom=custom, **more).results[1:]


def test_a_check_of_the_users_own_sees_the_picture_and_its_edit(module):
    names = ("shop_checks:wide", "shop_checks:both", "shop_checks:Shop.grey")
    wide, one, two, grey = results_of(
        *names, name="mug-1", asked_ratio="4:3", variables={"colour": "blue"}
    )
    assert wide == CheckResult("wide", 1080, 810, True, "mug-1 is 1080 wide")
    assert (one.message, two.message, two.value) == ("4:3", "blue", 0)
    assert (grey.passed, grey.value) == (True, None), "NaN is no value"


def test_inputs_are_read_for_custom_checks(module):
    settings = CheckSettings(custom=("shop_checks:both",))
    outcome = run_checks(
        settings,
        bytes_of(demo("mug")),
        inputs=[bytes_of(demo("vase"))],
        custom=load_checks(settings.custom),
        variables={"colour": ""},
    )
    assert outcome.results[2].value == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("halfway", "RuntimeError: the model file is missing"),
        ("silent", "AssertionError"),
        ("wrong", "TypeError: 'bool' object is not iterable"),
    ],
)
def test_a_check_that_fails_itself_turns_the_picture_down_and_nothing_else(module, name, why):
    result, after = results_of(f"shop_checks:{name}", "shop_checks:wide")
    assert result == CheckResult(name, None, None, False, f"could not be measured: {why}")
    assert after.name == "wide"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:check", "No module named 'no_such_module' (is it installed, or on"),
        ("broken_checks:check", "No module named 'no_such_library'"),
        ("shop_checks:wode", "has no attribute 'wode'"),
        ("shop_checks:number", "is int; it has to be a function"),
        ("logo_visible", "no installed package offers a check 'logo_visible' (there are: none)"),
    ],
)
def test_a_check_that_cannot_be_loaded_is_the_jobs_mistake(module, name, message):
    with pytest.raises(JobError) as caught:
        load_checks([name])
    assert message in str(caught.value)
    assert "checks.custom" in str(caught.value)


def test_installed_packages_offer_checks_by_name(module):
    info = module / "shop_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-checks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nwide = shop_checks:wide\n")
    [named] = load_checks(["wide"])
    assert isinstance(named, NamedCheck)
    assert named.name == "wide"
    with pytest.raises(JobError, match="there are: wide"):
        load_checks(["wode"])
