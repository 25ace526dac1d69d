"""Pictures of every format and mode become pages, and the pictures that are sent."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageSequence

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import PixelBudget, Quad, Size
from langchain_qwen_ocr.pages import ImageOptions, PreparedImage, SourceLimits, open_pages, prepare
from tests.pages.documents import BLUE, RED, encoded, marked, noisy, opened, red_box, saved


def prepared(source: object, options: ImageOptions | None = None, **how: Any) -> PreparedImage:
    (page,) = open_pages(source, **how)
    return prepare(page, options or ImageOptions())


FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"]


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_is_opened_by_its_content(tmp_path, image_format):
    """A picture is read whatever its name says."""
    path = saved(tmp_path, "scan.txt", encoded(marked(), image_format))
    image = prepared(path)
    assert image.page.size_px == Size(120, 80)
    assert red_box(opened(image.data)) is not None


def test_heic_is_read_with_its_extra():
    """A phone's HEIC picture becomes a page."""
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(marked()).save(buffer)
    image = prepared(buffer.getvalue())
    assert image.page.size_px == Size(120, 80)
    assert red_box(opened(image.data)) == pytest.approx((0, 0, 20, 10), abs=2)


@pytest.mark.parametrize(
    ("image_format", "mime_type", "options"),
    [
        ("JPEG", "image/jpeg", {}),
        ("JPEG", "image/jpeg", {"progressive": True}),
        ("PNG", "image/png", {}),
        ("WEBP", "image/webp", {}),
    ],
    ids=["jpeg", "progressive-jpeg", "png", "webp"],
)
def test_a_picture_that_can_be_sent_is_not_touched(image_format, mime_type, options):
    """An upright, opaque picture within the limits goes out byte for byte."""
    data = encoded(noisy(), image_format, **options)
    image = prepared(data)
    assert image.data == data
    assert image.mime_type == mime_type
    assert image.size_px == image.page.size_px == Size(640, 480)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (encoded(noisy(), "JPEG"), ImageOptions(image_format="png")),
        (encoded(noisy(), "JPEG"), ImageOptions(budget=PixelBudget(max_pixels=200_000))),
        (encoded(noisy(), "PNG"), ImageOptions(max_data_url_chars=300_000)),
        (encoded(noisy().convert("RGBA"), "PNG"), ImageOptions()),
        (encoded(noisy().convert("CMYK"), "JPEG"), ImageOptions()),
        (encoded(noisy(), "BMP"), ImageOptions()),
        (encoded(noisy(3900, 40), "WEBP"), ImageOptions()),
    ],
    ids=["format", "budget", "data-url", "alpha", "cmyk", "bmp", "webp-beyond-4k"],
)
def test_a_picture_that_cannot_be_sent_is_encoded_anew(data, options):
    """What the service or the caller would not take is drawn again, within the limits."""
    image = prepared(data, options)
    assert image.data != data
    assert image.size_px.area_px2 <= options.budget.max_pixels
    assert len(image.data) * 4 / 3 <= options.max_data_url_chars


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_follow_exif_orientation(orientation):
    """A photo stored in any of the eight ways gets its boxes where the eye sees them."""
    upright = marked()
    stored = upright
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation in undo:
        stored = upright.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    image = prepared(data, ImageOptions(budget=PixelBudget(max_pixels=5_000), image_format="png"))
    assert image.page.size_px == Size(120, 80)
    left, top, right, bottom = red_box(opened(image.data))
    on_page = Quad.of(left, top, right, bottom).mapped(image.to_page)
    assert on_page.bounds == pytest.approx((0, 0, 20, 10), abs=2)


