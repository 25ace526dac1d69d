"""A page of a source, and a picture of it ready to be sent.

A `Page` knows where it comes from and how to draw itself; it is not decoded before that. Pages may be drawn in other
threads than the one that opened their source, several at a time, and after the source's generator has ended.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from langchain_qwen_ocr.geometry import MAX_ASPECT_RATIO, Affine, PixelBudget, Size, SizePt

if TYPE_CHECKING:
    from PIL import Image

    from langchain_qwen_ocr.pages.text_layer import TextLayer

ImageFormat = Literal["jpeg", "png", "webp"]

_IDENTITY = Affine()

MIN_SIDE_PX = 11
"""The shortest side the service takes: "over 10 px"."""
FOUR_K = Size(3840, 2160)
"""Beyond this, either way round, the service takes JPEG and PNG only."""


def _shown(source: str) -> str:
    """A source as errors and traces call it: an address without its query, which may hold a signature."""
    return source.partition("?")[0] if source.startswith(("https:", "http:")) else source


@dataclass(frozen=True, slots=True, kw_only=True)
class PageInfo:
    """Which page of which source, and how large it is."""

    source: str
    """The file's path or address, or a name such as "bytes"."""
    page_index: int
    """From 0."""
    total_pages: int | None = None
    """How many pages the source has; None where that is not known."""
    page_label: str | None = None
    """The number printed on the page, where the file says it."""
    size_px: Size
    """The original, upright page; for a PDF as rendered."""
    size_pt: SizePt | None = None
    """Its size on paper, for a PDF."""

    def __str__(self) -> str:
        """How errors call it."""
        return f"Page {self.page_index + 1} of {_shown(self.source)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """A picture file that is a whole page by itself: upright, opaque, grey or RGB, of 8 bits or fewer."""

    data: bytes = field(repr=False)
    mime_type: str
    size_px: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A page as pixels, upright."""

    image: Image.Image
    """In mode 1, L, P, RGB or RGBX; not to be changed in place, others may hold it."""
    page_size_px: Size
    """The page at its own resolution."""
    to_page: Affine = _IDENTITY
    """From a pixel of the image to a pixel of the page."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """What a picture must be like to be sent to a model."""

    budget: PixelBudget = field(default_factory=PixelBudget)
    image_format: ImageFormat | None = None
    """None: the cheapest form that does not hurt recognition."""
    max_data_url_chars: int = 10 * 1024 * 1024
    """The longest data URL the service takes, in characters."""
    render_dpi: float = 200.0
    """How finely PDF pages of text and lines are drawn, in px per inch; scans keep their own resolution."""
    jpeg_quality: int = 85
    """Of pictures that are encoded here, 1…95."""

    def takes(self, picture: StoredPicture) -> bool:
        """Whether that picture may be sent as it is."""
        size, mime_type = picture.size_px, picture.mime_type
        return (
            (self.image_format is None or mime_type == f"image/{self.image_format}")
            and (fits_4k(size) or mime_type in {"image/jpeg", "image/png"})
            and min(size) >= MIN_SIDE_PX
            and max(size) <= MAX_ASPECT_RATIO * min(size)
            and size.area_px2 <= self.budget.max_pixels
            and data_url_chars(len(picture.data), mime_type) <= self.max_data_url_chars
        )


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """A picture as it is sent, and the way back to its page."""

    data: bytes = field(repr=False)
    mime_type: str
    size_px: Size
    """The picture as sent."""
    to_page: Affine = _IDENTITY
    """From a pixel of the picture sent to a pixel of the original, upright page."""
    page: PageInfo
    warnings: tuple[str, ...] = ()
    """What was changed that may matter: shrunk much, an alpha channel dropped…"""

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the bytes sent, in hex."""
        return hashlib.sha256(self.data).hexdigest()


class Page(ABC):
    """One page of a source, decoded only when it is drawn.

    Args:
        source: The file's path or address, or a name such as "bytes".
        page_index: From 0.
        total_pages: How many pages the source has; None where that is not known.
        page_label: The number printed on the page, where the file says it.
        size_px: The upright page; None for a PDF, whose pixels depend on how it is drawn.
        size_pt: The upright page on paper, for a PDF.
    """

    def __init__(
        self,
        *,
        source: str,
        page_index: int,
        total_pages: int | None = None,
        page_label: str | None = None,
        size_px: Size | None = None,
        size_pt: SizePt | None = None,
    ) -> None:
        self.source = source
        self.page_index = page_index
        self.total_pages = total_pages
        self._page_label = page_label
        self.size_px = size_px
        self._size_pt = size_pt

    @property
    def page_label(self) -> str | None:
        """The number printed on the page, where the file says it."""
        return self._page_label

    @property
    def size_pt(self) -> SizePt | None:
        """The upright page on paper, for a PDF."""
        return self._size_pt

    @property
    def page_number(self) -> int:
        """From 1."""
        return self.page_index + 1

    def __str__(self) -> str:
        """How errors call it."""
        return f"Page {self.page_number} of {_shown(self.source)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def info(self, size_px: Size) -> PageInfo:
        """What is known of the page once its size in px is."""
        return PageInfo(
            source=self.source,
            page_index=self.page_index,
            total_pages=self.total_pages,
            page_label=self.page_label,
            size_px=size_px,
            size_pt=self.size_pt,
        )

    @abstractmethod
    def draw(self, options: ImageOptions) -> StoredPicture | Drawing:
        """The page as its own file when *options* take that untouched, otherwise as pixels.

        A drawing has about as many pixels as the budget lets through, or more; never more detail than the page has.

        Raises:
            SourceError: The page is broken, or beyond a limit.
        """

    def measure(self, options: ImageOptions) -> Size:
        """The page's size in px as it would be drawn, before the budget makes it smaller; nothing is decoded.

        Raises:
            SourceError: The page is broken, or beyond a limit.
        """
        if self.size_px is not None:
            return self.size_px
        drawn = self.draw(options)
        return drawn.size_px if isinstance(drawn, StoredPicture) else drawn.page_size_px

    def inspect_text_layer(self) -> TextLayer | None:
        """The text embedded in the page with what speaks against trusting it; None where there is no text.

        Raises:
            SourceError: The page is broken.
        """
        return None

    def text_layer(self) -> TextLayer | None:
        """The text embedded in the page when it can be trusted to be what the eye sees; otherwise None.

        Raises:
            SourceError: The page is broken.
        """
        layer = self.inspect_text_layer()
        return None if layer is None or layer.doubts else layer


def fits_4k(size: Size) -> bool:
    """Whether a picture is small enough for every format that the service knows."""
    return max(size) <= FOUR_K.width_px and min(size) <= FOUR_K.height_px


def data_url_chars(length_bytes: int, mime_type: str) -> int:
    """How many characters a data URL of so many bytes has."""
    return len(f"data:{mime_type};base64,") + 4 * -(-length_bytes // 3)
