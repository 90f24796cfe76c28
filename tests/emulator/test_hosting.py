"""The picture host: another origin, no key, and URLs that end."""

from urllib.parse import urlsplit

import pytest

from pipeline.emulator.hosting import Hosted, Hosting
from tests.emulator.asking import size_of

URLS = {"pictures": "plain", "payload": "url", "shapes": {"images": 1}}


async def test_a_picture_is_downloaded_from_another_origin(emulator, ask, asker):
    """Another port than the API's, as the real pictures lie on another host."""
    running = emulator(**URLS)
    item = (await ask(running)).items[0]
    parts = urlsplit(item["url"])
    assert parts.path.startswith("/generations/")
    assert parts.path.endswith(".png")
    assert parts.netloc != urlsplit(running.url).netloc
    download = await asker.get(item["url"], key=False)
    assert (download.status, download.content_type) == (200, "image/png")
    assert (len(download.raw), size_of(download.raw)) == (item["file_size"], (1024, 1024))


async def test_a_key_that_is_sent_to_the_picture_host_is_refused_loudly(emulator, ask, asker):
    """A client that leaks its key is caught by its first download."""
    running = emulator(**URLS)
    item = (await ask(running)).items[0]
    download = await asker.get(item["url"], key=True)
    assert download.status == 400
    assert "the API key must not be sent here" in download.message
    seen = running.downloads[0]
    assert (seen["status"], seen["headers"]["authorization"]) == (400, "Bearer ***")


@pytest.mark.parametrize("seconds", [0, 3600])
async def test_urls_expire(emulator, ask, asker, seconds):
    """After `url_expires_s`; then HTML under 404 or 410."""
    running = emulator(**URLS, url_expires_s=seconds)
    download = await asker.get((await ask(running)).items[0]["url"], key=False)
    if seconds:
        assert download.status == 200
    else:
        assert download.status in (404, 410)
        assert download.content_type == "text/html"


async def test_an_unknown_picture_is_404(emulator, asker):
    """HTML, like every page of a host."""
    download = await asker.get(emulator().url + "/generations/none.png", key=False)
    assert (download.status, download.content_type) == (404, "text/html")


def test_the_oldest_pictures_are_forgotten_first(monkeypatch):
    """A long rehearsal stays in memory."""
    monkeypatch.setattr("pipeline.emulator.hosting._MOST_BYTES", 25)
    hosting = Hosting()
    names = [
        hosting.put(Hosted(b"0123456789", "image/png", 0.0)).rpartition("/")[2] for _ in range(4)
    ]
    assert [hosting.get(name) is not None for name in names] == [False, False, True, True]
