"""The blob parser as `images_parser` inside the parsers that call it.

How to run it, and why it is no part of the ordinary run: `tests/hosts/README.md`.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents.base import Blob
from PIL import Image

from langchain_qwen_ocr import QwenOCRBlobParser
from langchain_qwen_ocr.errors import ServiceUnavailableError
from langchain_qwen_ocr.testing import ScriptedTransport, SentRequest, server_error
from tests.readers import picture, reader, shade_of, tiff

# The hosts' own, when they are imported and when they run: langchain-community announces its end, PyMuPDF its types.
_OF_THE_HOSTS = ("ignore:.*langchain-community.*", "ignore:builtin type .*:DeprecationWarning")
pytestmark = [pytest.mark.filterwarnings(warning) for warning in _OF_THE_HOSTS]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pymupdf = pytest.importorskip("pymupdf")
    community = pytest.importorskip("langchain_community.document_loaders")
    pymupdf4llm = pytest.importorskip("langchain_pymupdf4llm")
    pdf_parsers = importlib.import_module("langchain_community.document_loaders.parsers.pdf")
    generic = importlib.import_module("langchain_community.document_loaders.generic")

HOSTS: dict[str, Callable[[Any], Any]] = {
    "PyMuPDF": lambda parser: pdf_parsers.PyMuPDFParser(extract_images=True, images_parser=parser),
    "pypdf": lambda parser: pdf_parsers.PyPDFParser(extract_images=True, images_parser=parser),
    "PyMuPDF4LLM": lambda parser: pymupdf4llm.PyMuPDF4LLMParser(extract_images=True, images_parser=parser),
}


def pdf_with(*pictures: Image.Image, kind: str = "PNG") -> Blob:
    """A PDF with a page of text and pictures on it."""
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 60), "Words of the page")
    for number, image in enumerate(pictures):
        stream = io.BytesIO()
        image.save(stream, kind)
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


PICTURES = {
    "1-bit": (Image.new("1", (200, 110), 0), "PNG", 0),
    "grey": (Image.new("L", (200, 110), 80), "PNG", 80),
    "grey JPEG": (Image.new("L", (200, 110), 80), "JPEG", 80),
    "RGB": (Image.new("RGB", (200, 110), (80, 80, 80)), "PNG", 80),
    "RGB JPEG": (Image.new("RGB", (200, 110), (80, 80, 80)), "JPEG", 80),
    "palette": (Image.new("RGB", (200, 110), (80, 80, 80)).quantize(4), "PNG", 80),
    "transparent": (Image.new("RGBA", (200, 110), (80, 80, 80, 255)), "PNG", 80),
    "CMYK JPEG without ink": (Image.new("CMYK", (200, 110), (0, 0, 0, 0)), "JPEG", 255),
}
"""A picture, how it is stored in the PDF, and the shade that a reader sees."""
_CRASHES = {
    ("pypdf", "1-bit"): (ValueError, "PyPDFParser takes eight pixels of a byte for one and cannot reshape them"),
    ("pypdf", "grey"): (TypeError, "PyPDFParser gives Pillow a third dimension that grey pictures have not"),
}
"""Where the host breaks down before it calls any parser: langchain-community 0.4.2."""


def _combinations() -> list[Any]:
    return [
        pytest.param(
            host,
            name,
            id=f"{host}-{name}",
            marks=[pytest.mark.xfail(raises=_CRASHES[host, name][0], reason=_CRASHES[host, name][1], strict=True)]
            if (host, name) in _CRASHES
            else [],
        )
        for host in HOSTS
        for name in PICTURES
    ]


@pytest.mark.parametrize(("host", "name"), _combinations())
def test_pictures_are_read(host, name):
    """The picture's text stands in the page beside the page's own words, and its colours are what the eye sees."""
    image, kind, shade = PICTURES[name]
    images_parser, transport = parser()

    text = "".join(
        document.page_content for document in HOSTS[host](images_parser).lazy_parse(pdf_with(image, kind=kind))
    )

    assert "Words of the page" in text
    assert f"SHADE-{shade}" in text
    assert transport.calls == 1


@pytest.mark.parametrize("host", ["PyMuPDF", "pypdf"])  # PyMuPDF4LLM draws pictures anew, at their size on the page
def test_ornaments_are_not_sent(host):
    """A picture too small to hold text costs nothing, and the host goes on."""
    images_parser, transport = parser()

    documents = list(HOSTS[host](images_parser).lazy_parse(pdf_with(Image.new("RGB", (8, 8), "black"))))

    assert "Words of the page" in "".join(document.page_content for document in documents)
    assert transport.calls == 0


@pytest.mark.parametrize("host", HOSTS)
def test_the_host_hears_of_a_failure(host):
    """With `on_error="raise"` the host's caller gets the error of the picture, not an empty page."""
    images_parser, _ = parser(server_error())

    with pytest.raises(ServiceUnavailableError):
        list(HOSTS[host](images_parser).lazy_parse(pdf_with(Image.new("RGB", (200, 110), "gray"))))


def test_a_loader_of_files(tmp_path):
    """`GenericLoader` finds the files, this parser reads them: one Document for each page, with its source."""
    (tmp_path / "a.png").write_bytes(picture(40, (64, 64)))
    tiff(tmp_path / "b.tiff", 2)
    (tmp_path / "notes.txt").write_text("not for us")
    images_parser, _ = parser()

    loader = generic.GenericLoader.from_filesystem(
        str(tmp_path), suffixes=[".png", ".tiff"], parser=images_parser, show_progress=False
    )

    assert sorted(
        (Path(document.metadata["source"]).name, document.metadata["page"], document.page_content)
        for document in loader.lazy_load()
    ) == [("a.png", 0, "SHADE-40"), ("b.tiff", 0, "SHADE-40"), ("b.tiff", 1, "SHADE-60")]


def test_a_loader_of_pdfs(tmp_path):
    """A PDF's pages are read whole by the parser itself, in place of a host that glues pictures behind the text."""
    (tmp_path / "report.pdf").write_bytes(pdf_with(Image.new("RGB", (200, 110), "gray")).as_bytes())
    images_parser, transport = parser(lambda sent: "Words and picture")

    loader = generic.GenericLoader.from_filesystem(str(tmp_path), glob="*.pdf", parser=images_parser)

    assert [document.page_content for document in loader.load()] == ["Words and picture"]
    assert transport.calls == 1


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
