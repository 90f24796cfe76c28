"""The picture host: what an answer's URLs lead to, until they expire."""

import uuid
from dataclasses import dataclass

_MOST_BYTES = 512 * 1024 * 1024
"""Beyond this the oldest pictures are forgotten, so that a long rehearsal stays in memory."""


@dataclass(frozen=True)
class Hosted:
    """One hosted picture; `expires_at` is loop time in seconds."""

    data: bytes
    content_type: str
    expires_at: float
    slow: bool = False


class Hosting:
    """Pictures by name, oldest forgotten first."""

    def __init__(self) -> None:
        self._pictures: dict[str, Hosted] = {}
        self._bytes = 0

    def put(self, picture: Hosted) -> str:
        """Keep a picture and return its path, `/generations/<uuid>.png`, whatever it is."""
        name = f"{uuid.uuid4()}.png"
        self._pictures[name] = picture
        self._bytes += len(picture.data)
        while self._bytes > _MOST_BYTES and len(self._pictures) > 1:
            oldest = next(iter(self._pictures))
            self._bytes -= len(self._pictures.pop(oldest).data)
        return f"/generations/{name}"

    def get(self, name: str) -> Hosted | None:
        """The picture under a file name, expired or not."""
        return self._pictures.get(name)
