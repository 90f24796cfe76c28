"""Bodies are checked strictly and refused in the provider's words."""

import base64

import pytest

from tests.emulator.asking import MODEL, PNG_URI, data_uri, picture_bytes


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"prompt": ...}, "prompt", "Required"),
        ({"prompt": 3}, "prompt", "Expected string, received number"),
        ({"prompt": None}, "prompt", "Expected string, received null"),
        ({"model": ...}, "model", "Required"),
        ({"model": ["x"]}, "model", "Expected string, received array"),
        ({"image_urls": ...}, "image_urls", "Required"),
        ({"image_urls": PNG_URI}, "image_urls", "Expected array, received string"),
        ({"image_urls": []}, "image_urls", "Array must contain at least 1 element(s)"),
        ({"image_urls": [PNG_URI] * 4}, "image_urls", "Array must contain at most 3 element(s)"),
        ({"image_urls": [PNG_URI, 7]}, "image_urls.1", "Expected string, received number"),
        ({"image_urls": ["chair.png"]}, "image_urls.0", "Invalid url"),
        ({"image_urls": ["ftp://host/x.png"]}, "image_urls.0", "Invalid url"),
        ({"num_images": 0}, "num_images", "Number must be greater than or equal to 1"),
        ({"num_images": 5}, "num_images", "Number must be less than or equal to 4"),
        ({"num_images": 1.5}, "num_images", "Expected integer, received float"),
        ({"num_images": "2"}, "num_images", "Expected number, received string"),
        ({"num_images": True}, "num_images", "Expected number, received boolean"),
        ({"aspect_ratio": 1}, "aspect_ratio", "received number"),
        ({"aspect_ratio": "7:5"}, "aspect_ratio", "Invalid enum value. Expected '1:1' | '2:3'"),
    ],
)
async def test_a_wrong_field_is_named_with_what_was_expected(emulator, ask, change, path, message):
    """400, the path of the field, and the validator's sentence; nothing is charged."""
    running = emulator(pictures="plain")
    answer = await ask(running, **change)
    assert answer.status == 400
    assert answer.message.startswith("Body validation error: ")
    assert f'"path":"{path}"' in answer.message
    assert message in answer.message
    assert running.bill.charges == ()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("data:image/png,abc", "Invalid url"),
        ("data:image/jpg;base64,AAAA", "received 'image/jpg'"),
        ("data:image/gif;base64,AAAA", "received 'image/gif'"),
        ("data:IMAGE/PNG;base64,AAAA", "received 'IMAGE/PNG'"),
        ("data:image/png;base64,AA*A", "Invalid base64 string"),
        ("data:image/png;base64,AAAAA", "Invalid base64 string"),
        ("data:image/png;base64,AAAA", "Unable to process input image"),
        (data_uri(picture_bytes("GIF")), "Unable to process input image"),
        (data_uri(picture_bytes("JPEG")), "Expected image/png, received image/jpeg"),
        (data_uri(b"x" * (7 * 1024 * 1024 + 1)), "Expected at most 7 MB"),
    ],
)
async def test_an_unusable_input_is_refused(emulator, ask, uri, message):
    """MIME type, base64, weight and the bytes themselves are looked at."""
    answer = await ask(emulator(pictures="plain"), image_urls=[PNG_URI, uri])
    assert answer.status == 400
    assert '"path":"image_urls.1"' in answer.message
    assert message in answer.message


async def test_exactly_seven_megabytes_are_taken(emulator, ask):
    """The limit is inclusive."""
    data = picture_bytes()
    data += b"\0" * (7 * 1024 * 1024 - len(data))
    assert (await ask(emulator(pictures="plain"), image_urls=[data_uri(data)])).status == 201


async def test_a_lying_mime_type_passes_when_the_profile_is_not_strict(emulator, ask):
    """`strict_mime: false` is the provider that sniffs for itself."""
    running = emulator(pictures="plain", strict_mime=False)
    assert (await ask(running, image_urls=[data_uri(picture_bytes("JPEG"))])).status == 201


async def test_unknown_keys_are_ignored_without_a_word(emulator, ask):
    """A misspelt option is a silent no-op, as on the real endpoint."""
    running = emulator(pictures="plain")
    answer = await ask(running, num_image=4, aspectratio="16:9")
    assert answer.status == 201
    assert len(answer.items) == 1
    assert running.requests[0]["body"]["num_image"] == 4


async def test_all_complaints_come_at_once(emulator, ask):
    """Two wrong fields are both named."""
    answer = await ask(emulator(), prompt=1, num_images=9)
    assert '"path":"prompt"' in answer.message
    assert '"path":"num_images"' in answer.message


async def test_an_unknown_model_is_404(emulator, ask):
    """The same answer as for a model that was withdrawn."""
    assert (await ask(emulator(), model="google/nano-bananas")).status == 404


