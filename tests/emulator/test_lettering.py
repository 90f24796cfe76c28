import pytest

from pipeline.emulator.lettering import legible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cozy small café", "a cozy small cafe"),
        ("Straße – “weiß”", "Strasse - “weiss”"),
        ("e\u0301clair", "eclair"),
        ("plain ASCII, 100 %", "plain ASCII, 100 %"),
    ],
)
def test_a_caption_is_spelled_with_letters_that_the_font_has(text: str, expected: str) -> None:
    assert legible(text) == expected
