"""From the bytes of a picture, in any colour mode, to plain RGB on white."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType

from PIL import Image, UnidentifiedImageError

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import MAX_ASPECT_RATIO, Size

MIME_TYPES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "BMP": frozenset({"image/bmp", "image/x-ms-bmp"}),
        "JPEG": frozenset({"image/jpeg", "image/jpg"}),
        "MPO": frozenset({"image/jpeg", "image/jpg"}),
        "PNG": frozenset({"image/png"}),
        "TIFF": frozenset({"image/tiff"}),
        "WEBP": frozenset({"image/webp"}),
        "HEIF": frozenset({"image/heic", "image/heif"}),
    }
)
"""The formats that the service takes, and what each may be called. GIF is not among them."""

_SMALLEST_SIDE_PX = 11
_LARGEST_AREA_PX2 = Size(7680, 4320).area_px2
_LARGEST_AREA_OF_OTHERS_PX2 = Size(3840, 2160).area_px2
_FORMATS_UP_TO_8K = frozenset({"JPEG", "MPO", "PNG"})
"""Model Studio, "Text extraction (Qwen-OCR)", picture limits: the others end at 3840x2160."""

_WITH_ALPHA = frozenset({"LA", "PA", "La", "RGBA", "RGBa"})


def open_picture(data: bytes) -> Image.Image:
    """The first frame of a picture in RGB, as stored: an EXIF orientation is not applied.

    Transparent parts become white. 16-bit and floating-point greys are brought to 8 bits.

    Raises:
        SourceError: It is no picture, in a format that the service does not take, or beyond its limits on size.
    """
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise _illegal("it is no picture that is known here") from error
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _illegal(f"{error}") from error
    with image:
        _check(image)
        try:
            return _to_rgb(image)
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise _illegal(f"{error}") from error


def picture_format(data: bytes) -> str | None:
    """The format by the picture's own first bytes, as Pillow names it; None when it is no picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def _illegal(reason: str) -> SourceError:
    return SourceError(
        f"The image format is illegal and cannot be opened ({reason}). Send a whole JPEG, PNG, WebP, BMP or TIFF file."
    )


def _check(image: Image.Image) -> None:
    width, height = image.size
    if image.format not in MIME_TYPES:
        raise _illegal(f"{image.format} is not taken")
    if min(width, height) < _SMALLEST_SIDE_PX:
        raise SourceError(
            "The image length and width do not meet the model restrictions. "
            f"[height:{height} or width:{width} must be larger than {_SMALLEST_SIDE_PX - 1}]"
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise SourceError(
            "The image length and width do not meet the model restrictions. "
            f"[absolute aspect ratio must be smaller than {MAX_ASPECT_RATIO}, got {width}x{height}]"
        )
    limit = _LARGEST_AREA_PX2 if image.format in _FORMATS_UP_TO_8K else _LARGEST_AREA_OF_OTHERS_PX2
    if width * height > limit:
        raise SourceError(
            f"Multimodal file size is too large: {width}x{height} px, where {image.format} may have "
            f"{limit / 1e6:.1f} megapixels. Shrink the picture, or send it as JPEG or PNG."
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        return _on_white(image.convert("RGBA"))
    if image.mode.startswith(("I", "F")):
        return _to_eight_bits(image).convert("RGB")
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return paper.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """A grey of more than eight bits, its whole range kept: `convert` would cut everything above 255."""
    wide = image.convert("F")
    low, high = (float(n) for n in wide.getextrema())  # type: ignore[arg-type]
    if low >= 0 and high <= 255:  # noqa: PLR2004 - the range of eight bits
        return wide.convert("L")
    top = 65535.0 if low >= 0 and high <= 65535 else high  # noqa: PLR2004 - the range of sixteen bits
    bottom = min(low, 0.0)
    return wide.point(lambda value: value * (255 / (top - bottom)) - bottom * 255 / (top - bottom)).convert("L")
