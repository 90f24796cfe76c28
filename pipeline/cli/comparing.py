"""`compare`: several models over the same edits, as figures, a page, and votes."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, JobFile, OfRehearsal

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.comparing import Comparison, VoteSummary
    from pipeline.estimates import Estimate

app = typer.Typer()


@app.command()
def compare(
    job: JobFile,
    page: Annotated[
        bool, typer.Option("--page", help="Also write a page: side by side, and a blind vote.")
    ] = False,
    votes: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Sum up these votes, exported from the page; repeat it."),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Write the page, and open it in the browser.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Compare the models of a job: outcome, cost, time, checks, and what people prefer."""
    from rich.console import Console

    from pipeline import api, comparing
    from pipeline.cli import words
    from pipeline.cli.bars import bar
    from pipeline.terminal.words import counted

    loaded = api.load_job(job)
    found = comparing.compare(loaded, rehearse=rehearse)
    cast = comparing.summed_up(comparing.read_votes(votes)) if votes else None
    written = None
    if page or open_:
        with ExitStack() as stack:
            observe = stack.enter_context(bar("edits"))
            written = comparing.write_page(loaded, rehearse=rehearse, observe=observe)
    if as_json:
        words.print_json(words.merged(found, votes=cast, page=written and written.index))
    else:
        console = Console(highlight=False)
        _print_figures(found, console)
        if cast is not None:
            _print_votes(cast, console)
        if written is not None:
            near = words.near(written.index)
            print(f"{near}\n  {counted(written.edits, 'edit')}, {written.votable:,} to vote on")
            option = " --rehearse" if rehearse else ""
            print(f"  next: vote, export, and: pipeline compare {job}{option} --votes votes.csv")
    if open_ and written is not None:
        import webbrowser

        webbrowser.open(written.index.resolve().as_uri())


def _print_figures(found: "Comparison", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from pipeline.terminal.words import clean, counted

    whole = f"{counted(found.common, 'edit')} that all models have had"
    if found.partial:
        whole += f"; {found.partial:,} that only some have had are left out"
    console.print(f"{clean(found.job)}: {whole}", soft_wrap=True)
    console.print()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for _ in found.models:
        table.add_column(justify="right", overflow="fold")
    rows: dict[str, list[str | Text]] = {}
    rows[""] = [Text(clean(m.name), style="bold") for m in found.models]
    rows["succeeded"] = [
        f"{m.succeeded:,} ({m.succeeded_share.low:.0%} to {m.succeeded_share.high:.0%})"
        for m in found.models
    ]
    for status in ("failed", "refused", "rejected", "unknown"):
        counts = [getattr(model, status) for model in found.models]
        if any(counts):
            rows[status] = [f"{count:,}" for count in counts]
    rows["an edit"] = [_dollars(m.cost_per_edit) for m in found.models]
    rows["a success"] = [_usd(m.cost_per_success) for m in found.models]
    rows["in all"] = [_usd(m.cost_usd) for m in found.models]
    rows["median"] = [_seconds(m.seconds_p50) for m in found.models]
    rows["95 % within"] = [
        "-" if m.seconds_p95 is None else f"{m.seconds_p95:,.1f} s" for m in found.models
    ]
    rows["attempts"] = [f"{m.attempts:.2f} an edit" for m in found.models]
    for part, title in (("failed_checks", "check"), ("reasons", "code"), ("reviewed", "people:")):
        for name in dict.fromkeys([name for m in found.models for name in getattr(m, part)]):
            counts = [getattr(m, part).get(name, 0) for m in found.models]
            rows[f"{title} {clean(name)}"] = [f"{count:,}" for count in counts]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)
    if any(model.uncosted for model in found.models):
        console.print("Nobody said what some edits cost: their sums are too low.", style="yellow")
    console.print()


def _print_votes(cast: "VoteSummary", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from pipeline.terminal.words import clean, counted

    voters = f" of {counted(cast.voters, 'person', 'people')}"
    left = f"; {cast.not_blind:,} not blind, left out" if cast.not_blind else ""
    console.print(
        f"{counted(cast.votes, 'blind vote')}{voters} on {counted(cast.edits, 'edit')}{left}",
        style="bold",
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    for one in cast.models:
        ties = f"{one.ties:,} ties, {one.none:,} none good"
        table.add_row(
            clean(one.model), f"{one.best:,} best", _share(one.share),
            Text(f"chance {one.chance:.0%}; {ties}", style="dim"),
        )  # fmt: skip
    for duel in cast.duels:
        verdict = "clear" if duel.clear else "could be chance"
        table.add_row(
            f"{clean(duel.first)} against {clean(duel.second)}", f"{duel.wins:,} : {duel.losses:,}",
            _share(duel.share), Text(verdict, style="green" if duel.clear else "dim"),
        )  # fmt: skip
    console.print(table)
    console.print()


def _share(found: "Estimate") -> str:
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"${amount:,.4f}"


def _dollars(found: "Estimate | None") -> str:
    return "-" if found is None else f"${found.value:,.4f}"


def _seconds(found: "Estimate | None") -> str:
    if found is None:
        return "-"
    return f"{found.value:,.1f} s ({found.low:,.1f} to {found.high:,.1f})"