async def test_options_are_checked_by_model(emulator, ask):
    """The OpenAPI file's ranges for nano-banana-edit; other models ignore its options."""
    running = emulator(pictures="plain")
    nano = {"model": "google/nano-banana-edit"}
    assert (await ask(running, **nano, aspect_ratio="21:9")).status == 400
    assert (await ask(running, **nano, seed=4_294_967_296)).status == 400
    assert (await ask(running, **nano, enhance_prompt="yes")).status == 400
    assert (await ask(running, **nano, person_generation="allow_all")).status == 400
    assert (await ask(running, **nano, image_urls=..., seed=7)).status == 201
    assert (await ask(running, seed="not its option")).status == 201
    long = {"model": "alibaba/qwen-image-3-edit", "prompt": "x" * 801}
    assert "at most 800 character(s)" in (await ask(running, **long)).message


@pytest.mark.parametrize("raw", [b"{", b"[1]", b'"x"', b"\xff"])
async def test_a_body_that_is_no_object_is_400(emulator, asker, raw):
    """Broken JSON and JSON of another kind."""
    headers = {"Authorization": "Bearer right", "Content-Type": "application/json"}
    target = emulator().url + "/v1/images/generations"
    async with asker.session.post(target, data=raw, headers=headers) as answer:
        assert answer.status == 400


async def test_a_body_that_does_not_say_json_is_400(emulator, asker):
    """The content type decides whether the body is read at all."""
    headers = {"Authorization": "Bearer right", "Content-Type": "text/plain"}
    target = emulator().url + "/v1/images/generations"
    async with asker.session.post(target, data=b"{}", headers=headers) as answer:
        assert answer.status == 400
        assert "Expected object, received undefined" in await answer.text()


async def test_a_body_that_is_too_large_is_413(emulator, ask):
    """The limit of the profile, here 0.01 MB."""
    answer = await ask(emulator(max_body_mb=0.01), prompt="x" * 20_000)
    assert answer.status == 413


@pytest.mark.parametrize("key", [None, "", "wrong"])
async def test_a_missing_or_wrong_key_is_401(emulator, ask, key):
    """Also when the body is wrong: the key is looked at first."""
    assert (await ask(emulator(), key=key, prompt=...)).status == 401


async def test_only_the_accepted_key_is_taken_when_one_is_set(emulator, ask):
    """`accepted_key` names it."""
    running = emulator(accepted_key="sesame", pictures="plain")
    assert (await ask(running)).status == 401
    assert (await ask(running, key="sesame")).status == 201


@pytest.mark.parametrize("style", ["plain", "list", "problem"])
async def test_error_bodies_come_in_three_styles(emulator, ask, style):
    """The plain body, the plain one with a list and a string status, and problem+json."""
    answer = await ask(emulator(error_bodies={style: 1}), prompt=...)
    body = answer.body
    assert "Body validation error" in answer.message
    if style == "problem":
        assert answer.content_type == "application/problem+json"
        assert body["status"] == 400
        assert set(body["error"]) == {"name", "message", "data"}
        assert {"title", "instance", "requestId"} <= set(body)
    else:
        assert set(body) == {"message", "path", "requestId", "statusCode", "timestamp"}
        assert body["statusCode"] == (400 if style == "plain" else "400")
        assert isinstance(body["message"], str if style == "plain" else list)


async def test_requests_remember_the_inputs_without_their_bytes(emulator, ask):
    """Each data URI is replaced by what it was; the key is not kept."""
    running = emulator(pictures="plain")
    data = picture_bytes("JPEG", (30, 20))
    await ask(running, image_urls=[data_uri(data, "image/jpeg")], request_id="r1")
    seen = running.requests[0]
    described = seen["body"]["image_urls"][0]
    assert (described["mime"], described["bytes"]) == ("image/jpeg", len(data))
    assert (described["width"], described["height"]) == (30, 20)
    assert len(described["sha256"]) == 64
    assert (seen["client_request_id"], seen["status"], seen["attempt"]) == ("r1", 201, 1)
    assert seen["headers"]["authorization"] == "Bearer ***"
    assert base64.b64encode(data).decode() not in str(seen)
    assert seen["body"]["model"] == MODEL


async def test_a_loopback_url_is_fetched_and_another_is_not(emulator, ask, asker):
    """Pictures of this machine are loaded; for the rest of the world a placeholder is drawn."""
    host = emulator(shapes={"data": 1}, payload="url", pictures="plain")
    url = (await ask(host)).items[0]["url"]
    running = emulator(pictures="full")
    answer = await ask(running, image_urls=[url, "https://pictures.example/chair.png"])
    assert answer.status == 201
    first, second = running.requests[0]["body"]["image_urls"]
    assert (first["width"], first["mime"], first["url"]) == (1024, "image/png", url)
    assert (second["bytes"], second["url"]) == (None, "https://pictures.example/chair.png")


async def test_a_loopback_url_that_leads_nowhere_is_400(emulator, ask):
    """An input that cannot be loaded is a wrong body."""
    running = emulator()
    answer = await ask(running, image_urls=[running.url + "/generations/none.png"])
    assert answer.status == 400
    assert "Failed to download image" in answer.message
