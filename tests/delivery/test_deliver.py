"""Pictures for a shop: what is delivered, what it is called, and how the folder changes."""

import asyncio
import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

import pipeline
from pipeline.delivery import DeliveryResult, DeliverySettings
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, IncompleteError, LockedError
from tests.conftest import Shop, command_line, environment
from tests.rendering.making import SMALL, decide, files, last_line, run
from tests.test_command import until

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}
ONE = {"renditions": {"one": SMALL}}
URL = "https://cdn.example.com/a b"

ROWS = '''id,images,num_images,SKU,Product,Alt
mug,mug.jpg,2,MUG,Blue mug,A mug
side,mug.jpg,1,MUG,Blue mug,"A mug, from the side"
lamp,mug.jpg,1,LAMP,Red lamp,"A ""lamp"""
'''


@pytest.fixture
def sold(shop: Shop, emulator: Emulators) -> Shop:
    """A shop with four pictures of two products."""
    assert run(shop.write(ROWS, **ONE), emulator(**PLAIN)).exit_code == 0
    return shop


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "public" / "amazon"


def deliver(
    shop: Shop, to: Path, *, presets: tuple[str, ...] = (), dry_run: bool = False, **settings: Any
) -> DeliveryResult:
    return asyncio.run(
        pipeline.deliver(
            shop.job, to, presets=presets, dry_run=dry_run, settings=DeliverySettings(**settings)
        )
    )


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def checked(folder: Path) -> None:
    """The sums, by the programs that they are for."""
    for program, sums in (("md5sum", "MD5SUMS"), ("sha256sum", "SHA256SUMS")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there")
        done = subprocess.run(
            [program, "--check", "--strict", "--quiet", sums], cwd=folder, capture_output=True
        )
        assert done.returncode == 0, done
        named = {line.split("  ", 1)[1] for line in (folder / sums).read_text().splitlines()}
        assert named | {"MD5SUMS", "SHA256SUMS"} == {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_pictures_are_numbered_by_product_in_the_manifests_order(sold: Shop, to: Path) -> None:
    found = deliver(sold, to, feeds=("csv",))
    assert (found.products, found.pictures, found.delivery) == (2, 4, "0001")
    assert files(to) == ["LAMP-1.jpg", "MUG-1.jpg", "MUG-2.jpg", "MUG-3.jpg"]
    checked(to)
    listed = {row["file"]: row["id"] for row in table(to / "pictures.csv")}
    assert listed == {
        "MUG-1.jpg": "mug",
        "MUG-2.jpg": "mug",
        "MUG-3.jpg": "side",
        "LAMP-1.jpg": "lamp",
    }
    source = sold.outputs / "renditions" / "one" / "side.jpg"
    assert (to / "MUG-3.jpg").read_bytes() == source.read_bytes()


def test_nobody_sees_renditions_change_through_a_delivery(sold: Shop, to: Path) -> None:
    """A file that is edited in the delivered folder is not the rendition."""
    deliver(sold, to)
    source = sold.outputs / "renditions" / "one" / "lamp.jpg"
    before = source.read_bytes()
    with (to / "LAMP-1.jpg").open("r+b") as file:
        file.write(b"edited in place")
    assert source.read_bytes() == before


def test_the_same_again_changes_nothing(sold: Shop, to: Path) -> None:
    deliver(sold, to, feeds=("csv",))
    before = to.readlink()
    again = deliver(sold, to, feeds=("csv",))
    assert (again.switched, again.new, again.delivery) == (False, 0, "0001")
    assert to.readlink() == before


def test_only_what_is_new_is_written(sold: Shop, to: Path) -> None:
    deliver(sold, to)
    kept = (to / "MUG-1.jpg").stat().st_ino
    decide(sold, lamp="rejected")
    second = deliver(sold, to)
    assert (second.delivery, second.previous, second.switched) == ("0002", "0001", True)
    assert (second.new, second.unchanged, second.removed) == (2, 3, 1)  # the sums are new
    assert files(to) == ["MUG-1.jpg", "MUG-2.jpg", "MUG-3.jpg"]
    assert (to / "MUG-1.jpg").stat().st_ino == kept
    checked(to)


def test_a_file_that_somebody_changed_is_written_anew(sold: Shop, to: Path) -> None:
    deliver(sold, to)
    (to / "LAMP-1.jpg").write_bytes(b"changed")
    second = deliver(sold, to)
    assert (second.switched, second.new) == (True, 1)
    checked(to)


def test_back_to_the_delivery_before(sold: Shop, to: Path, command: Command) -> None:
    deliver(sold, to)
    first = digests(to)
    decide(sold, lamp="rejected")
    deliver(sold, to)
    done = command("deliver", sold.job, "--to", to, "--rollback")
    assert done.returncode == 0, done.stderr
    assert "shows delivery 0001 again" in done.stdout
    assert digests(to) == first
    checked(to)
    again = command("deliver", sold.job, "--to", to, "--rollback")
    assert again.returncode == 2
    assert "there is no delivery before 0001" in again.stderr


def test_after_going_back_the_next_one_goes_back_to_what_was_seen(sold: Shop, to: Path) -> None:
    """Not to the one that was taken back."""
    deliver(sold, to)
    decide(sold, lamp="rejected")
    deliver(sold, to)
    pipeline.roll_back(sold.job, to)
    decide(sold, side="rejected")
    third = deliver(sold, to)
    assert (third.delivery, third.previous) == ("0003", "0001")
    assert pipeline.roll_back(sold.job, to).delivery == "0001"


def test_three_deliveries_are_kept(sold: Shop, to: Path) -> None:
    for number in range(5):
        deliver(sold, to, name=f"{{{{ id }}}}-{{{{ number }}}}-{number}")
    behind = to.parent / ".amazon.deliveries"
    folders = sorted(path.name for path in behind.iterdir() if path.is_dir())
    assert folders == ["0003", "0004", "0005"]
    log = [json.loads(line) for line in (behind / "log.jsonl").read_text().splitlines()]
    assert [entry["to"] for entry in log] == ["0001", "0002", "0003", "0004", "0005"]


def test_approved_ones_alone_once_anything_is_approved(sold: Shop, to: Path) -> None:
    assert deliver(sold, to).approved_only is False
    decide(sold, side="approved")
    found = deliver(sold, to)
    assert (found.approved_only, found.pictures, found.undecided) == (True, 1, 2)
    assert files(to) == ["MUG-1.jpg"]
    assert deliver(sold, to, undecided_too=True).pictures == 4


def test_approved_only_where_nobody_has_looked_is_refused(sold: Shop, to: Path) -> None:
    with pytest.raises(ConfigError, match="none of 3 edits is approved"):
        deliver(sold, to, approved_only=True)
    assert not to.exists()


def test_rejected_and_redone_pictures_are_not_delivered(sold: Shop, to: Path) -> None:
    decide(sold, mug="redo", lamp="rejected")
    deliver(sold, to)
    assert files(to) == ["MUG-1.jpg"]


def test_a_preset_that_the_job_does_not_have_is_rendered_for_it(sold: Shop, to: Path) -> None:
    deliver(sold, to, presets=("web-320",))
    assert files(to) == ["LAMP-1.webp", "MUG-1.webp", "MUG-2.webp", "MUG-3.webp"]


def test_only_what_is_delivered_is_rendered_for_it(sold: Shop, to: Path) -> None:
    found = deliver(sold, to, presets=("web-320",), only=("l*",))
    assert (found.pictures, files(to)) == (1, ["LAMP-1.webp"])
    assert files(sold.outputs / "renditions" / "web-320") == ["lamp.webp"]


def test_a_dry_run_writes_nothing(sold: Shop, to: Path) -> None:
    would = deliver(sold, to, dry_run=True, feeds=("csv",))
    assert (would.new, would.unchanged, would.dry_run) == (4, 0, True)
    assert not to.parent.exists()
    deliver(sold, to)
    decide(sold, lamp="rejected")
    would = deliver(sold, to, dry_run=True)
    assert (would.new, would.unchanged, would.removed) == (0, 3, 1)
    assert to.readlink().name.endswith("0001")


def test_a_shopify_feed(sold: Shop, to: Path) -> None:
    deliver(sold, to, feeds=("shopify",), base_url=URL, alt_text="{{ alt }}")
    found = table(to / "shopify.csv")
    assert list(found[0]) == [
        *("Handle", "Title", "Image Src"),
        *("Image Position", "Image Alt Text"),
    ]
    assert [row["Handle"] for row in found] == ["mug", "mug", "mug", "lamp"]
    assert [row["Title"] for row in found] == ["Blue mug", "", "", "Red lamp"]
    assert [row["Image Position"] for row in found] == ["1", "2", "3", "1"]
    assert found[2]["Image Alt Text"] == "A mug, from the side"
    assert found[3]["Image Alt Text"] == 'A "lamp"'
    assert found[0]["Image Src"] == "https://cdn.example.com/a b/MUG-1.jpg"


def test_a_google_feed(sold: Shop, to: Path) -> None:
    deliver(
        sold,
        to,
        feeds=("google",),
        base_url="https://cdn.example.com/",
        name="{{ sku }},{{ number }}",
    )
    mug, lamp = table(to / "google.txt", "\t")
    more = "https://cdn.example.com/MUG%2C2.jpg,https://cdn.example.com/MUG%2C3.jpg"
    assert mug == {
        "id": "MUG",
        "image_link": "https://cdn.example.com/MUG%2C1.jpg",
        "additional_image_link": more,
    }
    assert (lamp["id"], lamp["additional_image_link"]) == ("LAMP", "")
    assert '"' not in (to / "google.txt").read_text()


def test_an_amazon_feed(sold: Shop, to: Path) -> None:
    deliver(sold, to, feeds=("amazon",), base_url="https://cdn.example.com/x")
    mug, lamp = table(to / "amazon.txt", "\t")
    assert (mug["item_sku"], mug["update_delete"]) == ("MUG", "PartialUpdate")
    assert mug["main_image_url"] == "https://cdn.example.com/x/MUG-1.jpg"
    assert mug["other_image_url2"] == "https://cdn.example.com/x/MUG-3.jpg"
    assert (mug["other_image_url8"], lamp["other_image_url1"]) == ("", "")


def test_more_pictures_than_a_feed_takes_are_said(
    shop: Shop, emulator: Emulators, to: Path
) -> None:
    rows = "".join([f"e{n},mug.jpg,X\n" for n in range(12)])
    run(shop.write(f"id,images,sku\n{rows}", **ONE), emulator(**PLAIN))
    found = deliver(shop, to, feeds=("amazon", "google"), base_url="https://example.com")
    assert len(found.notes) == 2
    assert "amazon: 3 pictures are not in the feed" in found.notes[0]
    assert "google: 1 pictures are not in the feed" in found.notes[1]
    assert len(files(to)) == 12


HOSTILE = [
    *("../../x", "a/b", "con", "=1+1", "ä ö", "日本", "x\u202ey", "-rf", "a;b|c", "a" * 300, "%2e"),
]


def test_hostile_skus_stay_in_the_folder_and_exact_in_the_feed(
    shop: Shop, emulator: Emulators, to: Path
) -> None:
    import io

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "images", "sku"])
    writer.writerows([[f"e{n}", "mug.jpg", sku] for n, sku in enumerate(HOSTILE)])
    run(shop.write(text.getvalue(), **ONE), emulator(**PLAIN))
    found = deliver(shop, to, feeds=("csv", "amazon"), base_url="https://example.com/p")
    assert found.products == len(HOSTILE)
    assert [row["sku"] for row in table(to / "pictures.csv")] == HOSTILE
    assert [row["item_sku"] for row in table(to / "amazon.txt", "\t")] == HOSTILE
    assert len(files(to)) == len(HOSTILE)
    assert not any("/" in name for name in files(to))
    for row in table(to / "pictures.csv"):
        assert re.fullmatch(r"https://example\.com/p/[\w.~%-]+", row["url"], re.ASCII)
    checked(to)


