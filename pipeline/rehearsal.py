"""A rehearsal: the job as it is, against the emulator on this machine, into a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from pipeline.emulator import ProfileError, load_profile
from pipeline.errors import ConfigError, PipelineError

KEY = "rehearsal"
"""The emulator takes any key; a rehearsal never shows it the real one."""

START_TIMEOUT_S = 30.0


class _Announcement(msgspec.Struct):
    url: str


@contextmanager
def emulator_process(*, profile: str, seed: int) -> Iterator[str]:
    """Starts an emulator on a free port, gives its URL, ends it.

    A process of its own, so that both sides are as far apart as they are in earnest. It ends by
    itself when this process dies: it waits for its standard input to close.
    """
    try:
        load_profile(profile)
    except ProfileError as error:
        raise ConfigError(f"--profile: {error}") from error
    process = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
        [
            *(sys.executable, "-m", "pipeline.emulator", "--port", "0"),
            *("--profile", profile, "--seed", str(seed), "--until-stdin-closes"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A terminal's Ctrl-C is for the run, which still needs its endpoint to drain.
        start_new_session=os.name == "posix",
    )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = process.stdout.readline()
        if not line:
            raise PipelineError(
                f"the emulator did not start (exit code {process.wait(START_TIMEOUT_S)};"
                f" try it alone: pipeline emulator --profile {profile})"
            )
        yield msgspec.json.decode(line, type=_Announcement).url
    finally:
        assert process.stdin is not None  # noqa: S101 - asked for above
        process.stdin.close()
        try:
            process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
