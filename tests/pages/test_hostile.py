"""Whatever is given, only SourceError comes out, naming the source and what to do."""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from langchain_qwen_ocr.errors import OptionError, SourceError
from langchain_qwen_ocr.pages import ImageOptions, PreparedImage, SourceLimits, open_pages, parse_page_ranges, prepare
from tests.pages.documents import encoded, line_of_text, marked, noisy, pdf, raw_pdf, saved, scan


def read_all(source: object, **how: Any) -> list[PreparedImage]:
    return [prepare(page, ImageOptions()) for page in open_pages(source, **how)]


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


# Encrypted with the user password "secret" would need a writer with ciphers; a wrong key check says enough to PDFium.
ENCRYPTED = raw_pdf(
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
    f"<< /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >>",
    trailer=f"/Encrypt 4 0 R /ID [<{'00' * 16}> <{'00' * 16}>] ",
)

HOSTILE = {
    "zero-bytes": (b"", r"bytes is empty"),
    "text": (b"Dear Sir or Madam, this is no picture.", r"looks like text.*Give JPEG"),
    "html": (b"<!DOCTYPE html><html></html>", r"is a web page"),
    "office": (b"PK\x03\x04" + bytes(40), r"export it as PDF"),
    "noise": (bytes(range(1, 60)), r"begins with 01 02"),
    "cut-jpeg": (encoded(noisy(), "JPEG")[:9_000], r"Page 1 of bytes.*cut or damaged"),
    "jpeg-header-only": (b"\xff\xd8\xff\xe0\x00\x10JFIF", r"cut or damaged"),
    "cut-png": (encoded(noisy(), "PNG")[:9_000], r"cut or damaged"),
    "cut-webp": (encoded(noisy(), "WEBP")[:3_000], r"cut or damaged"),
    "cut-tiff": (encoded(noisy(), "TIFF")[:9_000], r"cut or damaged"),
    "cut-gif": (encoded(noisy(), "GIF")[:9_000], r"cut or damaged"),
    "cut-bmp": (encoded(noisy(), "BMP")[:9_000], r"cut or damaged"),
    "cut-avif": (encoded(noisy(), "AVIF")[:900], r"cut or damaged"),
    "heif-header-only": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"cut or damaged|extra"),
    "npy-header-only": (b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8'}", r"cut or damaged"),
    "bomb": (png_that_declares(100_000, 100_000), r"declares 100000x100000 px.*max_pixels"),
    "one-pixel": (encoded(Image.new("RGB", (1, 1)), "PNG"), r"too small to hold text"),
    "strip": (encoded(Image.new("RGB", (5000, 20)), "PNG"), r"at most 200 times.*split_page"),
    "cut-pdf": (pdf(line_of_text("x"))[:60], r"cut or damaged"),
    "pdf-of-nothing": (b"%PDF-1.7\n%%EOF", r"no PDF that can be opened"),
    "encrypted": (ENCRYPTED, r"bytes is encrypted\. Pass its password"),
    "pdf-strip": (pdf(line_of_text("x"), size_pt=(5000, 10)), r"at most 200 times"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_give_an_error_of_ours(data, message):
    """Each says what is wrong with which source, and what to do; nothing is printed or warned of."""
    with pytest.raises(SourceError, match=message) as caught:
        read_all(data)
    assert caught.value.source == "bytes"


def test_a_wrong_password_is_told_from_none():
    """Who gave a password is not asked to give one."""
    with pytest.raises(SourceError, match="the password given does not open it"):
        read_all(ENCRYPTED, password="guess")


def test_a_pdf_of_ten_thousand_pages_is_refused_and_a_part_of_it_read():
    """A limit stands before the work, and names the way round it."""
    kids = "3 0 R " * 10_000
    data = raw_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count 10000 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
    )
    with pytest.raises(SourceError, match=r'10000 pages.*Choose some with pages="1-5000"'):
        next(open_pages(data))
    assert [page.page_number for page in open_pages(data, pages="9999-")] == [9999, 10_000]


def test_a_broken_xref_table_is_repaired():
    """A PDF whose table of contents is wrong is read all the same."""
    data = pdf(line_of_text("x")).replace(b"startxref", b"startxxxx")
    assert len(read_all(data)) == 1


def test_paths_that_are_no_files(tmp_path):
    """A missing file, a folder, a pipe and a device are named for what they are, and never waited for."""
    with pytest.raises(SourceError, match=r"There is no file .*gone\.png"):
        read_all(tmp_path / "gone.png")
    with pytest.raises(SourceError, match="is a folder"):
        read_all(tmp_path)
    with pytest.raises(SourceError, match="is empty"):
        read_all(saved(tmp_path, "empty.pdf", b""))
    with pytest.raises(SourceError, match="Check the path"):
        read_all("a\0b.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(SourceError, match="a device or a pipe"):
            read_all(tmp_path / "pipe.png")
        with pytest.raises(SourceError, match="a device or a pipe"):
            read_all("/dev/zero")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (42, "int is no source"),
        (None, "NoneType is no source"),
        ("ftp://example.com/a.png", "only https addresses"),
        ("file:///etc/passwd", "only https addresses"),
        ("http://example.com/a.png", "only https addresses"),
    ],
)
def test_what_is_no_source(source, message):
    """Other things than sources, and other schemes than https, are refused."""
    with pytest.raises(SourceError, match=message):
        read_all(source)


