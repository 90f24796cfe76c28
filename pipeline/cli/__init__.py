"""The command. A thin skin over `pipeline.api`: options in, words and an exit code out."""

import sys

from pipeline.errors import PipelineError

__all__ = ["main"]


def main() -> None:
    """Runs the command line and ends the process with the documented exit code."""
    from pipeline.cli.commands import app

    try:
        app()
    except PipelineError as error:
        from pipeline.cli.words import complain

        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output went away, as in `pipeline plan JOB | head -1`.
        sys.stderr.close()
        sys.exit(141)
