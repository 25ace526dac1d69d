"""Long PDFs: opened anew every few pages, so that memory does not grow with the document."""

from __future__ import annotations

import io
import itertools
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr.pages import ImageOptions, Page, open_pages, prepare
from langchain_qwen_ocr.pages.pdf_dictionaries import has_masked_pictures, outside_streams
from tests.pages.documents import line_of_text, pdf, raw_pdf, saved

LONG = pdf(*(line_of_text(f"page {number}") for number in range(1, 201)))
"""More pages than one opening serves, three times over."""


def text_of(page: Page) -> str:
    layer = page.inspect_text_layer()
    return "" if layer is None else layer.text


def test_every_page_is_read_across_openings(tmp_path: Path) -> None:
    """200 pages, from memory and from a file, each say their own number and label."""
    for source in (LONG, saved(tmp_path, "long.pdf", LONG)):
        pages = list(open_pages(source))
        assert [text_of(page) for page in pages] == [f"page {number}" for number in range(1, 201)]
        assert {page.total_pages for page in pages} == {200}


def test_every_page_is_read_in_any_order_by_threads() -> None:
    """Pages that threads load at the moment of an opening are those that were asked for."""
    pages = list(open_pages(LONG))
    order = [*range(199, -1, -3), *range(198, -1, -3), *range(197, -1, -3)]
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda index: text_of(pages[index]), order))
    assert texts == [f"page {index + 1}" for index in order]


def open_times(path: Path) -> int:
    """How many handles of a file this process holds."""
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("the system does not list open files")
    held = Counter(str(handle.readlink()) for handle in handles.iterdir() if handle.is_symlink())
    return held[str(path)]


def test_a_document_is_open_once(tmp_path: Path) -> None:
    """The document before is closed when it is opened anew, and the last one with its pages."""
    path = saved(tmp_path, "long.pdf", LONG)
    for page in open_pages(path):
        text_of(page)
        assert open_times(path) == 1
    del page
    assert open_times(path) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be replaced there")
@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, how: str) -> None:
    """The pages are those of the document that was opened."""
    path = saved(tmp_path, "long.pdf", LONG)
    pages = open_pages(path)
    texts = [text_of(next(pages))]
    if how == "replaced":
        saved(tmp_path, "other.pdf", pdf(*[line_of_text("another")] * 200)).replace(path)
    else:
        path.unlink()
    texts.extend(map(text_of, pages))
    assert texts == [f"page {number}" for number in range(1, 201)]


def test_form_fields_are_drawn_after_an_opening() -> None:
    """A field on the last of a hundred pages looks as on the first."""
    kids = " ".join(f"{number} 0 R" for number in range(6, 106))
    field = "<< /Type /Annot /Subtype /Widget /FT /Tx /T (f) /V (12345) /DA (/Helv 24 Tf 0 g) /Rect [20 20 280 80] >>"
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Annots [3 0 R] >>"
    data = raw_pdf(
        "<< /Type /Catalog /Pages 2 0 R /AcroForm 4 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count 100 >>",
        field,
        "<< /Fields [3 0 R] /NeedAppearances true /DR << /Font << /Helv 5 0 R >> >> >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *[page] * 100,
    )
    digests = {prepare(page, ImageOptions()).digest for page in open_pages(data)}
    empty = prepare(next(open_pages(data.replace(b"/V (12345)", b"/W (12345)"))), ImageOptions()).digest
    assert len(digests) == 1
    assert digests != {empty}


# What is said outside of streams


PLAIN = b"7 0 obj\n<</Type/XObject/Subtype/Image/Filter/DCTDecode/Length 10>>stream\n0123456789\nendstream\nendobj\n"


def masked(text: bytes) -> bool:
    return has_masked_pictures(io.BytesIO(text))


@pytest.mark.parametrize(
    "entry",
    [b"/Decode[1 0]", b"/Decode [ 1 0 1 0 1 0 ]", b"/Decode 12 0 R", b"/OC 9 0 R", b"/Mask [0 10]", b"/Mask[255 255]"],
    ids=repr,
)
@pytest.mark.parametrize("far", [0, 100, 3_000, 4_090, 70_000])
def test_masks_are_found_wherever_they_stand(entry: bytes, far: int) -> None:
    """Before and behind streams, and across the borders of what is read at once."""
    masking = PLAIN.replace(b"/Length", entry + b"/Length")
    padding = b"%" + b" " * far + b"\n"
    assert masked(padding + masking)
    assert masked(PLAIN * 50 + padding + masking + PLAIN)
    assert not masked(PLAIN * 50 + padding + PLAIN)


@pytest.mark.parametrize("entry", [b"/Decode[0 1]", b"/Mask 8 0 R", b"/DecodeParms[1 0]", b"/OCGs [1 0 R]"], ids=repr)
def test_what_is_no_mask(entry: bytes) -> None:
    """The usual way round, and other entries of such names; PDFium itself tells of masks that are pictures."""
    assert not masked(PLAIN.replace(b"/Length", entry + b"/Length"))


@pytest.mark.parametrize("length", [b"7", b"99999999999", b"8 0 R", b"-4", b"x", b"0"], ids=repr)
def test_a_length_that_is_not_true_hides_nothing(length: bytes) -> None:
    """Then the stream is looked through like the rest."""
    lying = PLAIN.replace(b"10>>", length + b">>").replace(b"0123456789", b"/Decode[1 ")
    assert masked(lying)
    assert masked(lying.replace(b"/Decode[1 ", b"0123456789") + PLAIN.replace(b"/Length", b"/OC 9 0 R/Length"))


def test_streams_are_jumped_over() -> None:
    """What stands inside a stream is none of the document's words, and is not read."""
    megabyte = bytes(range(32, 132)) * 10_000
    picture = b"1 0 obj\n<</Filter/DCTDecode/Length 1000000>>\nstream\r\n" + megabyte + b"\r\nendstream\nendobj\n"
    assert sum(map(len, outside_streams(io.BytesIO(picture * 5)))) < 50_000
    assert not masked(picture.replace(megabyte[:12], b"/Decode[1 0]"))


@given(st.lists(st.sampled_from([b"stream\n", b"endstream", b"/Length 5", b"/Length 70", b"obj", b"<<", b" ", b"\n"])))
def test_any_arrangement_of_words_ends(words: list[bytes]) -> None:
    """Every piece is of the file, and the end is reached."""
    text = b"".join(words)
    pieces = list(itertools.islice(outside_streams(io.BytesIO(text)), len(words) + 2))
    assert len(pieces) <= len(words) + 1
    assert all(piece in text for piece in pieces)
    assert bool(pieces) == bool(text)
