"""What a plan makes, as a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.terminal.words import clean, counted, dollars

if TYPE_CHECKING:
    from pipeline.preview import Plan
    from pipeline.preview.made import Made, Row
    from pipeline.targets.missing import TargetPlan

ROWS_SHOWN = 12
EXAMPLE_LONGEST = 300


def print_made(plan: "Plan", console: Console) -> None:
    """The table of what will be made, and examples of its prompts."""
    made = plan.made
    if made is None or not (made.by_set or made.by_prompt):
        return
    console.print()
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row(*[Text(name, style="dim") for name in ("to ask", "of edits", "")])
    for title, rows, count in _parts(made):
        table.add_row("", "", Text(title, style="bold"))
        for row in rows[:ROWS_SHOWN]:
            style = "" if row.to_ask else "dim"
            table.add_row(
                Text(f"{row.to_ask:,}", style=style),
                Text(f"{row.edits:,}", style="dim"),
                Text(clean(row.name), style=style),
            )
        if count > ROWS_SHOWN:
            rest = f"and {count - ROWS_SHOWN:,} more (--json has the first 200)"
            table.add_row("", "", Text(rest, style="dim"))
    console.print(table)
    if made.examples:
        console.print()
        console.print("examples", style="bold")
        for example in made.examples:
            text = clean(" ".join(example.prompt.split()))
            if len(text) > EXAMPLE_LONGEST:
                text = f"{text[: EXAMPLE_LONGEST - 1]}…"
            line = Text(f"  {clean(example.id)}: ", style="dim")
            console.print(line.append(text, style="not dim"), soft_wrap=not console.is_terminal)


def _parts(made: "Made") -> Iterator[tuple[str, Sequence["Row"], int]]:
    """Titles with their rows. Of many sets that are all alike, a line says as much as a table."""
    sizes = {(row.edits, row.to_ask) for row in made.by_set}
    if made.sets > ROWS_SHOWN and len(sizes) == 1:
        [(edits, to_ask)] = sizes
        asked = "" if to_ask == edits else f", {to_ask:,} of them to ask"
        yield f"{counted(made.sets, 'image set')}, {counted(edits, 'edit')} each{asked}", (), 0
    else:
        yield f"by image set ({made.sets:,})", made.by_set, made.sets
    if made.prompts > 1 or made.by_set != made.by_prompt:
        yield f"by prompt ({made.prompts:,})", made.by_prompt, made.prompts
    if made.by_parameter:
        yield "by parameter", made.by_parameter, len(made.by_parameter)


def print_sum(plans: Sequence["Plan"]) -> None:
    """Of all models together."""
    requests = sum([plan.requests for plan in plans])
    costs = [plan.cost_usd for plan in plans]
    known = [cost for cost in costs if cost is not None]
    usd = dollars(sum(known)) if known else "price unknown"
    if 0 < len(known) < len(costs):
        usd += f" without {counted(len(costs) - len(known), 'model')} of unknown price"
    console = Console(highlight=False)
    of = counted(len(plans), "model")
    console.print(f"\n{of}: {counted(requests, 'request')}, {usd}", style="bold", soft_wrap=True)


def print_target(target: "TargetPlan", console: Console) -> None:
    """What is missing, and between which bounds that lies."""
    of_each = f" for each of {target.groups:,} values of {target.per}" if target.per else ""
    console.print(
        f"target: {target.wanted:,} accepted{of_each}; {target.accepted:,} are,"
        f" {target.missing:,} missing",
        soft_wrap=not console.is_terminal,
    )
    if target.missing:
        usd = "" if target.most_usd is None else f", {dollars(target.most_usd)}"
        console.print(
            f"  if everything passes {counted(target.fewest_requests, 'request')}; if nothing does,"
            f" {counted(target.most_requests, 'request')}{usd} at most, unless a budget ends it",
            style="dim",
            soft_wrap=not console.is_terminal,
        )
