"""The built wheel, in an environment of its own, outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's contents, as an installer unpacks them."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_alone_can_begin_and_rehearse(installed: Path, tmp_path: Path) -> None:
    def python(*arguments: str) -> str:
        # Isolated from the checkout: the wheel's folder first, then what it depends on.
        path = os.pathsep.join([str(installed), sysconfig.get_path("purelib")])
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    assert str(installed) in python("-c", "import pipeline; print(pipeline.__file__)")
    python("-m", "pipeline", "init", "shop")
    done = python("-m", "pipeline", "run", "shop/jobs/catalog.yaml", "--rehearse")
    assert "2 succeeded" in done


def test_the_wheel_holds_its_data_and_nothing_else(installed: Path) -> None:
    names = {path.relative_to(installed).as_posix() for path in installed.rglob("*")}
    for needed in (
        "pipeline/py.typed",
        "pipeline/endpoints/catalog.yaml",
        "pipeline/emulator/profiles/demo.yaml",
        "pipeline/cli/start/jobs/catalog.yaml",
        "pipeline/cli/start/manifests/mug.jpg",
    ):
        assert needed in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "pipeline",
        "image_edit_pipeline",
    }