def test_boxes_follow_exif_orientation_through_shrinking():
    """A large photo that the decoder already halves gets its boxes on the full, upright page."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = marked(120, 80).resize((1200, 800), Image.Resampling.NEAREST).transpose(Image.Transpose.ROTATE_90)
    image = prepared(
        encoded(stored, "JPEG", exif=exif, quality=95),
        ImageOptions(budget=PixelBudget(max_pixels=100_000), image_format="png"),
    )
    assert image.page.size_px == Size(1200, 800)
    on_page = Quad.of(*red_box(opened(image.data))).mapped(image.to_page)
    assert on_page.bounds == pytest.approx((0, 0, 200, 100), abs=6)


def test_webp_beyond_4k_becomes_jpeg():
    """The service takes no WebP of that size, whatever the caller prefers."""
    image = prepared(noisy(3900, 40), ImageOptions(image_format="webp"))
    assert image.mime_type == "image/jpeg"
    assert prepared(noisy(390, 40), ImageOptions(image_format="webp")).mime_type == "image/webp"


def test_heic_without_its_extra_names_it(monkeypatch):
    """Who has not installed the extra is told its name."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(SourceError, match=r'pip install "langchain-qwen-ocr\[heif\]"') as caught:
        prepared(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", name="IMG_1.HEIC")
    assert caught.value.source == "IMG_1.HEIC"


def test_a_turned_jpeg_is_not_passed_through():
    """A JPEG whose EXIF turns it is sent upright, without the tag."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = prepared(encoded(marked(), "JPEG", exif=exif))
    assert image.size_px == Size(80, 120)
    assert 0x0112 not in Image.open(io.BytesIO(image.data)).getexif()


def test_a_large_picture_is_shrunk_to_what_the_model_sees():
    """The service finds nothing left to resize, and places come back in the original's pixels."""
    image = prepared(encoded(noisy(2000, 1000), "JPEG"), ImageOptions(budget=PixelBudget(max_pixels=500_000)))
    assert image.size_px == Size(992, 480)
    assert image.to_page(992, 480) == pytest.approx((2000, 1000))
    assert image.page.size_px == Size(2000, 1000)


def test_strong_shrinking_is_said():
    """A page that loses most of its pixels carries a warning that names the remedy."""
    image = prepared(encoded(noisy(2000, 1000), "JPEG"), ImageOptions(budget=PixelBudget(max_pixels=200_000)))
    assert "Raise max_pixels" in image.warnings[0]


def test_a_thin_strip_is_padded():
    """A line of text 6 px high gets white below it, and its places stay where they were."""
    image = prepared(encoded(noisy(300, 6), "PNG"))
    assert image.size_px == Size(300, 11)
    assert image.page.size_px == Size(300, 6)
    assert image.to_page(300, 6) == (300, 6)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 0, (0, 0, 0)),
        ("L", 90, (90, 90, 90)),
        ("LA", (90, 255), (90, 90, 90)),
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
        ("I;16", 90 * 257, (90, 90, 90)),
        ("I", 90 * 257, (90, 90, 90)),
        ("F", 90 / 255, (90, 90, 90)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("HSV", (0, 0, 255), (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
    ],
    ids=str,
)
def test_every_mode_is_sent_as_the_eye_sees_it(mode, colour, expected):
    """Pictures of all modes keep their colours; what is transparent lies on white."""
    # Half of the picture is one colour, so that a scaling by the extremes would be seen.
    source = Image.new(mode, (60, 40), colour)
    sent = opened(prepared(source, ImageOptions(image_format="png")).data)
    assert sent.getpixel((30, 20)) == pytest.approx(expected, abs=2)


def test_a_transparent_palette_lies_on_white():
    """A GIF-like picture with a transparent colour does not turn black."""
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    data = encoded(image, "PNG", transparency=1)
    assert opened(prepared(data).data).getpixel((20, 20)) == (255, 255, 255)


def test_cmyk_goes_through_its_own_profile():
    """A profile in the file decides how its inks look."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = encoded(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "TIFF", icc_profile=srgb.tobytes())
    image = prepared(data)  # an RGB profile cannot be one of CMYK
    assert "approximate" in image.warnings[0]
    assert opened(image.data).getpixel((20, 20)) == pytest.approx((255, 0, 0), abs=3)


@pytest.mark.parametrize(
    ("image", "mime_type"),
    [
        (Image.effect_noise((300, 200), 80).convert("1"), "image/png"),
        (Image.new("L", (300, 200), 200), "image/png"),
        (Image.effect_noise((300, 200), 80), "image/jpeg"),
        (noisy(300, 200), "image/jpeg"),
    ],
    ids=["bilevel", "few-greys", "grey", "colour"],
)
def test_the_encoding_suits_the_picture(image, mime_type):
    """Ink on paper is sent as PNG, shades as JPEG."""
    assert prepared(image).mime_type == mime_type


def test_grey_in_colour_is_sent_grey():
    """Three equal channels are sent as one."""
    grey = Image.effect_noise((300, 200), 80)
    image = prepared(Image.merge("RGB", (grey, grey, grey)))
    assert Image.open(io.BytesIO(image.data)).mode == "L"


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_a_system_without_files_in_memory(monkeypatch, image_format):
    """The same bytes come out where the system has no such files, or does not allow them."""
    source, options = encoded(noisy(300, 200), "BMP"), ImageOptions(image_format=image_format)
    usual = prepared(source, options).data

    def refuse(name: str) -> int:
        raise PermissionError(name)

    monkeypatch.setattr("os.memfd_create", refuse, raising=False)
    assert prepared(source, options).data == usual


def test_the_data_url_stays_within_its_limit():
    """A picture that is too long is squeezed, with a warning, and still maps to its page."""
    image = prepared(noisy(), ImageOptions(max_data_url_chars=60_000))
    assert len(image.data) * 4 / 3 < 60_000
    assert "data URL" in image.warnings[0]
    assert image.to_page(*image.size_px) == pytest.approx((640, 480))


def test_a_picture_that_cannot_be_squeezed_is_refused():
    """When the caller's format and limit leave no way, the error says what to change."""
    with pytest.raises(SourceError, match=r"Page 1 of image.*Lower max_pixels"):
        prepared(noisy(), ImageOptions(max_data_url_chars=1_000))


def test_all_frames_of_a_tiff_are_pages(tmp_path):
    """A fax of three sheets has three pages, each with its own size."""
    sheets = [marked(120 + 10 * i, 80) for i in range(3)]
    path = saved(tmp_path, "fax.tif", encoded(sheets[0], "TIFF", save_all=True, append_images=sheets[1:]))
    images = [prepare(page, ImageOptions()) for page in open_pages(path)]
    assert [image.page.page_index for image in images] == [0, 1, 2]
    assert [image.page.total_pages for image in images] == [3, 3, 3]
    assert [image.page.size_px.width_px for image in images] == [120, 130, 140]


def test_tiff_frames_may_be_drawn_in_any_order():
    """Pages in flight finish in any order, and still show their own frame."""
    sheets = [Image.new("RGB", (40, 40), colour) for colour in (RED, BLUE, (20, 200, 20))]
    pages = list(open_pages(encoded(sheets[0], "TIFF", save_all=True, append_images=sheets[1:])))
    colours = [opened(prepare(page, ImageOptions()).data).getpixel((20, 20)) for page in reversed(pages)]
    assert colours == [pytest.approx(c, abs=3) for c in ((20, 200, 20), BLUE, RED)]


def test_a_turned_tiff_is_upright():
    """A TIFF's own orientation is applied once."""
    data = encoded(marked(), "TIFF", tiffinfo={274: 6})
    image = prepared(data)
    assert image.page.size_px == Size(80, 120)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_frames_of_an_animation_are_pages(image_format):
    """A screen recording of two frames has two pages."""
    frames = [Image.new("RGB", (60, 40), RED), Image.new("RGB", (60, 40), BLUE)]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], duration=100)
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(data))))) == 2
    images = [prepare(page, ImageOptions()) for page in open_pages(data)]
    colours = [opened(image.data).getpixel((30, 20)) for image in images]
    assert colours == [pytest.approx(RED, abs=4), pytest.approx(BLUE, abs=4)]
    assert all(image.mime_type in {"image/png", "image/jpeg"} for image in images)


