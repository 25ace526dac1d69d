"""Pictures of every colour mode become what a reader of documents needs: black and white, grey, or RGB, opaque."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageChops, ImageCms

PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "RGBX"})
"""Modes that hold an opaque picture of 8 bits or fewer; P only without transparency."""

_GREY_TOLERANCE = 12
"""How far channels may lie apart on a page that counts as grey, of 255; JPEG noise stays below."""
_SAMPLE_EVERY = 3
"""Greyness and levels are judged on every third pixel of every third row: nothing that can be read is smaller."""
_FEW_LEVELS = 16
"""Up to so many levels of grey, PNG is smaller than JPEG and sharper."""


def plain(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture in a mode of `PLAIN_MODES`, and warnings about what was lost.

    Transparency lies on white. 16-bit and floating-point pictures are scaled to 8 bits. CMYK goes through its own
    colour profile when it has one.
    """
    if _has_alpha(image):
        return _on_white(image), ()
    if image.mode in PLAIN_MODES:
        return image, ()
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _to_8_bits(image), ()
    return image.convert("RGB"), ()


def without_colour(image: Image.Image) -> Image.Image:
    """The same picture in grey when nothing on it has a colour."""
    if image.mode not in {"RGB", "RGBX"}:
        return image
    red, green, blue = _sampled(image).split()[:3]
    for other in (red, blue):
        highest = ImageChops.difference(green, other).getextrema()[1]
        if isinstance(highest, tuple) or highest > _GREY_TOLERANCE:
            return image
    # On grey, any channel is the grey; green carries most of it.
    return image.getchannel(1)


def has_few_levels(image: Image.Image) -> bool:
    """Whether a grey picture has so few shades that PNG suits it better than JPEG."""
    # Counting all pixels takes as long as encoding them, so a sample speaks first.
    return all(sum(count > 0 for count in counted.histogram()) <= _FEW_LEVELS for counted in (_sampled(image), image))


def _sampled(image: Image.Image) -> Image.Image:
    width, height = image.size
    small = (-(-width // _SAMPLE_EVERY), -(-height // _SAMPLE_EVERY))
    return image.resize(small, Image.Resampling.NEAREST)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in {"LA", "PA", "La", "RGBA", "RGBa"} or "transparency" in image.info


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "1":
        # A bilevel PNG may name black or white as its transparent colour; on white, only black ink remains.
        image = image.convert("L")
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "RGBa":
        image = image.convert("RGBA")
    grey = image.mode in {"L", "LA"}
    image = image.convert("LA" if grey else "RGBA")
    white = Image.new("L" if grey else "RGB", image.size, 255 if grey else (255, 255, 255))
    white.paste(image.convert("L" if grey else "RGB"), mask=image.getchannel("A"))
    return white


def _from_cmyk(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB"), ()
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image.convert("RGB"), ("The picture's colour profile is broken; its colours are approximate.",)
    assert converted is not None  # None is for conversion in place
    return converted, ()


def _to_8_bits(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or floating-point picture in grey of 8 bits, its range kept when it is a usual one."""
    mode = image.mode
    if mode.startswith("I;16"):
        image = image.convert("I")
    low, high = image.getextrema()
    assert not isinstance(low, tuple)
    assert not isinstance(high, tuple)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it holds values that are not numbers")
    for least, most in _ranges(mode):
        if least <= low and high <= most:
            low, high = least, most
            break
    scale = 255 / (high - low) if high > low else 0.0
    # `point` takes a linear function for these modes; it is applied by its two coefficients.
    return image.point(lambda value: value * scale + (-low * scale)).convert("L")


def _ranges(mode: str) -> tuple[tuple[float, float], ...]:
    """The ranges that values usually have; beyond them, the picture's own darkest and lightest are black and white."""
    return {
        "F": ((0.0, 1.0), (0.0, 255.0), (0.0, 65535.0)),
        "I": ((0, 255), (0, 65535)),
    }.get(mode, ((0, 65535),))
