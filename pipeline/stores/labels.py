"""What a store lets be put into a picture on its way to its name."""

from collections.abc import Callable, Sequence

Label = Callable[[memoryview], Sequence[bytes | memoryview] | None]
"""Gets a picture's bytes and gives the picture with something put in, as pieces to be written one
after another: bytes, and slices of what it got. None: it is kept as it came. Called in a thread;
must not raise."""
