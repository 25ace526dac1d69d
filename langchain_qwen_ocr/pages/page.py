"""A page of a source, and a picture of it ready to be sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from langchain_qwen_ocr.geometry import Affine, PixelBudget, Size, SizePt

ImageFormat = Literal["jpeg", "png", "webp"]


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
        return f"Page {self.page_index + 1} of {self.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """What a picture must be like to be sent to a model."""

    budget: PixelBudget = field(default_factory=PixelBudget)
    image_format: ImageFormat | None = None
    """None: the cheapest form that does not hurt recognition."""
    max_data_url_chars: int = 10 * 1024 * 1024
    """The longest data URL the service takes, in characters."""


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """A picture as it is sent, and the way back to its page."""

    data: bytes = field(repr=False)
    mime_type: str
    size_px: Size
    """The picture as sent."""
    to_page: Affine = Affine()
    """From a pixel of the picture sent to a pixel of the original, upright page."""
    page: PageInfo
    warnings: tuple[str, ...] = ()
    """What was changed that may matter: shrunk much, an alpha channel dropped…"""

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the bytes sent, in hex."""
        return hashlib.sha256(self.data).hexdigest()
