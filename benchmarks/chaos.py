"""Kills one job over and over, and counts what was lost and what was paid twice.

``python -m benchmarks.chaos`` prints a table for docs/reliability.md; ``--write`` puts it there,
between the two marks. A hundred kills take some minutes. Exit code 1 if a promise was broken.

The pipeline is the real command; the endpoint is the emulator over HTTP on this machine, and its
bill decides. A second run of the same job, undisturbed, shows which picture belongs to which edit.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from pipeline.emulator.testing import RunningEmulator
from tests.chaos.killing import CONCURRENCY, Judgement, kill_and_judge
from tests.conftest import Shop

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
EDITS_A_KILL = 25


def table(found: Judgement) -> list[str]:
    """A Markdown table, a row a figure."""
    share = found.paid_twice / found.edits
    figures = {
        "kills (SIGKILL)": f"{found.kills:,}",
        "edits": f"{found.edits:,}",
        "requests that the endpoint met": f"{found.requests:,}",
        "edits with exactly one record": f"{found.records:,}",
        "**pictures lost, torn, or at the wrong edit**": f"**{found.lost:,}**",
        "requests under way when the process died": (
            f"{found.open_at_kills:,} (at most {found.most_open} at one kill)"
        ),
        "… of them visible as `unknown` afterwards": f"{found.unknown:,}",
        "… of them named and settled by `reconcile`": f"{found.reconciled:,}",
        "**paid twice**": (
            f"**{found.paid_twice:,}** (${found.paid_twice_usd:.2f}; {share:.1%} of the edits)"
        ),
        "asked again though it had succeeded": f"{found.asked_again:,}",
        "the endpoint's bill": f"${found.billed_usd:.3f}",
        "the ledger, after `reconcile`": f"${found.ledger_usd:.3f}",
    }
    rows = [f"| {name} | {text} |" for name, text in figures.items()]
    return ["| | |", "|---|---:|", *rows]


def measure(*, kills: int, edits: int, seed: int) -> Judgement:
    """One job in a folder of its own that is gone afterwards."""

    def told(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    settings = {"median_s": 0.05, "sigma": 0.8}
    endpoint = RunningEmulator(pictures="plain", latency=settings, seed=seed, balance_usd=1e6)
    control = RunningEmulator(pictures="plain", seed=seed, balance_usd=1e6)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return kill_and_judge(
                Shop(Path(folder) / "shop"),
                endpoint,
                control,
                edits=edits,
                kills=kills,
                seed=seed,
                told=told,
            )
    finally:
        endpoint.stop()
        control.stop()


def write(lines: list[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--kills", type=int, default=100, help="default: 100")
    parser.add_argument("--edits", type=int, help=f"default: {EDITS_A_KILL} for each kill")
    parser.add_argument("--seed", type=int, default=1, help="of the moments; default: 1")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    asked = parser.parse_args(arguments)
    # The emulator's server would tell of each upload that a kill cuts off.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    edits = asked.edits or asked.kills * EDITS_A_KILL
    found = measure(kills=asked.kills, edits=edits, seed=asked.seed)
    lines = [
        f"`python -m benchmarks.chaos --kills {asked.kills} --seed {asked.seed}`,"
        f" {CONCURRENCY} requests at once, {found.seconds:.0f} s:",
        "",
        *table(found),
    ]
    print("\n".join(lines))
    for problem in found.problems:
        print(f"BROKEN: {problem}", file=sys.stderr)
    if asked.write and not found.problems:
        write(lines)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
