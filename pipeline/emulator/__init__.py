"""The endpoint, played on this machine: real HTTP, faults on purpose, and a bill of its own.

Written from the provider's documents alone. It imports nothing from the client side of `pipeline`
and the client side imports nothing from it, so that one misunderstanding cannot hide in both.

    async with Emulator("realistic", seed=7) as emulator:
        ...                                   # talk to emulator.url
        emulator.bill.total_usd

`serve()` does the same until it is stopped, for the command; `testing.py` is a pytest fixture.
aiohttp and Pillow are imported when an emulator starts, not when this package is.
"""

from pipeline.emulator.bill import Bill, Charge
from pipeline.emulator.profile import Profile, ProfileError, load_profile
from pipeline.emulator.service import Emulator, serve

__all__ = ["Bill", "Charge", "Emulator", "Profile", "ProfileError", "load_profile", "serve"]
