"""A source becomes pages, one after the other, none decoded before it is drawn."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast, runtime_checkable

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.pages.content import Content, find_kind
from langchain_qwen_ocr.pages.limits import SourceLimits
from langchain_qwen_ocr.pages.page import Page
from langchain_qwen_ocr.pages.ranges import PageRanges, parse_page_ranges


@runtime_checkable
class HasBytes(Protocol):
    """Anything that gives its bytes, such as LangChain's `Blob`, whose `source`, `path` and `data` are used too."""

    def as_bytes(self) -> bytes:
        """The bytes."""


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""Of an address; two letters at least, so that a drive letter is none."""

Fetch = Callable[[str, SourceLimits], bytes]
"""Gets the file behind an https address."""


def open_pages(
    source: object,
    *,
    pages: str | None = None,
    password: str | None = None,
    limits: SourceLimits | None = None,
    name: str | None = None,
    fetch: Fetch | None = None,
) -> Generator[Page, None, None]:
    """The pages of *source*, in page order, none decoded before it is drawn.

    What the source is, its first bytes decide: JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC, AVIF, PDF, or a NumPy array. The
    frames of a TIFF or an animation are pages. A broken page raises when it is drawn and leaves those after it alone.
    The file is closed when the iterator has ended, or was closed, and its pages are gone.

    Args:
        source: A path, an https address, bytes, a file opened for bytes, a PIL image, a NumPy array, or anything with
            `as_bytes()` such as a LangChain `Blob`.
        pages: Such as "1-3,7,10-", counted from 1; None for all.
        password: Of an encrypted PDF.
        limits: What is too large; None for the defaults.
        name: How errors and readings call the source; None for its own name.
        fetch: What gets the file of an address; None for the guarded fetch of this package.

    Raises:
        OptionError: *pages* cannot be understood; raised at once.
        SourceError: At the first page: there is no such source, it is broken, encrypted, beyond a limit, or has no
            such pages.
    """
    ranges = parse_page_ranges(pages)
    return _pages(source, ranges, password=password, limits=limits or SourceLimits(), name=name, fetch=fetch)


def _pages(
    source: object,
    ranges: PageRanges,
    *,
    password: str | None,
    limits: SourceLimits,
    name: str | None,
    fetch: Fetch | None,
) -> Generator[Page, None, None]:
    """The same, as a generator, so that nothing is opened before the first page is asked for."""
    in_memory = _decoded_pages(source, ranges, limits, name)
    if in_memory is not None:
        yield from in_memory
        return
    content = _content(source, limits, name, fetch)
    kind = find_kind(content)
    if kind == "PDF":
        from langchain_qwen_ocr.pages.pdf import open_pdf

        yield from open_pdf(content, ranges, limits, password=password)
    else:
        from langchain_qwen_ocr.pages.pictures import open_picture

        yield from open_picture(content, kind, ranges, limits)


def _decoded_pages(source: object, ranges: PageRanges, limits: SourceLimits, name: str | None) -> Iterator[Page] | None:
    """The pages of a picture that is in memory as pixels; None when the source is something else."""
    if isinstance(source, (str, bytes, os.PathLike)):
        return None
    from PIL import Image

    from langchain_qwen_ocr.pages.pictures import array_picture, open_image

    if isinstance(source, Image.Image):
        return open_image(source, name or str(getattr(source, "filename", "") or "image"), ranges, limits)
    if hasattr(source, "__array_interface__"):
        called = name or "array"
        return open_image(array_picture(source, name=called), called, ranges, limits)
    return None


def _content(source: object, limits: SourceLimits, name: str | None, fetch: Fetch | None) -> Content:
    if isinstance(source, str) and _SCHEME.match(source):
        return _fetched(source, limits, name or source, fetch)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return Content.of_file(path, name=name or str(path), limits=limits)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Content.of_bytes(bytes(source), name=name or "bytes", limits=limits)
    if isinstance(source, HasBytes):
        return _blob_content(source, limits, name)
    if hasattr(source, "read"):
        own_name = getattr(source, "name", None)
        called = name or (own_name if isinstance(own_name, str) else "stream")
        return Content.of_stream(cast("BinaryIO", source), name=called, limits=limits)
    raise SourceError(
        f"{type(source).__name__} is no source. Give a path, an https address, bytes, a file opened for bytes, "
        "a PIL image, a NumPy array, or a LangChain Blob."
    )


def _fetched(url: str, limits: SourceLimits, name: str, fetch: Fetch | None) -> Content:
    if fetch is None:
        from langchain_qwen_ocr.pages.fetch import fetch_bytes

        fetch = fetch_bytes
    return Content.of_bytes(fetch(url, limits), name=name, limits=limits)


def _blob_content(blob: HasBytes, limits: SourceLimits, name: str | None) -> Content:
    """A blob's file when it only points to one, so that a large PDF is not read whole; otherwise its bytes."""
    path = getattr(blob, "path", None)
    called = name or str(getattr(blob, "source", None) or path or "blob")
    if getattr(blob, "data", None) is None and isinstance(path, (str, os.PathLike)):
        return Content.of_file(Path(path), name=called, limits=limits)
    try:
        data = blob.as_bytes()
    except (OSError, ValueError) as error:
        raise SourceError(f"{called} cannot be read ({error}).", source=called) from error
    return Content.of_bytes(data, name=called, limits=limits)