def test_two_products_of_one_name_are_refused(shop: Shop, emulator: Emulators, to: Path) -> None:
    run(shop.write("id,images,sku\na,mug.jpg,A/B\nb,mug.jpg,a_b\n", **ONE), emulator(**PLAIN))
    with pytest.raises(ConfigError, match=r"a_b-1.jpg is what a picture of a \(product 'A/B'\)"):
        deliver(shop, to)
    assert not to.exists()


def test_a_name_that_leads_out_is_refused(sold: Shop, to: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a file's name"):
        deliver(sold, to, name="../{{ sku }}-{{ number }}")
    with pytest.raises(ConfigError, match="'skuu' is not defined"):
        deliver(sold, to, name="{{ skuu }}")
    with pytest.raises(ConfigError, match="there is no column 'ean'"):
        deliver(sold, to, sku="ean")
    assert not to.parent.exists()


def test_a_feed_without_an_address_is_refused(sold: Shop, to: Path) -> None:
    with pytest.raises(ConfigError, match="needs --base-url"):
        deliver(sold, to, feeds=("google",))
    with pytest.raises(ConfigError, match="is no address"):
        deliver(sold, to, feeds=("google",), base_url="ftp://example.com")


def test_a_picture_that_is_missing_switches_nothing(sold: Shop, to: Path) -> None:
    deliver(sold, to)
    before = digests(to)
    (sold.outputs / "images" / "lamp.png").unlink()
    (sold.outputs / "renditions" / "one" / "lamp.jpg").unlink()
    with pytest.raises(IncompleteError, match=r"shop.csv:4: lamp: images/lamp.png: is not there"):
        deliver(sold, to)
    assert digests(to) == before


@pytest.mark.parametrize("kind", ["full", "file", "link", "other job", "foreign state"])
def test_what_is_not_ours_is_not_replaced(
    sold: Shop, to: Path, kind: str, tmp_path: Path, emulator: Emulators
) -> None:
    to.parent.mkdir()
    behind = to.parent / ".amazon.deliveries"
    if kind == "full":
        to.mkdir()
        (to / "precious").write_text("x")
    elif kind == "file":
        to.write_text("x")
    elif kind == "link":
        to.symlink_to(tmp_path)
    elif kind == "foreign state":
        behind.mkdir()
        (behind / "precious").write_text("x")
    else:
        other = Shop(tmp_path / "second")
        run(other.write(ROWS, name="second", **ONE), emulator(**PLAIN))
        deliver(other, to)
    before = digests(to.parent)
    with pytest.raises(ConfigError, match=r"choose another --to"):
        deliver(sold, to)
    assert digests(to.parent) == before


def test_an_empty_folder_is_taken(sold: Shop, to: Path) -> None:
    to.mkdir(parents=True)
    assert deliver(sold, to).switched
    assert to.is_symlink()


def test_two_deliveries_at_once_are_refused(sold: Shop, to: Path) -> None:
    deliver(sold, to)
    with (
        filelock.FileLock(to.parent / ".amazon.deliveries" / "lock"),
        pytest.raises(LockedError, match="another delivery to it is going on"),
    ):
        deliver(sold, to)


def test_whoever_reads_never_sees_half_a_delivery(sold: Shop, to: Path) -> None:
    """While deliveries are switched, the sums of what is opened once always hold."""
    deliver(sold, to, name="{{ sku }}-{{ number }}")
    seen: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            folder = os.open(to, os.O_RDONLY)
            try:
                names = sorted(os.listdir(folder))  # noqa: PTH208 - of what was opened
                seen.append(",".join(names))
            finally:
                os.close(folder)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(6):
            deliver(sold, to, name=f"{'ab'[number % 2]}{{{{ sku }}}}-{{{{ number }}}}")
            looked = len(seen)
            until(lambda looked=looked: len(seen) > looked, seconds=60)  # type: ignore[misc]
    finally:
        done.set()
        reader.join()
    assert len(seen) >= 6
    whole = {"", "a", "b"}
    wanted = {
        ",".join(sorted(["MD5SUMS", "SHA256SUMS", *[f"{p}{n}.jpg" for n in NAMES]])) for p in whole
    }
    assert set(seen) <= wanted


NAMES = ("LAMP-1", "MUG-1", "MUG-2", "MUG-3")


DIES = """
import os, signal, sys

event, _, text = os.environ["DIES_AT"].partition(" ")

def hook(name, values):
    if name == event and any(text in str(value) for value in values):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
"""
"""`sitecustomize` of a process that dies just before it does something to a certain file."""


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("os.mkdir .staging-", "0001"),
        ("open nLAMP-1.jpg", "0001"),
        ("open SHA256SUMS", "0001"),
        ("os.rename .0002.json.", "0001"),
        ("os.rename .staging-", "0001"),
        ("os.symlink 0002", "0001"),
        ("os.rename .link-", "0001"),
        ("open log.jsonl", "0002"),
    ],
)
def test_killed_at_any_moment_there_is_one_whole_delivery(
    sold: Shop, to: Path, tmp_path: Path, moment: str, shown: str
) -> None:
    """And the next delivery works, and leaves nothing of the one that was cut off."""
    deliver(sold, to)
    behind = to.parent / ".amazon.deliveries"
    (tmp_path / "dies").mkdir()
    (tmp_path / "dies" / "sitecustomize.py").write_text(DIES)
    died = subprocess.run(
        command_line("deliver", sold.job, "--to", to, "--name", "n{{ sku }}-{{ number }}"),
        env=environment({"PYTHONPATH": str(tmp_path / "dies"), "DIES_AT": moment}),
        capture_output=True,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert to.readlink().name == shown
    checked(to)
    prefix = "" if shown == "0001" else "n"
    assert files(to) == [f"{prefix}{name}.jpg" for name in NAMES]
    found = deliver(sold, to, name="m{{ sku }}-{{ number }}")
    assert (found.switched, found.previous) == (True, shown)
    checked(to)
    before = {"0001"} if shown == "0001" else {"0001", "0002"}
    folders = {path.name for path in behind.iterdir() if path.is_dir()}
    assert folders == {found.delivery, *before}
    assert not [path for path in (*to.parent.iterdir(), *behind.iterdir()) if _begun(path)]


def _begun(path: Path) -> bool:
    return path.name.startswith(".staging-") or ".link-" in path.name or path.suffix == ".part"


def test_the_command(sold: Shop, to: Path, command: Command) -> None:
    done = command("deliver", sold.job, "--to", to, "--feed", "csv", "--alt-text", "{{ alt }}")
    assert done.returncode == 0, done.stderr
    assert "shows delivery 0001" in done.stdout
    assert "4 pictures of 2 products" in done.stdout
    found = last_line(command("deliver", sold.job, "--to", to, "--feed", "csv", "--json").stdout)
    assert (found["switched"], found["new"]) == (True, 3)  # the alt text is gone
    wrong = command("deliver", sold.job, "--to", to, "--feed", "shopfy")
    assert wrong.returncode == 2
    assert "did you mean 'shopify'?" in wrong.stderr