def test_a_file_opened_for_text(tmp_path):
    """A file opened without "b" is told from a broken one."""
    path = saved(tmp_path, "a.txt", b"text")
    with path.open(encoding="utf-8") as file, pytest.raises(SourceError, match='mode "rb"'):
        read_all(file)


def test_a_broken_frame_leaves_its_neighbours_alone():
    """The second sheet of a fax is damaged; the first and the third are read."""
    sheets = [Image.effect_noise((200, 100), 80) for _ in range(3)]
    data = bytearray(encoded(sheets[0], "TIFF", save_all=True, append_images=sheets[1:], compression="tiff_deflate"))
    second = data.find(zlib.compress(sheets[1].tobytes())[:16])
    assert second > 0
    data[second : second + 400] = bytes(400)
    pages = list(open_pages(bytes(data)))
    assert len(pages) == 3
    prepare(pages[0], ImageOptions())
    with pytest.raises(SourceError, match="Page 2 of bytes"):
        prepare(pages[1], ImageOptions())
    prepare(pages[2], ImageOptions())


def test_too_many_frames_are_refused():
    """An animation without end is not decoded."""
    frames = [Image.new("L", (30, 30), i) for i in range(6)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(SourceError, match=r"6 frames, more than 4.*max_frames"):
        read_all(data, limits=SourceLimits(max_frames=4))


SMALL = {
    "jpeg": encoded(marked(), "JPEG"),
    "png": encoded(marked(), "PNG"),
    "palette-png": encoded(marked().convert("P"), "PNG", transparency=3),
    "webp": encoded(marked(), "WEBP"),
    "bmp": encoded(marked(), "BMP"),
    "gif": encoded(marked(), "GIF", save_all=True, append_images=[noisy(120, 80)]),
    "tiff": encoded(marked(), "TIFF", save_all=True, append_images=[noisy(20, 20)]),
    "lzw-tiff": encoded(marked(), "TIFF", compression="tiff_lzw"),
    "avif": encoded(marked(), "AVIF"),
    "pdf": pdf(line_of_text("x"), scan(encoded(marked(), "JPEG"))),
}


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_mutated_files_give_pages_or_an_error_of_ours(data):
    """Damage anywhere in a file ends in pages or in SourceError; nothing else escapes, not even a warning."""
    content = bytearray(SMALL[data.draw(st.sampled_from(sorted(SMALL)))])
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pages = open_pages(bytes(content[:cut]), limits=SourceLimits(max_pixels=10**6, max_pages=20, max_frames=20))
        while True:
            with contextlib.suppress(SourceError):
                page = next(pages, None)
                if page is None:
                    break
                prepare(page, ImageOptions())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' names no pages"),
        ("1,,3", "'' names no pages"),
        ("a-b", "'a-b' names no pages"),
        ("-", "'-' names no pages"),
        ("0-3", "'0-3' starts at 0"),
        ("3,5-2", "'5-2' runs backwards"),
        ("1-2-3", "'1-2-3' names no pages"),
        ("1 2", "'1 2' names no pages"),
        (1, "pages is text"),
    ],
)
def test_page_ranges_name_the_part_that_is_wrong(text, message):
    """An argument that cannot work is refused before anything is opened."""
    with pytest.raises(OptionError, match=message):
        parse_page_ranges(text)
    with pytest.raises(OptionError):
        open_pages(b"", pages=text)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), min_size=1, max_size=6))
def test_page_ranges_hold_what_they_name(parts):
    """The pages of a range are those between its ends, sorted, each once."""
    text = ",".join(f"{low}-{low + more}" if more else str(low) for low, more in parts)
    expected = sorted({n - 1 for low, more in parts for n in range(low, low + more + 1)})
    ranges = parse_page_ranges(text)
    assert ranges.indexes(100, source="x") == expected
    assert [i for i in range(100) if i in ranges] == expected
