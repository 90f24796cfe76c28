"""Bulk image editing: a manifest in, pictures and a results ledger out.

>>> import asyncio, pipeline
>>> job = pipeline.load_job("jobs/catalog.yaml")      # doctest: +SKIP
>>> pipeline.plan(job).cost_usd                       # doctest: +SKIP
>>> result = asyncio.run(pipeline.run(job))           # doctest: +SKIP
>>> pipeline.read_ledger(job)                         # doctest: +SKIP
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pipeline.api import *  # noqa: F403 - its list of names is the only one
else:

    def __getattr__(name: str) -> Any:
        # On first use: `pipeline --help` must not wait for aiohttp and pydantic. Nor may an import
        # of one submodule, which is looked up here first, load all the others.
        if not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
            from pipeline import api

            if name in api.__all__:
                return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        from pipeline import api

        return sorted({*globals(), *api.__all__})
