"""`pipeline quick`: one line makes a job of pictures, and the same line goes on with it."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipeline import quick_pictures
from pipeline.api import load_job, plan
from pipeline.errors import ConfigError, JobError
from pipeline.quick import default_folder, quick_job
from tests.conftest import MUG

Command = Callable[..., "CompletedProcess[str]"]

PROMPT = "Put it on white"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with three pictures in it and one deeper."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "old").mkdir(parents=True)
    for name in ("shoe-10.jpg", "shoe-2.jpg", "hat.JPG", "old/hat.jpg"):
        shutil.copyfile(MUG, folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_text("no picture")
    return folder


def rows(folder: Path) -> list[list[str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file)]


def quick(*images: str, out: Path | str = "out", prompt: str = PROMPT, **options: object) -> Path:
    return quick_job(images, prompt=prompt, out=out, **options).job  # type: ignore[arg-type]


# --- which pictures


def test_a_pattern_finds_pictures_in_natural_order(photos: Path) -> None:
    quick("photos/*")
    assert rows(Path("out")) == [
        ["id", "images"],
        ["hat", "hat.JPG"],
        ["shoe-2", "shoe-2.jpg"],
        ["shoe-10", "shoe-10.jpg"],
    ]


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (["photos"], 3),
        (["photos/"], 3),
        (["photos/**"], 4),
        (["photos/**/hat.*"], 2),
        (["photos/shoe-?.jpg", "photos/hat.JPG", "photos/*"], 3),
        (["photos/notes.txt"], 1),
        (["https://x.test/a.jpg", "photos/hat.JPG"], 2),
    ],
)
def test_files_folders_patterns_and_urls_are_pictures(
    photos: Path, images: list[str], count: int
) -> None:
    assert quick_job(images, prompt=PROMPT, out="out").pictures == count


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("photos/*.png", r"'photos/\*\.png': it matches no picture"),
        ("photos/*.txt", "there is 1 file that is none"),
        ("gone.jpg", "'gone.jpg': no such file or folder"),
        ("empty", r"the folder holds no picture \(for folders in it: empty/\*\*\)"),
        ("~nobody-of-that-name/a.jpg", "no such file or folder"),
        ("a" * 300, "File name too long"),
    ],
)
def test_nothing_found_is_an_error_that_names_the_pattern(
    photos: Path, image: str, said: str
) -> None:
    Path("empty").mkdir()
    with pytest.raises(ConfigError, match=said):
        quick(image)
    assert not Path("out").exists()


def test_a_name_with_wild_cards_in_it_is_that_file(photos: Path) -> None:
    shutil.copyfile(MUG, photos / "shoe [2].jpg")
    quick("photos/shoe [2].jpg")
    found = plan("out/job.yaml")
    assert (found.new, found.problems) == (1, ())


def test_pictures_of_the_same_name_get_ids_of_their_own(photos: Path) -> None:
    quick("photos/**/hat*")
    assert {row[0].lower() for row in rows(Path("out"))[1:]} == {"hat", "hat-2"}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_followed_and_gives_its_name(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    shutil.copyfile(MUG, tmp_path / "store" / "8f3a.jpg")
    (photos / "boot.jpg").symlink_to(tmp_path / "store" / "8f3a.jpg")
    quick("photos/boot.jpg", "photos/hat.JPG")
    assert rows(Path("out"))[1:] == [["boot", "store/8f3a.jpg"], ["hat", "photos/hat.JPG"]]
    assert plan("out/job.yaml").problems == ()


def test_too_many_pictures_are_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_pictures, "MAX_PICTURES", 2)
    with pytest.raises(ConfigError, match="more than 2 pictures"):
        quick("photos")


# --- what is written


def test_pictures_are_referred_to_and_nothing_above_them_is_opened(photos: Path) -> None:
    job = load_job(quick("photos/old/hat.jpg", "photos/shoe-2.jpg"))
    assert job.inputs.root == photos
    assert job.outputs.directory == Path("out").absolute()
    assert sorted(path.name for path in Path("out").iterdir()) == ["job.yaml", "manifest.csv"]


@pytest.mark.skipif(os.name == "nt", reason="drives")
def test_a_whole_disk_is_not_opened(photos: Path, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or tmp_path.is_relative_to(elsewhere):
        pytest.skip("no second top folder to write to")
    other = elsewhere / f"quick-{os.getpid()}.jpg"
    shutil.copyfile(MUG, other)
    try:
        with pytest.raises(ConfigError, match="does not open a whole disk"):
            quick("photos/hat.JPG", str(other))
    finally:
        other.unlink()


def test_the_options_are_the_jobs(photos: Path) -> None:
    prompt = 'Say "hello": {{ id }} # 50 %\nin ünïcode 🙂'
    job = load_job(
        quick(
            "photos",
            prompt=prompt,
            model="google/nano-banana-edit",
            parameters={"num_images": "2"},
            max_cost_usd=2.5,
            concurrency=3,
        )
    )
    assert job.prompt == prompt
    assert job.endpoint.model == "google/nano-banana-edit"
    assert job.parameters == {"num_images": "2"}
    assert (job.budget.run_usd, job.limits.concurrency) == (2.5, 3)
    assert plan(job).pictures == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": " "}, "--prompt: it is empty"),
        ({"prompt": "{{ id"}, "--prompt: the template"),
        (
            {"prompt": "a {{ nmae }}"},
            "--prompt: the template's 'nmae' is not defined; there are id",
        ),
        ({"prompt": "a\x00b"}, "which no text has"),
        ({"model": "gogle/nano-banana-edit"}, "did you mean 'google/nano-banana-edit'"),
        ({"parameters": {"sed": "1"}}, "--parameter: .*takes no 'sed'"),
    ],
)
def test_what_could_not_run_is_not_written(
    photos: Path, options: dict[str, object], said: str
) -> None:
    with pytest.raises((ConfigError, JobError), match=said):
        quick("photos", **options)  # type: ignore[arg-type]
    assert not Path("out").exists()


def test_a_prompt_has_its_folder() -> None:
    folder = default_folder("Put the {{ id }} on pure, white ground please, now")
    assert folder.parent == Path("outputs")
    assert folder.name.startswith("put-the-id-on-pure-white-")
    assert default_folder("Put it!") != default_folder("Put it?")
    assert default_folder("白い背景").name.startswith("白い背景-")
    assert default_folder("🙂").name.startswith("quick-")


def test_the_folder_that_the_docs_show_is_the_one_that_is_made() -> None:
    page = (Path(__file__).parent.parent / "docs" / "quick.md").read_text(encoding="utf-8")
    assert f"{default_folder('Put it on a pure white background').as_posix()}/\n" in page


# --- the same line again


def done(folder: str = "out") -> None:
    """As if a run had begun."""
    (Path(folder) / "ledger.db").touch()


def test_the_same_again_changes_nothing(photos: Path) -> None:
    job = quick("photos")
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    done()
    again = quick_job(["photos/*"], prompt=PROMPT, out="out")
    assert (again.job, again.pictures, again.added) == (job, 3, 0)
    assert before.items() <= {p: p.stat().st_mtime_ns for p in Path("out").iterdir()}.items()


def test_new_pictures_are_added_and_the_others_keep_their_ids(photos: Path, tmp_path: Path) -> None:
    quick("photos")
    done()
    (tmp_path / "more").mkdir()
    shutil.copyfile(MUG, tmp_path / "more" / "hat.jpg")
    again = quick_job(["more", "photos"], prompt=PROMPT, out="out")
    assert (again.pictures, again.added) == (4, 1)
    assert rows(Path("out"))[1:] == [
        ["hat", "photos/hat.JPG"],
        ["shoe-2", "photos/shoe-2.jpg"],
        ["shoe-10", "photos/shoe-10.jpg"],
        ["hat-2", "more/hat.jpg"],
    ]
    assert load_job("out/job.yaml").inputs.root == tmp_path


@pytest.mark.parametrize(
    ("images", "options", "said"),
    [
        ("photos", {"prompt": "Other"}, "the prompt there is 'Put it on white'"),
        ("photos", {"model": "google/nano-banana-edit"}, "the model there is google/gemini"),
        ("photos", {"parameters": {"num_images": "2"}}, "the parameters there are {}"),
        ("photos/shoe*", {}, r"1 of its 3 pictures are not among these 2 \(hat\.JPG\)"),
        ("photos/old", {}, "3 of its 3 pictures are not among these 1"),
    ],
)
def test_another_job_into_the_same_folder_is_refused_with_what_differs(
    photos: Path, images: str, options: dict[str, object], said: str
) -> None:
    quick("photos")
    done()
    with pytest.raises(ConfigError, match=said) as caught:
        quick(images, **options)  # type: ignore[arg-type]
    assert "another --out" in str(caught.value)
    assert "pipeline run out/job.yaml" in str(caught.value).replace(os.sep, "/")


def test_a_job_that_was_never_run_may_be_said_anew(photos: Path) -> None:
    quick("photos")
    assert load_job(quick("photos/shoe*", prompt="Other")).prompt == "Other"
    assert len(rows(Path("out"))) == 3


def test_limits_may_change(photos: Path) -> None:
    quick("photos", max_cost_usd=1)
    done()
    job = load_job(quick("photos", max_cost_usd=5, concurrency=2))
    assert (job.budget.run_usd, job.limits.concurrency) == (5, 2)
    assert load_job(quick("photos")).budget.run_usd == 5
    assert load_job(quick("photos", max_cost_usd=1234567.891)).budget.run_usd == 1234567.891


def test_what_a_person_changed_is_not_written_over(photos: Path) -> None:
    job = quick("photos")
    job.write_text(job.read_text() + "confirm_above_usd: 3\n")
    assert quick_job(["photos"], prompt=PROMPT, out="out").added == 0
    with pytest.raises(ConfigError, match=r"job\.yaml was changed by hand"):
        quick("photos", concurrency=2)
    manifest = Path("out/manifest.csv")
    for text in ("id,images,prompt\nhat,hat.JPG,mine\n", ""):
        manifest.write_text(text)
        with pytest.raises(ConfigError, match=r"manifest\.csv was changed by hand"):
            quick("photos")


# --- the command


def test_one_line_edits_a_folder_and_the_same_line_goes_on(photos: Path, command: Command) -> None:
    line = ["quick", "--images", "photos/*", "--prompt", PROMPT, "--out", "white", "--rehearse"]
    first = command(*line, "--limit", "1")
    assert first.returncode == 0, first.stderr
    assert "Wrote white/job.yaml, with 3 pictures." in first.stderr.replace(os.sep, "/")
    second = command(*line)
    assert second.returncode == 0
    assert "Going on with" in second.stderr
    assert "3 pictures, none new." in second.stderr
    images = Path("white-rehearsal/images")
    assert sorted(path.stem for path in images.iterdir()) == ["hat", "shoe-10", "shoe-2"]
    other = command(*line[:4], "Other", *line[5:])
    assert other.returncode == 2
    assert "the prompt there is" in other.stderr


def test_what_a_shell_makes_of_a_pattern_is_understood(photos: Path, command: Command) -> None:
    found = ["photos/hat.JPG", "photos/shoe-2.jpg", "photos/shoe-10.jpg"]
    ended = command("quick", "--images", *found, "--prompt", PROMPT, "--rehearse", "--json")
    assert ended.returncode == 0, ended.stderr
    assert '"succeeded":3' in ended.stdout.replace(" ", "")
    (folder,) = Path("outputs").glob("*-rehearsal")
    assert len(list((folder / "images").iterdir())) == 3


def test_the_real_thing_needs_a_key(photos: Path, command: Command) -> None:
    ended = command("quick", "--images", "photos", "-p", PROMPT, "--yes")
    assert ended.returncode == 2
    assert "AIMLAPI_API_KEY" in ended.stderr
