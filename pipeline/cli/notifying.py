"""`notify`: who is told of a job's runs, and whether a message arrives."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import AsJson, JobFile

app = typer.Typer()


@app.command()
def notify(
    job: JobFile,
    test: Annotated[
        bool, typer.Option("--test", help="Send everybody a test message, and say what became.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say who is told of this job's runs, and of which problems they know; or try it."""
    if test:
        _try(job, as_json)
    else:
        _show(job, as_json)


def _try(job: Path, as_json: bool) -> None:
    import asyncio

    from rich.console import Console
    from rich.text import Text

    from pipeline.cli.words import print_json
    from pipeline.notifying import notify_test
    from pipeline.terminal.words import clean

    found = asyncio.run(notify_test(job))
    if as_json:
        print_json(found)
    else:
        console = Console(highlight=False, soft_wrap=True)
        for one in found:
            sent = Text("sent    ", style="green")
            words = Text("not sent", style="red") if one.trouble else sent
            console.print(Text.assemble("  ", words, f"  {clean(one.to)}"))
            if one.trouble:
                console.print(Text(f"            {clean(one.trouble)}", style="yellow"))
    if any(one.trouble for one in found):
        raise typer.Exit(2)


def _show(job: Path, as_json: bool) -> None:
    import time

    import msgspec
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline import api
    from pipeline.cli.words import print_json
    from pipeline.job import read_variable
    from pipeline.job.design import single_jobs, split_model
    from pipeline.notifying.memory import read
    from pipeline.preview import ledger_path
    from pipeline.terminal.words import clean, time_of_day

    loaded = api.load_job(job)
    known = {
        (split_model(one.path)[1] if loaded.models else "", key): problem
        for one in single_jobs(loaded)
        for key, problem in read(ledger_path(one)).items()
    }
    missing = {
        one.url_env
        for one in loaded.notify
        if one.url_env is not None and read_variable(loaded, one.url_env, os.environ) is None
    }
    if as_json:
        print_json(
            {
                "recipients": [
                    {"to": one.name, "on": one.on, "set": one.url_env not in missing}
                    for one in loaded.notify
                ],
                "open_problems": [
                    {"problem": key, "model": model, **msgspec.to_builtins(one)}
                    for (model, key), one in known.items()
                ],
            }
        )
        return
    if not loaded.notify:
        print("The job names nobody (add notify: - url_env: …).")
        return
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for one in loaded.notify:
        unset = "  not set" if one.url_env in missing else ""
        name = Text.assemble(f"  {clean(one.name)}", (unset, "red"))
        table.add_row(name, Text(", ".join(one.on), style="dim"))
    console.print(table)
    if known:
        console.print("\n  told, and not told again until a run ends without it", style="dim")
        table = Table.grid(padding=(0, 2))
        for (model, _), problem in known.items():
            when = time_of_day(problem.since, now=time.time())
            told = Text(", ".join([clean(each) for each in problem.to]), style="dim")
            headline = f"{model}: {problem.headline}" if model else problem.headline
            table.add_row(f"  {when}", Text(clean(headline)), told)
        console.print(table)
