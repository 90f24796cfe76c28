"""`python -m pipeline.emulator`: the emulator by itself, one JSON line when it listens."""

import argparse
import json
import sys

from pipeline.emulator.profile import ProfileError, load_profile, shipped_profiles
from pipeline.emulator.service import serve


def main(argv: list[str] | None = None) -> int:
    """Serve until stopped; returns the exit code (2: a profile or a port that cannot be used)."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.emulator",
        description="The image endpoint, played on this machine.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--profile",
        default="calm",
        metavar="FILE|NAME",
        help=f"a file, or one of {', '.join(shipped_profiles())}",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same faults")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="stop when standard input ends, as it does when the parent dies",
    )
    options = parser.parse_args(argv)

    def announce(url: str) -> None:
        line = json.dumps({"url": url, "profile": profile.name})
        print(line, flush=True)

    try:
        profile = load_profile(options.profile)
        serve(
            host=options.host,
            port=options.port,
            profile=profile,
            seed=options.seed,
            announce=announce,
            until_stdin_closes=options.until_stdin_closes,
        )
    except (ProfileError, OSError) as exc:
        print(f"emulator: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
