"""Colour profiles: which are sRGB already, and pixels of the others converted to it."""

import functools
import io
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsProfile

# Of 255. Profiles that all mean sRGB differ by one where they round differently.
_TOLERANCE = 2
_MEMORY_PROFILE_BYTES = 1 << 14

Verdict = Literal["srgb", "other", "broken"]


def verdict(profile: bytes) -> Verdict:
    """Whether an ICC profile means sRGB, by what it does to colours; its name proves nothing."""
    if len(profile) <= _MEMORY_PROFILE_BYTES:
        return _remembered(profile)
    return _verdict(profile)


# A catalog's pictures share a few profiles, and the question costs 1 ms. Pure, and at most 1 MB.
@functools.lru_cache(maxsize=64)
def _remembered(profile: bytes) -> Verdict:
    return _verdict(profile)


def _verdict(data: bytes) -> Verdict:
    from PIL import Image, ImageCms

    try:
        profile = _opened(data)
        space = profile.profile.xcolor_space.strip()
        if space not in ("RGB", "GRAY"):
            return "other" if space == "CMYK" else "broken"
        steps = (0, 51, 102, 153, 204, 255)
        if space == "GRAY":
            colours = bytes(range(0, 256, 5))
            picture = Image.frombytes("L", (len(colours), 1), colours)
        else:
            colours = bytes(v for r in steps for g in steps for b in steps for v in (r, g, b))
            colours += bytes(v for v in range(0, 256, 5) for _ in range(3))
            picture = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
        # Unoptimised: for so few colours, preparing the fast way would be most of the work.
        result = _transformed(picture, profile, ImageCms.Flags.NOOPTIMIZE).tobytes()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "broken"
    expected = picture.convert("RGB").tobytes()
    far = max(abs(a - b) for a, b in zip(result, expected, strict=True))
    return "srgb" if far <= _TOLERANCE else "other"


def to_srgb(picture: "Image", data: bytes) -> "Image":
    """An ``L``, ``RGB`` or ``CMYK`` picture in sRGB (``L`` or ``RGB``).

    A profile that is broken, or for another kind of picture, is ignored: its pixels are taken to
    be sRGB already, as every viewer takes them.
    """
    from PIL import ImageCms

    try:
        profile = _opened(data)
        space = profile.profile.xcolor_space.strip()
        wanted = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
        if wanted == "RGB" and picture.mode == "L":
            return _transformed(picture.convert("RGB"), profile).convert("L")
        if wanted == picture.mode:
            converted = _transformed(picture, profile)
            return converted.convert("L") if wanted == "L" else converted
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        pass  # a broken profile, see above; what follows is what happens without one
    return picture.convert("RGB") if picture.mode == "CMYK" else picture


def _opened(data: bytes) -> "ImageCmsProfile":
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(io.BytesIO(data))


def _transformed(picture: "Image", profile: "ImageCmsProfile", flags: int = 0) -> "Image":
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        picture.mode,
        "RGB",
        # White stays white and black black, colours in between are kept: what catalogs want.
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags(flags) | ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return transform.apply(picture)
