"""A page becomes the picture that is sent: its size, its encoding, the way back."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import MAX_ASPECT_RATIO, Affine, Size, smart_resize
from langchain_qwen_ocr.pages.colours import has_few_levels, without_colour
from langchain_qwen_ocr.pages.page import (
    MIN_SIDE_PX,
    Drawing,
    ImageFormat,
    ImageOptions,
    Page,
    PreparedImage,
    StoredPicture,
    data_url_chars,
    fits_4k,
)

_WORTH_A_WARNING = 4
"""A page shrunk to less than a quarter of its pixels may have become too small to read."""
_SQUEEZES = ((75, 1.0), (60, 1.0), (60, 0.7), (50, 0.5), (40, 0.35))
"""JPEG qualities and scales to try, in this order, when a picture is too long for a data URL."""


def prepare(page: Page, options: ImageOptions) -> PreparedImage:
    """The picture of *page* as *options* ask, and the way back from its pixels to the page's.

    A file that the service takes as it is stays untouched. Otherwise the page is drawn within the pixel budget, to a
    size that the service does not resize again, and encoded: PNG for black and white and few colours, JPEG for the
    rest. Safe to call from several threads at once.

    Raises:
        SourceError: The page is broken, beyond a limit, or of a shape that the service refuses.
    """
    drawn = page.draw(options)
    if isinstance(drawn, StoredPicture):
        size_px = drawn.size_px
        return PreparedImage(data=drawn.data, mime_type=drawn.mime_type, size_px=size_px, page=page.info(size_px))
    check_shape(page, Size(*drawn.image.size))
    fitted = _fitted(without_colour(drawn.image), options)
    padded = _padded(fitted)
    sent = _encode_within_limit(padded, page, options)
    to_drawing = Affine.resizing(Size(*fitted.size), Size(*drawn.image.size)) @ Affine.resizing(
        sent.size_px, Size(*padded.size)
    )
    return PreparedImage(
        data=sent.data,
        mime_type=sent.mime_type,
        size_px=sent.size_px,
        to_page=drawn.to_page @ to_drawing,
        page=page.info(drawn.page_size_px),
        warnings=(*drawn.warnings, *_shrink_warning(fitted, drawn), *sent.warnings),
    )


def check_shape(page: Page, size: Size) -> None:
    """Refuse what the service takes in no size.

    Raises:
        SourceError: The page is a dot, or too narrow a strip.
    """
    if max(size) < MIN_SIDE_PX:
        raise SourceError(
            f"{page} is {size.width_px}x{size.height_px} px: too small to hold text, and the service takes no side "
            f"below {MIN_SIDE_PX} px. Leave it out, or scan it larger.",
            source=page.source,
            page_index=page.page_index,
        )
    if max(size) > MAX_ASPECT_RATIO * min(size):
        raise SourceError(
            f"{page} is {size.width_px}x{size.height_px} px: the longer side may be at most {MAX_ASPECT_RATIO} times "
            "the shorter. Cut it into parts (split_page).",
            source=page.source,
            page_index=page.page_index,
        )


def _fitted(image: Image.Image, options: ImageOptions) -> Image.Image:
    """The picture within the budget's largest area; never enlarged."""
    size = Size(*image.size)
    if size.area_px2 <= options.budget.max_pixels:
        return image
    # Black and white or a palette has no shades to average in.
    smooth = image.convert(_SMOOTH_MODES.get(image.mode, image.mode))
    return smooth.resize(smart_resize(size, options.budget), _SHRINKING, reducing_gap=_REDUCING_GAP)


_SHRINKING = Image.Resampling.HAMMING
"""Nearly as sharp as LANCZOS when shrinking, in half the time; nothing is ever enlarged."""
_SMOOTH_MODES = {"1": "L", "P": "RGB"}
_REDUCING_GAP = 3.0
"""Large shrinking is done by whole factors first, as far as the eye does not see it (Pillow's own advice)."""


def _padded(image: Image.Image) -> Image.Image:
    """The picture with white to its right and below, where a side is shorter than the service takes."""
    width, height = image.size
    if min(width, height) >= MIN_SIDE_PX:
        return image
    opaque = image.convert("RGB" if image.mode in {"P", "RGBX"} else image.mode)
    white = 255 if opaque.mode in {"1", "L"} else (255, 255, 255)
    paper = Image.new(opaque.mode, (max(width, MIN_SIDE_PX), max(height, MIN_SIDE_PX)), white)
    paper.paste(opaque)
    return paper


