"""The blob parser as `images_parser` inside the parsers that call it: `pip install "langchain-qwen-ocr[hosts]"`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents.base import Blob
from PIL import Image

from langchain_qwen_ocr import QwenOCRBlobParser
from langchain_qwen_ocr.testing import ScriptedTransport, SentRequest, server_error
from tests.readers import reader, shade_of

pytestmark = pytest.mark.filterwarnings("ignore")  # the hosts' own, such as the sunset of langchain-community

pymupdf = pytest.importorskip("pymupdf")
community = pytest.importorskip("langchain_community.document_loaders.parsers.pdf")
pymupdf4llm = pytest.importorskip("langchain_pymupdf4llm")

HOSTS: dict[str, Callable[[Any], Any]] = {
    "PyMuPDF": lambda parser: community.PyMuPDFParser(extract_images=True, images_parser=parser),
    "pypdf": lambda parser: community.PyPDFParser(extract_images=True, images_parser=parser),
    "PyMuPDF4LLM": lambda parser: pymupdf4llm.PyMuPDF4LLMParser(extract_images=True, images_parser=parser),
}


def pdf_with(*pictures: Image.Image, kind: str = "PNG") -> Blob:
    """A PDF with a page of text and pictures on it."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 60), "Words of the page")
    for number, picture in enumerate(pictures):
        stream = io.BytesIO()
        picture.save(stream, kind)
        page.insert_image(pymupdf.Rect(72, 80 + 120 * number, 272, 190 + 120 * number), stream=stream.getvalue())
    return Blob.from_data(
        document.tobytes(deflate=True, deflate_images=True),
        mime_type="application/pdf",
        metadata={"source": "report.pdf"},
    )


def parser(script: Any = None, **options: Any) -> tuple[QwenOCRBlobParser, ScriptedTransport]:
    """A parser whose answers name the picture's shade, and what was sent."""
    transport = ScriptedTransport(script or (lambda sent: f"SHADE-{shade_of(sent.pictures[0])}"))
    return QwenOCRBlobParser(ocr=reader(transport), **options), transport


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_are_read(host, mode):
    """The picture's text stands in the page, beside the page's own words."""
    shade = 80
    picture = Image.new(mode, (200, 110), shade if mode == "L" else (shade, shade, shade))
    images_parser, transport = parser()
    try:
        text = "".join(document.page_content for document in HOSTS[host](images_parser).lazy_parse(pdf_with(picture)))
    except TypeError:
        pytest.skip(f"{host} does not get a picture of mode {mode} out of the PDF")

    assert "Words of the page" in text
    assert "SHADE-80" in text
    assert transport.calls == 1


@pytest.mark.parametrize("host", ["PyMuPDF", "PyMuPDF4LLM"])
def test_ink_is_ink(host):
    """A CMYK picture without ink is white."""
    images_parser, _ = parser()
    picture = Image.new("CMYK", (200, 110), (0, 0, 0, 0))

    text = "".join(
        document.page_content for document in HOSTS[host](images_parser).lazy_parse(pdf_with(picture, kind="JPEG"))
    )

    assert "SHADE-255" in text


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("on_error", ["record", "skip"])
def test_a_bad_picture_does_not_lose_the_page(host, on_error):
    """The host goes on with the page's own words."""
    images_parser, _ = parser(server_error(), on_error=on_error)

    documents = list(HOSTS[host](images_parser).lazy_parse(pdf_with(Image.new("RGB", (200, 110), "gray"))))

    assert "Words of the page" in "".join(document.page_content for document in documents)


@pytest.mark.parametrize("host", HOSTS)
def test_a_logo_is_read_once(host):
    """The same picture on every page costs one call."""

    def answer(sent: SentRequest) -> str:
        return "LOGO"

    images_parser, transport = parser(answer)
    logo = pdf_with(Image.new("RGB", (200, 110), (9, 90, 200)))

    for _ in range(3):
        list(HOSTS[host](images_parser).lazy_parse(logo))

    assert transport.calls == 1
