"""What an export leaves for the next one into the same place."""

import msgspec

from pipeline.errors import ConfigError
from pipeline.exporting.publishing import STATE
from pipeline.job.exports import Export

VERSION = 1
"""Of what `STATE` says, and of how samples are packed: another one packs everything anew."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is published. ``rehearsed``: whether its pictures are the emulator's (``None``: an
    older export did not say). ``layout``: a signature; ``card``: SHA-256 of the card as it was
    made; ``shards``: bytes by name.
    """

    version: int
    job: str
    format: str
    rehearsed: bool | None = None
    layout: str
    card: str
    shards: dict[str, int]

    def encoded(self) -> bytes:
        """As it stands in the file."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


def read_state(text: bytes | None, wish: Export, *, job: str, rehearsed: bool) -> State | None:
    """What is there now; ``None``: nothing. Raises `ConfigError` if it is something else."""
    if text is None:
        return None
    try:
        state = msgspec.json.decode(text, type=State)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{wish.output}: its {STATE} cannot be read ({error}): choose another folder"
        ) from error
    if (state.job, state.format) != (job, wish.format):
        held = f"an export of {state.job} as {state.format}"
    elif state.rehearsed not in (None, rehearsed):
        held = "pictures of a rehearsal" if state.rehearsed else "real pictures"
        held += f", and these are {'of a rehearsal' if rehearsed else 'real'}"
    else:
        return state
    raise ConfigError(f"{wish.output}: holds {held} (choose another folder, or delete it)")