def _shrink_warning(fitted: Image.Image, drawn: Drawing) -> tuple[str, ...]:
    """A word about small text, when much was lost of what the page shows."""
    scale = drawn.to_page.a * drawn.to_page.e - drawn.to_page.b * drawn.to_page.d
    shown_px2 = abs(scale) * drawn.image.width * drawn.image.height
    if shown_px2 < _WORTH_A_WARNING * fitted.width * fitted.height:
        return ()
    page = drawn.page_size_px
    return (
        (
            f"The page of {page.width_px}x{page.height_px} px was shrunk to {fitted.width}x{fitted.height} px; "
            "small text may be lost. Raise max_pixels, or cut it into parts."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    data: bytes = field(repr=False)
    mime_type: str
    size_px: Size
    warnings: tuple[str, ...] = ()


def _encode_within_limit(image: Image.Image, page: Page, options: ImageOptions) -> _Encoded:
    """The picture encoded, short enough for a data URL."""
    image_format = options.image_format or _cheapest_format(image)
    if image_format == "webp" and not fits_4k(Size(*image.size)):
        image_format = "jpeg"  # beyond 4K the service takes no WebP
    first = _encode(image, image_format, options.jpeg_quality)
    if _is_short(first, options):
        return first
    if options.image_format is None:
        image_format = "jpeg"
    for quality, scale in _SQUEEZES:
        smaller = _encode(_scaled(image, scale), image_format, min(quality, options.jpeg_quality))
        if _is_short(smaller, options):
            width, height = smaller.size_px
            note = (
                f"To fit into a data URL of {options.max_data_url_chars} characters the picture was sent as "
                f"{image_format} at {width}x{height} px."
            )
            return _Encoded(data=smaller.data, mime_type=smaller.mime_type, size_px=smaller.size_px, warnings=(note,))
    raise SourceError(
        f"{page}: no encoding of it fits into a data URL of {options.max_data_url_chars} characters. "
        "Lower max_pixels, leave image_format unset, or cut it into parts.",
        source=page.source,
        page_index=page.page_index,
    )


def _is_short(encoded: _Encoded, options: ImageOptions) -> bool:
    return data_url_chars(len(encoded.data), encoded.mime_type) <= options.max_data_url_chars


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return image
    smooth = image.convert(_SMOOTH_MODES.get(image.mode, image.mode))
    size = tuple(max(MIN_SIDE_PX, round(side * scale)) for side in image.size)
    return smooth.resize((size[0], size[1]), _SHRINKING, reducing_gap=_REDUCING_GAP)


def _cheapest_format(image: Image.Image) -> ImageFormat:
    if image.mode in {"1", "P"}:
        return "png"
    return "png" if image.mode == "L" and has_few_levels(image) else "jpeg"


@dataclass(frozen=True, slots=True)
class _Encoder:
    """How Pillow writes a format."""

    modes: dict[str, str]
    """The mode to convert into, for those that the format does not take."""
    options: dict[str, Any]
    takes_quality: bool


_ENCODERS: dict[ImageFormat, _Encoder] = {
    "jpeg": _Encoder({"1": "L", "P": "RGB"}, {}, takes_quality=True),
    # Level 1 is three times as fast as the default and costs a tenth in size.
    "png": _Encoder({"RGBX": "RGB"}, {"compress_level": 1}, takes_quality=False),
    "webp": _Encoder({"1": "L", "P": "RGB", "RGBX": "RGB"}, {"method": 0}, takes_quality=True),
}


def _encode(image: Image.Image, image_format: ImageFormat, quality: int) -> _Encoded:
    encoder = _ENCODERS[image_format]
    mode = encoder.modes.get(image.mode, image.mode)
    settings = {**encoder.options, **({"quality": quality} if encoder.takes_quality else {})}
    # Metadata of the source (profiles, EXIF with its orientation) must not follow the picture.
    bare = image if image.mode == mode else image.convert(mode)
    with _memory_file() as file:
        bare.save(file, image_format, icc_profile=None, exif=b"", **settings)
        file.seek(0)
        data = file.read()
    return _Encoded(data=data, mime_type=f"image/{image_format}", size_px=Size(*image.size))


def _memory_file() -> BinaryIO:
    """A file in memory, on Linux one of the system's: while Pillow encodes into such a file, other threads go on."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not every sandbox allows it
            return os.fdopen(os.memfd_create("page"), "w+b", buffering=0)
    return io.BytesIO()
