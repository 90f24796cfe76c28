"""The cache of prepared pictures: once for many, and never more than its bound."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from picture_samples import exif, noise, photo, saved, sent

from pipeline.errors import InputError
from pipeline.models import FileSlice
from pipeline.pictures import shared
from pipeline.pictures.prepare import PrepareSettings, digest_file, prepare
from pipeline.pictures.shared import ENTRY_BYTES, PreparedCache

SETTINGS = PrepareSettings()


@pytest.fixture
def prepared(monkeypatch):
    """Counts what is really prepared."""
    calls = []

    def counting(source, settings, *, name=""):
        calls.append(source)
        return prepare(source, settings, name=name)

    monkeypatch.setattr(shared, "prepare", counting)
    return calls


def test_the_second_use_is_encoded_and_the_first_streams_from_disk(tmp_path, prepared):
    path = saved(photo(), tmp_path / "a.jpg", exif=exif())
    cache, digest = PreparedCache(), digest_file(path)
    first = cache.get(str(path), digest, SETTINGS)
    assert first == prepare(str(path), SETTINGS)
    assert cache.size == ENTRY_BYTES  # slices of a file hold nothing
    second = cache.get(str(path), digest, SETTINGS)
    assert base64.b64decode(second.encoded) == sent(first)
    assert cache.get(str(path), digest, SETTINGS).encoded is second.encoded
    assert cache.size == ENTRY_BYTES + len(second.encoded)
    assert prepared == [str(path)]


def test_only_what_is_encoded_is_at_hand_without_waiting(tmp_path):
    path = saved(photo(), tmp_path / "a.jpg")
    cache = PreparedCache()
    assert cache.kept("d", SETTINGS) is None
    cache.get(str(path), "d", SETTINGS)
    assert cache.kept("d", SETTINGS) is None  # the next use encodes it
    second = cache.get(str(path), "d", SETTINGS)
    assert cache.kept("d", SETTINGS) is second
    assert cache.kept("d", PrepareSettings(max_side=99)) is None


def test_other_settings_are_another_picture(tmp_path, prepared):
    path = saved(photo(), tmp_path / "a.jpg")
    cache, digest = PreparedCache(), digest_file(path)
    cache.get(str(path), digest, SETTINGS)
    small = cache.get(str(path), digest, PrepareSettings(max_side=32))
    assert (small.width, len(prepared)) == (32, 2)


def test_many_threads_at_once_prepare_once(tmp_path, prepared):
    path = saved(photo((400, 300)).convert("RGBA"), tmp_path / "a.png", exif=exif(6))
    cache, digest = PreparedCache(), digest_file(path)
    together = threading.Barrier(8)

    def ask():
        together.wait()
        return cache.get(str(path), digest, SETTINGS)

    with ThreadPoolExecutor(8) as pool:
        results = [future.result() for future in [pool.submit(ask) for _ in range(8)]]
    assert len(prepared) == 1
    assert len({id(result.encoded) for result in results if result.encoded}) == 1
    assert {result.parts for result in results} == {results[0].parts}


def test_the_bound_holds_and_the_least_used_goes_first(tmp_path, prepared):
    paths = [saved(noise((60, 60)).convert("P"), tmp_path / f"{number}.png") for number in range(6)]
    one = prepare(str(paths[0]), SETTINGS).size
    cache = PreparedCache(max_bytes=3 * (one + one // 4 + ENTRY_BYTES))
    for path in paths[:3]:
        cache.get(str(path), path.name, SETTINGS)
    for path in paths[3:]:
        cache.get(str(paths[0]), paths[0].name, SETTINGS)
        cache.get(str(path), path.name, SETTINGS)
        assert cache.size <= 3 * (one + one // 4 + ENTRY_BYTES)
    assert prepared.count(str(paths[0])) == 1


def test_what_is_larger_than_the_bound_is_not_kept_and_pushes_nothing_out(tmp_path, prepared):
    small = saved(photo(), tmp_path / "a.jpg")
    large = saved(noise((200, 200)).convert("P"), tmp_path / "b.png")
    cache = PreparedCache(max_bytes=20_000)
    for path in (small, large, large, small):
        assert cache.get(str(path), path.name, SETTINGS).width > 0
    assert prepared == [str(small), str(large), str(large)]


def test_a_picture_too_large_to_encode_is_still_prepared_once(tmp_path, prepared):
    path = saved(photo(), tmp_path / "a.jpg")
    cache = PreparedCache(encode_up_to=100)
    results = [cache.get(str(path), "d", SETTINGS) for _ in range(3)]
    assert ([result.encoded for result in results], len(prepared)) == ([None] * 3, 1)


def test_equal_files_share_the_work_but_each_is_read_where_it_lies(tmp_path, prepared):
    one = saved(photo(), tmp_path / "a.jpg")
    two = saved(photo(), tmp_path / "b.jpg")
    cache = PreparedCache(encode_up_to=0)
    cache.get(str(one), "same", SETTINGS)
    one.unlink()
    result = cache.get(str(two), "same", SETTINGS)
    assert result.parts == (FileSlice(path=str(two), offset=0, length=two.stat().st_size),)
    assert len(prepared) == 1


def test_a_failure_is_not_kept(tmp_path, prepared):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"not yet")
    cache = PreparedCache()
    for _ in range(2):
        with pytest.raises(InputError, match="not a picture"):
            cache.get(str(path), "d", SETTINGS)
    saved(photo(), path)
    assert cache.get(str(path), "d", SETTINGS).width == 96
    assert len(prepared) == 3
