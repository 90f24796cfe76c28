"""Colours from words: what the prompt names, a colour or a place, else what its hash picks."""

import hashlib
import re
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of one picture: the wall, the floor, the light on them, and the lettering."""

    wall: Colour
    floor: Colour
    light: Colour
    ink: Colour
    paper: Colour


WHITE = Palette((246, 246, 244), (231, 232, 234), (255, 255, 255), (38, 40, 46), (252, 252, 250))
BLACK = Palette((22, 23, 27), (12, 12, 15), (66, 69, 80), (236, 234, 228), (18, 19, 22))
GREY = Palette((186, 189, 194), (160, 163, 170), (222, 224, 228), (34, 36, 42), (240, 241, 243))
SAND = Palette((233, 220, 200), (213, 194, 166), (250, 243, 230), (64, 48, 34), (250, 245, 236))
SEA = Palette((176, 214, 219), (222, 206, 176), (226, 243, 244), (22, 58, 72), (243, 249, 248))
FOREST = Palette((92, 122, 98), (60, 84, 68), (168, 190, 158), (20, 40, 30), (240, 244, 236))
SUNSET = Palette((238, 160, 122), (170, 92, 104), (255, 218, 170), (66, 26, 44), (255, 246, 236))
WOOD = Palette((214, 190, 162), (142, 104, 74), (240, 224, 200), (54, 34, 22), (250, 244, 236))
STEEL = Palette((126, 152, 184), (84, 108, 142), (196, 214, 234), (18, 32, 56), (242, 246, 250))
PLUM = Palette((150, 126, 170), (104, 82, 128), (212, 196, 226), (42, 24, 60), (248, 244, 250))
ROSE = Palette((238, 196, 200), (216, 162, 172), (252, 230, 230), (84, 30, 48), (254, 246, 246))
RED = Palette((188, 66, 62), (134, 40, 44), (236, 140, 120), (60, 12, 18), (254, 244, 240))
LEMON = Palette((246, 218, 120), (228, 188, 78), (255, 242, 190), (72, 52, 8), (255, 251, 238))
MINT = Palette((186, 222, 204), (150, 196, 176), (226, 244, 236), (20, 62, 50), (244, 251, 248))
TERRACOTTA = Palette((214, 138, 104), (174, 98, 70), (246, 200, 168), (66, 26, 14), (253, 245, 239))
CLAY = Palette((206, 192, 182), (178, 160, 150), (236, 228, 220), (58, 46, 42), (250, 247, 244))

# For prompts that name nothing: calm ones, on which most products look well.
_BY_HASH = (SAND, SEA, STEEL, PLUM, ROSE, MINT, TERRACOTTA, CLAY, FOREST, WOOD, GREY, LEMON)

_WORDS: tuple[tuple[str, Palette], ...] = (
    (r"white|ivory|snow\w*|clean background|e-?commerce", WHITE),
    (r"black|dark|night|noir|midnight|charcoal|space", BLACK),
    (r"gr[ae]y|silver|concrete|marble|stone|slate", GREY),
    (r"beige|sand|cream|linen|desert|neutral", SAND),
    (r"sea|beach|ocean|coast\w*|island|lagoon|swim\w*", SEA),
    (r"forest|jungle|wood?lands?|moss|garden|grass|meadow|olive|leaf|leaves|green", FOREST),
    (r"sunset|sunrise|golden hour|dusk|dawn|orange", SUNSET),
    (r"wood|wooden|oak|walnut|rustic|brown|autumn|fall|coffee|caf[eé]", WOOD),
    (r"blue|sky|winter|ice|denim|navy|rain\w*|city", STEEL),
    (r"purple|violet|lavender|plum|neon|cyberpunk", PLUM),
    (r"pink|rose|blush|valentine\w*|pastel", ROSE),
    (r"red|crimson|scarlet|christmas", RED),
    (r"yellow|gold|golden|lemon|summer|sunny", LEMON),
    (r"mint|teal|turquoise|aqua|spring|spa", MINT),
    (r"terracotta|clay|brick|vintage|retro|warm", TERRACOTTA),
)
_SETTING = r"(?:background|backdrop|studio|wall|table|surface|floor|setting|scene)"


def palette_of(prompt: str) -> Palette:
    """The palette for a prompt; the same prompt has the same one every time."""
    words = prompt.lower()
    # "a blue mug on a white background" is about white: the colour next to the setting wins.
    for pattern, palette in _WORDS:
        if re.search(rf"\b(?:{pattern})\s+(?:\w+\s+)?{_SETTING}\b", words):
            return palette
    for pattern, palette in _WORDS:
        if re.search(rf"\b(?:on|against|at|in|over)\s+(?:\w+\s+){{0,2}}(?:{pattern})\b", words):
            return palette
    found = [
        (match.start(), palette)
        for pattern, palette in _WORDS
        if (match := re.search(rf"\b(?:{pattern})\b", words))
    ]
    if found:
        return min(found, key=lambda pair: pair[0])[1]
    digest = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
    return _BY_HASH[digest[0] % len(_BY_HASH)]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with `share` (0 to 1) of `other` in it."""
    return (
        round(one[0] + (other[0] - one[0]) * share),
        round(one[1] + (other[1] - one[1]) * share),
        round(one[2] + (other[2] - one[2]) * share),
    )
