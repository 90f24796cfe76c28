"""A job of several models on the live page: one entry for each."""

from pathlib import Path

from pipeline.dashboard.folder import JobFolder
from tests.conftest import Shop

MODELS = [
    {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
    {"model": "flux/kontext-pro/image-to-image", "name": "kontext"},
]


def test_each_model_is_an_entry_with_outputs_of_its_own(shop: Shop) -> None:
    shop.with_edits(1, models=MODELS)
    folder = JobFolder(shop.job.parent)
    assert list(folder.entries()) == ["shop@flash", "shop@kontext"]
    entry = folder.entries()["shop@kontext"]
    assert entry.path == Path(f"{shop.job}@kontext"), "what a start is given"
    side = folder.side("shop@kontext", rehearsal=True)
    assert getattr(side, "outputs", None) == shop.outputs / "kontext-rehearsal"
