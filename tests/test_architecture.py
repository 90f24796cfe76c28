"""The house as `docs/architecture.md` draws it: who may import whom, read from the code itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pipeline"

RANKS: dict[str, int] = {
    "errors": 0,
    "batching": 0,
    "durable": 0,
    "estimates": 0,
    "look": 0,
    "forecast": 0,
    "models": 1,
    "setbacks": 1,
    "manifest": 2,
    "pictures": 2,
    "planning": 2,
    "again": 2,
    "retries": 2,
    "watchdog": 2,
    "limits": 2,
    "budget": 2,
    "best_pictures": 2,
    "summary": 2,
    "cron": 2,
    "canary": 3,
    "attempts": 3,
    "backlog": 3,
    "job": 3,
    "endpoints": 4,
    "stores": 4,
    "ledger": 4,
    "exports": 4,
    "filling": 4,
    "targets": 4,
    "inputs": 5,
    "labelling": 5,
    "keeping": 5,
    "finishing": 5,
    "preview": 5,
    "quick": 5,
    "quick_pictures": 4,
    "engine": 5,
    "guards": 5,
    "locking": 5,
    "opening": 5,
    "pacing": 5,
    "caps": 5,
    "verdicts": 6,
    "worker": 7,
    "interruption": 6,
    "preflight": 6,
    "guard_rails": 6,
    "past_runs": 6,
    "rendering": 6,
    "exporting": 6,
    "snapshot": 6,
    "books": 6,
    "events": 7,
    "outcome": 7,
    "delivery": 7,
    "rechecking": 7,
    "repair": 7,
    "decisions": 7,
    "pulse": 8,
    "steering": 8,
    "run_options": 8,
    "publishing": 8,
    "follow_up": 9,
    "assembling": 8,
    "running": 9,
    "standing": 9,
    "notifying": 9,
    "terminal": 9,
    "rehearsal": 9,
    "gallery": 9,
    "metrics": 9,
    "scheduling": 10,
    "api": 11,
    "comparing": 12,
    "dashboard": 12,
    "cli": 13,
    "__main__": 14,
}
"""Every room of the package. A module imports only from lower ranks, or inside its own room."""

OUTSIDE = "emulator"
"""Has no rank: it imports nothing of the client side, and only these may import it."""
MAY_IMPORT_THE_EMULATOR = {"rehearsal", "cli"}

IMPLEMENTATIONS = {
    "pipeline.endpoints.aimlapi",
    "pipeline.stores.local",
    "pipeline.stores.remote",
    "pipeline.exports.results_csv",
    "pipeline.exports.results_jsonl",
    "pipeline.exports.dataframe",
    "pipeline.exports.results_parquet",
    "pipeline.exports.parquet_images",
    "pipeline.exports.webdataset_tar",
    "pipeline.exports.folder_metadata",
}
"""Behind a protocol of rank 4: none of them knows another."""

OPENED_BY_NAME = {"pipeline.endpoints", "pipeline.stores"}
"""Whoever wants one of these asks `open_…()`; nobody imports an implementation, but for:"""
KNOWN_BY_NAME = {
    ("pipeline.opening", "pipeline.endpoints.aimlapi"),  # `origin_of`, asked without a key
}

ONLY_IN = {
    "PIL": {"pictures", "emulator"},
    "pillow_heif": {"pictures", "emulator"},
    "pydantic": {"job"},
    "sqlite3": {"ledger", "exporting"},
    "typer": {"cli"},
    "pytest": {"emulator"},
}

LONGEST = 400
LONGER: dict[str, int] = {}
"""Lines; the exceptions are stated one by one."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    """``ledger`` for ``pipeline.ledger.writer``; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


@cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports, functions included, `if TYPE_CHECKING` not."""
    found = set()
    for node in nodes(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, module
            assert not node.level, f"{module}: imports here are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES or node.module == "pipeline" else node.module)
    return frozenset(found)


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for otherwise in child.orelse:
                yield from nodes(otherwise)
            continue
        yield child
        yield from nodes(child)


def test_every_module_has_a_rank() -> None:
    rooms = {room(module) for module in MODULES} - {"", OUTSIDE}
    assert rooms == RANKS.keys(), "a new module gets a line in RANKS and in docs/architecture.md"


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) not in ("", OUTSIDE)])
def test_imports_point_down(module: str) -> None:
    own = room(module)
    for name in imports(module):
        if not name.startswith("pipeline") or name == "pipeline.__version__":
            continue
        other = room(name)
        if other == OUTSIDE:
            assert own in MAY_IMPORT_THE_EMULATOR, f"{module} imports the emulator"
        elif other != own:
            assert RANKS[other] < RANKS[own], f"{module} (rank {RANKS[own]}) imports {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == OUTSIDE])
def test_the_emulator_knows_nothing_of_the_client(module: str) -> None:
    foreign = {name for name in imports(module) if name.startswith("pipeline")}
    assert all(room(name) == OUTSIDE for name in foreign), foreign


def test_the_package_itself_imports_the_api_and_that_on_first_use() -> None:
    assert {name for name in imports("pipeline") if name.startswith("pipeline")} == {"pipeline.api"}
    found = "import sys, pipeline, pipeline.job; print('pipeline.api' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", "nor does a submodule's import load it"


def test_every_public_name_is_there() -> None:
    import pipeline
    from pipeline import api

    assert api.__all__ == sorted(api.__all__)
    assert all(getattr(pipeline, name) is getattr(api, name) for name in api.__all__)
    assert set(api.__all__) <= set(dir(pipeline))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pipeline.nonsense


def test_implementations_do_not_know_each_other() -> None:
    assert MODULES.keys() >= IMPLEMENTATIONS
    for module in IMPLEMENTATIONS:
        assert not imports(module) & (IMPLEMENTATIONS - {module}), module


def test_implementations_are_opened_by_name() -> None:
    direct = {
        (module, name)
        for module in MODULES
        for name in imports(module) & IMPLEMENTATIONS
        if name.rpartition(".")[0] in OPENED_BY_NAME and room(module) != room(name)
    }
    assert direct == KNOWN_BY_NAME


def test_no_module_imports_itself_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path, module))
        if module not in done:
            for name in sorted(imports(module) & MODULES.keys() - {"pipeline"}):
                visit(name, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_room(library: str) -> None:
    users = {
        room(module)
        for module in MODULES
        if any(name.split(".")[0] == library for name in imports(module))
    }
    assert users <= ONLY_IN[library]


def test_modules_are_short() -> None:
    for path in MODULES.values():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        name = path.relative_to(ROOT).as_posix()
        assert lines <= LONGER.get(name, LONGEST), f"{name} has {lines} lines: split it"


def test_the_architecture_page_shows_these_ranks() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown: dict[str, int] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].isdigit():
            name = cells[2].strip("`").removesuffix(".py").rstrip("/")
            shown[name] = int(cells[1])
    assert shown == RANKS


@pytest.mark.parametrize("arguments", [["-c", "import pipeline"], ["-m", "pipeline", "--help"]])
def test_heavy_libraries_wait_until_they_are_used(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "pipeline" in loaded, "the list is there"
    heavy = {"aiohttp", "pydantic", "PIL", "jinja2", "pandas"}
    assert not loaded & heavy
