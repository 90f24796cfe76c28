"""`pipeline serve`: the live page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.dashboard import Serving

app = typer.Typer()


@app.command()
def serve(
    folder: Annotated[
        Path,
        typer.Argument(metavar="JOBS_FOLDER", help="The folder with the job files, or one file."),
    ] = Path("jobs"),
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on; another than loopback needs a token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes a free one.")
    ] = 8787,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN|generate",
            envvar="PIPELINE_SERVE_TOKEN",
            show_envvar=True,
            help="What visitors have to show once; 'generate' makes one.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer to this host name, too; may be repeated."),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, change nothing.")
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
) -> None:
    """Show all jobs in a browser: live progress, money, pictures; start and steer runs."""
    import asyncio

    from pipeline import dashboard

    def announce(serving: "Serving") -> None:
        looking = "Read-only" if read_only else "Live"
        print(f"{looking} page of {folder}: {serving.url}", flush=True)
        print("Ctrl-C ends it; runs that were started from it go on.", flush=True)
        if open_browser:
            import webbrowser

            webbrowser.open(serving.url)

    options = dashboard.ServeOptions(
        folder=folder,
        host=host,
        port=port,
        token=token,
        read_only=read_only,
        names=tuple(allow_host or ()),
    )
    asyncio.run(dashboard.serve(options, announce))