class Blob:
    """What a LangChain blob offers."""

    def __init__(self, data: bytes | None = None, path: str | None = None, source: str | None = None) -> None:
        self.data, self.path, self.source, self.mimetype = data, path, source, None

    def as_bytes(self) -> bytes:
        assert self.data is not None, "a blob of a file is opened by its path"
        return self.data


def test_sources_of_all_kinds_open(tmp_path):
    """A path, bytes, a file, a picture, a blob and an array give the same page, under their own names."""
    data = encoded(marked(), "PNG")
    path = saved(tmp_path, "page.png", data)
    with path.open("rb") as file:
        sources = [
            (path, str(path)),
            (str(path), str(path)),
            (data, "bytes"),
            (memoryview(data), "bytes"),
            (io.BytesIO(data), "stream"),
            (file, str(path)),
            (marked(), "image"),
            (Blob(data=data, source="inbox/7"), "inbox/7"),
            (Blob(path=str(path), source="the file"), "the file"),
        ]
        for source, name in sources:
            image = prepared(source)
            assert (image.page.source, image.page.size_px) == (name, Size(120, 80))


def test_arrays_are_pictures():
    """A NumPy array and a file of one become pages; four channels in a file are inks."""
    numpy = pytest.importorskip("numpy")
    cases = [
        (numpy.full((20, 30), 90, "uint8"), (90, 90, 90)),
        (numpy.full((20, 30), True), (255, 255, 255)),
        (numpy.full((20, 30, 3), RED, "uint8"), RED),
        (numpy.full((20, 30, 1), 90, "uint8"), (90, 90, 90)),
        (numpy.full((20, 30), 90 * 257, "uint16"), (90, 90, 90)),
    ]
    png = ImageOptions(image_format="png")
    for array, colour in cases:
        assert opened(prepared(array, png).data).getpixel((15, 10)) == pytest.approx(colour, abs=2)
        buffer = io.BytesIO()
        numpy.save(buffer, array)
        assert opened(prepared(buffer.getvalue(), png).data).getpixel((15, 10)) == pytest.approx(colour, abs=2)
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.full((20, 30, 4), (0, 255, 255, 0), "uint8"))
    assert opened(prepared(buffer.getvalue(), png).data).getpixel((15, 10)) == (255, 0, 0)


