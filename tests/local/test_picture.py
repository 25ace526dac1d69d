"""Pictures of every colour mode become RGB on white."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.local.picture import open_picture, picture_format

WHITE, GREY, BLACK = (255, 255, 255), (128, 128, 128), (0, 0, 0)


def _saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _palette(transparency: int | bytes | None) -> bytes:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 128, 128, 128])
    return _saved(image) if transparency is None else _saved(image, transparency=transparency)


MODES = {
    "1 bit": (_saved(Image.new("1", (20, 20), 1)), WHITE),
    "grey": (_saved(Image.new("L", (20, 20), 128)), GREY),
    "grey of 16 bits": (_saved(Image.new("I;16", (20, 20), 128 * 257)), GREY),
    "grey of 16 bits, dark": (_saved(Image.new("I;16", (20, 20), 300)), (1, 1, 1)),
    "floating point": (_saved(Image.new("F", (20, 20), 128.0), "TIFF"), GREY),
    "transparent grey": (_saved(Image.new("LA", (20, 20), (0, 0))), WHITE),
    "opaque grey with alpha": (_saved(Image.new("LA", (20, 20), (128, 255))), GREY),
    "half transparent colour": (_saved(Image.new("RGBA", (20, 20), (0, 0, 0, 127))), GREY),
    "palette": (_palette(None), GREY),
    "palette, that colour transparent": (_palette(1), WHITE),
    "palette, an alpha for each colour": (_palette(bytes([255, 0])), WHITE),
    "CMYK": (_saved(Image.new("CMYK", (20, 20), (0, 0, 0, 255)), "TIFF"), BLACK),
    "CMYK JPEG": (_saved(Image.new("CMYK", (20, 20), (0, 0, 0, 0)), "JPEG"), WHITE),
    "WebP": (_saved(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "WEBP", lossless=True), WHITE),
    "BMP": (_saved(Image.new("RGB", (20, 20), GREY), "BMP"), GREY),
}


@pytest.mark.parametrize(("data", "expected"), MODES.values(), ids=MODES)
def test_colour_modes(data, expected):
    """What is transparent becomes white paper; a grey keeps its place between black and white."""
    image = open_picture(data)
    assert image.mode == "RGB"
    pixel = image.getpixel((10, 10))
    assert isinstance(pixel, tuple)
    assert pixel == pytest.approx(expected, abs=2)


def test_stored_orientation_is_left_alone():
    """Places are said in px as stored, so a picture is not turned by its EXIF tag."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_picture(_saved(Image.new("L", (40, 20)), "JPEG", exif=exif)).size == (40, 20)


REFUSED = {
    "GIF": (_saved(Image.new("L", (20, 20)), "GIF"), "GIF is not taken"),
    "text": (b"%PDF-1.7 not a picture", "no picture that is known here"),
    "nothing": (b"", "no picture that is known here"),
    "cut short": (_saved(Image.effect_noise((200, 200), 50))[:4000], "cannot be opened"),
    "10 px": (_saved(Image.new("L", (10, 400))), r"\[height:400 or width:10 must be larger than 10\]"),
    "ratio": (_saved(Image.new("L", (4000, 19))), "aspect ratio must be smaller than 200"),
    "over 8K": (_saved(Image.new("1", (8000, 4320))), "34.6|33.2 megapixels"),
    "a large BMP": (_saved(Image.new("1", (3840, 2200)), "BMP"), "8.3 megapixels"),
    "a bomb": (_saved(Image.new("1", (20_000, 20_000))), "cannot be opened"),
}


@pytest.mark.parametrize(("data", "complaint"), REFUSED.values(), ids=REFUSED)
def test_what_the_service_refuses(data, complaint):
    """Formats and sizes beyond the service's limits are refused before their pixels are unpacked."""
    with pytest.raises(SourceError, match=complaint):
        open_picture(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(_saved(Image.new("L", (9, 9)), "JPEG"), "JPEG"), (b"RIFF", None)],
    ids=["a JPEG", "no picture"],
)
def test_picture_format(data, expected):
    """The format is told by the picture's own first bytes."""
    assert picture_format(data) == expected
