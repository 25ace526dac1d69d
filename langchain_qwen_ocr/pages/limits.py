"""How much of a source is taken in before it counts as hostile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """The largest source that is opened; each error names the limit to raise."""

    max_bytes: int = 1024**3
    """Of a file. PDFs and TIFFs on disk are read in parts; everything else is held in memory."""
    max_pixels: int = 1024**3 // 12
    """Of one picture, by the size it declares (89 megapixels, the size from which Pillow warns). A picture inside
    a PDF may have four times as many, since PDFium decodes by the line."""
    max_pages: int = 5_000
    """To be read from one PDF or TIFF; a larger file is fine when fewer pages are chosen."""
    max_frames: int = 1_000
    """Of an animation."""
    max_fetch_bytes: int = 100 * 1024**2
    """Of a file fetched from an address."""
    fetch_timeout_s: float = 60.0
    """For a fetch as a whole."""
    max_redirects: int = 5
    """That a fetch follows."""