def test_nothing_is_opened_before_the_first_page():
    """A source that is never asked for a page is never looked at."""
    open_pages("no such file.png").close()


def test_the_file_of_a_tiff_is_closed_with_its_pages(tmp_path):
    """When the pages are gone, no handle is left."""
    path = saved(tmp_path, "fax.tif", encoded(marked(), "TIFF", save_all=True, append_images=[marked()]))
    pages = list(open_pages(path))
    prepare(pages[1], ImageOptions())
    assert str(path) in open_files()
    pages.clear()
    assert str(path) not in open_files()


def open_files() -> set[str]:
    """What this process holds open."""
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("the system does not list open files")
    return {str(handle.readlink()) for handle in handles.iterdir() if handle.is_symlink()}


def test_limits_are_the_callers():
    """A caller with strange files may raise a limit, and one with strange users lower it."""
    data = encoded(marked(), "PNG")
    with pytest.raises(SourceError, match=r"120x80 px, more than 100 .*max_pixels of SourceLimits"):
        list(open_pages(data, limits=SourceLimits(max_pixels=100)))
    with pytest.raises(SourceError, match=r"larger than 10 bytes.*max_bytes"):
        list(open_pages(data, limits=SourceLimits(max_bytes=10)))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (90000, 90000)}", "fewer than its shape says"),
        ("-" * 20_000 + "1", "header is too long"),
    ],
    ids=["shape", "header"],
)
def test_an_array_that_promises_more_than_it_holds(header, says):
    """Nothing is set aside for samples that are not there, and no header is taken apart without end."""
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 100

    with pytest.raises(SourceError, match=says):
        next(open_pages(array))
