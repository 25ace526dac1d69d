"""PDFs become pages, by PDFium.

PDFium is not thread-safe, so one lock of the process is held around its calls, and around nothing else: pixels are
converted and encoded outside it, by several threads at once.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import itertools
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c
from PIL import Image

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import MAX_ASPECT_RATIO, POINTS_PER_INCH, Size, SizePt, smart_resize
from langchain_qwen_ocr.pages.content import Content
from langchain_qwen_ocr.pages.limits import SourceLimits
from langchain_qwen_ocr.pages.page import Drawing, ImageOptions, Page, StoredPicture
from langchain_qwen_ocr.pages.pdf_dictionaries import has_masked_pictures
from langchain_qwen_ocr.pages.pictures import check_page_count, is_whole_jpeg
from langchain_qwen_ocr.pages.ranges import PageRanges
from langchain_qwen_ocr.pages.text_layer import TextLayer, collect_text, judge

_SCAN_COVER = 0.5
"""A page with a picture over this part of it is a scan, drawn at the picture's resolution."""
_MOST_OBJECTS = 2_000
"""So many objects of a page are looked at before it is drawn; a scan has its picture among the first."""
_PDF_PICTURE_FACTOR = 4
"""How many times the pixel limit a picture inside a PDF may declare: PDFium decodes by the line."""
_PAGES_AN_OPENING = 64
"""So many pages are loaded before a document is opened anew."""
_BYTES_AN_OPENING = 32 << 20
"""Likewise, by what the pages weigh on average."""
_OPENING_S_A_PAGE = 0.0005
"""How long opening anew may take, for each page loaded since the last time: a broken table is slow to rebuild."""
_LARGEST_KEPT_BYTES = (32 << 20) - 8192
"""Of one block of memory: glibc's own limit (DEFAULT_MMAP_THRESHOLD_MAX), less its bookkeeping."""
_MAX_DPI = 1200.0
_SMALL_SIDE_PX = 1500.0
"""A page is drawn at one pixel a point, and no larger than this, to see whether its text is there."""


class _Library:
    """PDFium as a process has it: one lock, and the documents that nobody needs any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: deque[Any] = deque()
        self._open: set[Any] = set()
        # Registered after PDFium's own, so it runs before PDFium is taken down.
        atexit.register(self._close_all)
        # PDFium takes some twenty megabytes for a scan and gives them back, page by page; the system takes longer to
        # hand them out than PDFium to fill them. From the largest block that was ever freed glibc learns how much to
        # keep. This one is never touched; other allocators do not mind.
        bytes(_LARGEST_KEPT_BYTES)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The time in which PDFium may be called."""
        with self._lock:
            try:
                yield
            finally:
                self._close_done()
        self._sweep()

    def opened(self, document: Any) -> None:  # noqa: ANN401 - pypdfium2 has no types
        """Remember a document, to be closed at the end of the process at the latest."""
        self._open.add(document)

    def retire(self, document: Any) -> None:  # noqa: ANN401
        """Close a document as soon as PDFium is free; never waits, so it may run in a finalizer."""
        self._done.append(document)
        self._sweep()

    def _sweep(self) -> None:
        while self._done and self._lock.acquire(blocking=False):
            try:
                self._close_done()
            finally:
                self._lock.release()

    def _close_done(self) -> None:
        while self._done:
            document = self._done.popleft()
            self._open.discard(document)
            document.close()

    def _close_all(self) -> None:
        # A thread that still draws at exit keeps the lock for a page; a daemon that never ends is not waited for.
        if self._lock.acquire(timeout=5):
            self._done.extend(self._open - set(self._done))
            self._close_done()
            self._lock.release()


_library = _Library()


@contextlib.contextmanager
def _pdfium(where: str, *, source: str, page_index: int | None = None) -> Iterator[None]:
    """PDFium's turn; whatever it raises becomes a SourceError that names the page."""
    try:
        with _library.held():
            yield
    except SourceError:
        raise
    except Exception as error:
        # pypdfium2 raises its own error, assertions and ctypes' errors, as the damage has it.
        raise SourceError(
            f"{where} cannot be drawn ({error}). It is damaged: repair the PDF by printing it to a new one.",
            source=source,
            page_index=page_index,
        ) from error


class PdfFile:
    """An open PDF, shared by its pages; closed when the last of them is gone.

    PDFium keeps every stream it has read until the document is closed, so a long document is opened anew every few
    pages: memory is bounded by those, not by the document.
    """

    def __init__(self, content: Content, *, password: str | None, limits: SourceLimits) -> None:
        self.name = content.name
        self.limits = limits
        self._content = content
        self._password = password
        self._scanning = threading.Lock()
        self._masked: bool | None = None
        self._may_renew = True
        try:
            self._version = _version(content)
            with _library.held():
                self._open()
                self.total_pages = len(self.document)
        except pypdfium2.PdfiumError as error:
            raise SourceError(_why_not_opened(error, self.name, password), source=self.name) from error
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.name} cannot be opened ({error}).", source=self.name) from error
        page_bytes = max(1, self._version.length_bytes // max(1, self.total_pages))
        self._pages_an_opening = max(1, min(_PAGES_AN_OPENING, _BYTES_AN_OPENING // page_bytes))

    def load(self, page_index: int) -> Any:  # noqa: ANN401 - pypdfium2 has no types
        """A page, to be closed before PDFium's lock is given up; called while it is held."""
        began_s = time.perf_counter()
        if self._is_spent():
            self._renew()
        page = self.document.get_page(page_index)
        if not self._loaded:
            # A fresh document has to find its way to the page first.
            self._opening_s += time.perf_counter() - began_s
        self._loaded += 1
        return page

    def has_masked_pictures(self) -> bool:
        """Whether a picture may look other than its file: inverted, with a colour left out, or on a layer.

        PDFium does not tell.
        """
        with self._scanning:
            if self._masked is None:
                self._masked = self._search_masked()
            return self._masked

    def _search_masked(self) -> bool:
        if self._content.path is None:
            return has_masked_pictures(io.BytesIO(self._content.data or b""))
        try:
            with self._content.path.open("rb") as file:
                return has_masked_pictures(file)
        except OSError:
            # Moved away while it is open: drawing is right in any case.
            return True

    def _open(self) -> None:
        began_s = time.perf_counter()
        source = self._content.data if self._content.path is None else self._content.path
        document = pypdfium2.PdfDocument(source, password=self._password)
        _library.opened(document)
        closing = weakref.finalize(self, _library.retire, document)
        closing.atexit = False
        try:
            # Before any page is loaded, or its fields are not drawn.
            document.init_forms()
        except Exception:
            closing()
            raise
        self.document, self._closing = document, closing
        self._loaded = 0
        self._opening_s = time.perf_counter() - began_s

    def _is_spent(self) -> bool:
        return (
            self._may_renew
            and self._loaded >= self._pages_an_opening
            and self._opening_s <= self._loaded * _OPENING_S_A_PAGE
        )

    def _renew(self) -> None:
        """Open the document anew; no page of it is loaded, since pages live no longer than the lock is held."""
        close_old = self._closing
        try:
            # Another file may stand under the name by now; the document that is open is still the right one.
            self._may_renew = _version(self._content) == self._version
            if self._may_renew:
                self._open()
                close_old()
        except (pypdfium2.PdfiumError, OSError, ValueError):
            self._may_renew = False


@dataclass(frozen=True, slots=True)
class _Version:
    """What tells a file from another one that took its place."""

    length_bytes: int
    inode: int = 0
    modified_ns: int = 0


def _version(content: Content) -> _Version:
    if content.path is None:
        return _Version(len(content.data or b""))
    status = content.path.stat()
    return _Version(status.st_size, status.st_ino, status.st_mtime_ns)


def _why_not_opened(error: pypdfium2.PdfiumError, name: str, password: str | None) -> str:
    if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
        if password is None:
            return f"{name} is encrypted. Pass its password (password=...)."
        return f"{name} is encrypted, and the password given does not open it."
    if error.err_code == pdfium_c.FPDF_ERR_SECURITY:
        return f"{name} is encrypted in a way that cannot be opened. Print it to a new PDF."
    return f"{name} is no PDF that can be opened ({error}). It is cut or damaged: download or export it again."


def open_pdf(content: Content, ranges: PageRanges, limits: SourceLimits, *, password: str | None) -> Iterator[Page]:
    """The pages of a PDF.

    Raises:
        SourceError: It is broken, encrypted, has no such pages, or too many.
    """
    file = PdfFile(content, password=password, limits=limits)
    indexes = ranges.indexes(file.total_pages, source=file.name)
    check_page_count(len(indexes), file.name, limits)
    for index in indexes:
        yield PdfPage(file, index)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a PDF says of a page without drawing it."""

    size_pt: SizePt | None = None
    label: str | None = None


class PdfPage(Page):
    """A page of a PDF, loaded each time it is drawn."""

    def __init__(self, file: PdfFile, page_index: int) -> None:
        super().__init__(source=file.name, page_index=page_index, total_pages=file.total_pages)
        self._file = file
        self._facts: _Facts | None = None

    @property
    def page_label(self) -> str | None:
        """The number printed on the page, where the file says it."""
        return self._known().label

    @property
    def size_pt(self) -> SizePt | None:
        """The upright page on paper; None where it cannot be measured, nor be drawn."""
        return self._known().size_pt

    def draw(self, options: ImageOptions) -> StoredPicture | Drawing:
        """The page's one picture when it is nothing else and may be sent, otherwise its pixels."""
        with self._loaded() as page:
            look = _look(page)
            self._check_pictures(look)
            pixels = None if look.jpeg is not None else self._render(page, look, options)
        if pixels is None:
            stored = self._stored(look, options)
            if stored is not None:
                return stored
            with self._loaded() as page:
                pixels = self._render(page, look, options)
        image = pixels.image()
        return Drawing(image=image, page_size_px=Size(*image.size))

    def measure(self, options: ImageOptions) -> Size:
        """The size of the page's one picture, or of the page as it would be rendered."""
        with self._loaded() as page:
            look = _look(page)
            self._check_pictures(look)
            return look.jpeg.size_px if look.jpeg is not None else self._render_size(page, look, options)

    def inspect_text_layer(self) -> TextLayer | None:
        """The text embedded in the page, with what speaks against trusting it."""
        with self._loaded() as page:
            text = collect_text(page)
            if not text.glyphs:
                return None
            shrink = min(1.0, _SMALL_SIDE_PX / max(text.size_pt))
            width_px, height_px = (max(1, round(side * shrink)) for side in text.size_pt)
            pixels = _render(page, Size(width_px, height_px))
        return judge(text, pixels.image())

    @contextlib.contextmanager
    def _loaded(self) -> Iterator[Any]:
        with _pdfium(str(self), source=self.source, page_index=self.page_index):
            page = self._file.load(self.page_index)
            try:
                self._facts = self._facts or self._look_up(SizePt(*page.get_size()))
                yield page
            finally:
                page.close()

    def _known(self) -> _Facts:
        # Looked up when somebody asks, or when the page is drawn: listing pages does not wait for PDFium.
        if self._facts is None:
            facts = _Facts()
            with contextlib.suppress(SourceError), _pdfium(self.source, source=self.source):
                facts = self._look_up(SizePt(*self._file.document.get_page_size(self.page_index)))
            self._facts = facts
        return self._facts

    def _look_up(self, size_pt: SizePt) -> _Facts:
        return _Facts(size_pt, self._file.document.get_page_label(self.page_index) or None)

    def _check_pictures(self, look: _Look) -> None:
        most = _PDF_PICTURE_FACTOR * self._file.limits.max_pixels
        if look.largest_picture_px2 > most:
            raise SourceError(
                f"{self} holds a picture that declares {look.largest_picture_px2} pixels, more than {most}. "
                "Shrink it, or raise max_pixels of SourceLimits.",
                source=self.source,
                page_index=self.page_index,
            )

    def _stored(self, look: _Look, options: ImageOptions) -> StoredPicture | None:
        if look.jpeg is None or not options.takes(look.jpeg):
            return None
        return None if self._file.has_masked_pictures() or not is_whole_jpeg(look.jpeg.data) else look.jpeg

    def _render(self, page: Any, look: _Look, options: ImageOptions) -> _Pixels:  # noqa: ANN401
        return _render(page, self._render_size(page, look, options))

    def _render_size(self, page: Any, look: _Look, options: ImageOptions) -> Size:  # noqa: ANN401
        width_pt, height_pt = page.get_size()
        if not (0 < width_pt < math.inf and 0 < height_pt < math.inf):
            raise SourceError(
                f"{self} has no size ({width_pt}x{height_pt} pt). Print the PDF to a new one.",
                source=self.source,
                page_index=self.page_index,
            )
        scale = min(look.dpi(options.render_dpi), _MAX_DPI) / POINTS_PER_INCH
        return _render_size(width_pt * scale, height_pt * scale, options)


def _render_size(width_px: float, height_px: float, options: ImageOptions) -> Size:
    """The size to draw at: what the service would resize to, so that it does not resize."""
    size = Size(max(1, round(width_px)), max(1, round(height_px)))
    if max(size) <= MAX_ASPECT_RATIO * min(size):
        return smart_resize(size, options.budget)
    # Too long for the service in any size; tiles of it may do.
    shrink = min(1.0, math.sqrt(options.budget.max_pixels / size.area_px2))
    return Size(max(1, round(size.width_px * shrink)), max(1, round(size.height_px * shrink)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a page holds, as far as drawing it depends on that."""

    scan_dpi: float | None
    """The resolution of the picture that covers the page; None when none does."""
    has_marks: bool
    """Whether anything but pictures and invisible text is on it."""
    largest_picture_px2: int
    jpeg: StoredPicture | None
    """The JPEG that is the whole page, as far as PDFium tells."""

    def dpi(self, render_dpi: float) -> float:
        """How finely to draw the page: no finer than its scan, unless there is type beside it."""
        if self.scan_dpi is None:
            return render_dpi
        return max(self.scan_dpi, render_dpi) if self.has_marks else self.scan_dpi


def _look(page: Any) -> _Look:  # noqa: ANN401
    left, bottom, right, top = page.get_bbox()
    area_pt2 = (right - left) * (top - bottom)
    scan_dpi, has_marks, largest = None, False, 0
    objects = list(itertools.islice(page.get_objects(max_depth=4), _MOST_OBJECTS))
    for item in objects:
        if item.type != pdfium_c.FPDF_PAGEOBJ_IMAGE:
            has_marks = has_marks or _shows(item)
            continue
        width_px, height_px = item.get_px_size()
        largest = max(largest, width_px * height_px)
        matrix = item.get_matrix()
        width_pt, height_pt = math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d)
        if item.level == 0 and width_pt * height_pt >= _SCAN_COVER * area_pt2 > 0:
            dpi = POINTS_PER_INCH * math.sqrt(width_px * height_px / (width_pt * height_pt))
            scan_dpi = max(scan_dpi or 0.0, dpi)
    return _Look(
        scan_dpi=scan_dpi or None,
        has_marks=has_marks,
        largest_picture_px2=largest,
        jpeg=_only_jpeg(page, objects, (left, bottom, right, top)),
    )


def _shows(item: Any) -> bool:  # noqa: ANN401
    """Whether an object other than a picture can be seen; text laid invisibly over a scan cannot."""
    if item.type == pdfium_c.FPDF_PAGEOBJ_TEXT:
        return bool(pdfium_c.FPDFTextObj_GetTextRenderMode(item) != pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE)
    return bool(item.type != pdfium_c.FPDF_PAGEOBJ_FORM)


def _only_jpeg(page: Any, objects: list[Any], box: tuple[float, float, float, float]) -> StoredPicture | None:  # noqa: ANN401
    """The JPEG that is all there is on an upright page; None when anything else is, or when it is turned."""
    if len(objects) != 1 or objects[0].type != pdfium_c.FPDF_PAGEOBJ_IMAGE:
        return None
    picture = objects[0]
    if (
        page.get_rotation() != 0
        or pdfium_c.FPDFPage_GetAnnotCount(page) != 0
        or picture.get_filters() != ["DCTDecode"]
        or pdfium_c.FPDFPageObj_HasTransparency(picture)
        or pdfium_c.FPDFClipPath_CountPaths(pdfium_c.FPDFPageObj_GetClipPath(picture)) > 0
        or not _covers(picture.get_matrix(), box)
    ):
        return None
    return _plain_jpeg(_stored_bytes(picture), Size(*picture.get_px_size()))


class _Scratch(threading.local):
    """Memory that a thread uses again and again: fresh memory takes the system longer than what is done in it."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def of(self, length: int) -> memoryview:
        """So many bytes, whatever is in them; they are the next caller's too."""
        if len(self._memory) < length:
            self._memory = bytearray(length)
        return memoryview(self._memory)[:length]


_scratch = _Scratch()


def _stored_bytes(picture: Any) -> bytes:  # noqa: ANN401
    """The picture's file as it stands in the PDF."""
    length = pdfium_c.FPDFImageObj_GetImageDataRaw(picture, None, 0)
    scratch = _scratch.of(length)
    pdfium_c.FPDFImageObj_GetImageDataRaw(picture, (ctypes.c_ubyte * length).from_buffer(scratch), length)
    return bytes(scratch)


def _covers(matrix: Any, box: tuple[float, float, float, float]) -> bool:  # noqa: ANN401
    """Whether a picture of that matrix lies upright and exactly on the page, to half a percent."""
    left, bottom, right, top = box
    x_slack, y_slack = 0.005 * (right - left), 0.005 * (top - bottom)
    corners = (
        (matrix.e - left, x_slack),
        (matrix.f - bottom, y_slack),
        (matrix.e + matrix.a - right, x_slack),
        (matrix.f + matrix.d - top, y_slack),
    )
    return matrix.b == matrix.c == 0 and all(abs(off) <= slack for off, slack in corners)


def _plain_jpeg(data: bytes, size_px: Size) -> StoredPicture | None:
    """The JPEG when its own header says the same as the PDF: grey or three colours, of that size."""
    frame = jpeg_frame(data)
    if frame is None or frame.size_px != size_px or frame.components not in {1, 3} or frame.has_exif:
        return None
    return StoredPicture(data=data, mime_type="image/jpeg", size_px=size_px)


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What the header of a JPEG says."""

    size_px: Size
    components: int
    has_exif: bool
    """Whether there is an EXIF block, which may turn the picture where a PDF would not."""


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """The header of a baseline or progressive JPEG of 8 bits; None when there is none."""
    position, has_exif = 2, False
    while position + 9 < len(data) and data[position] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = data[position + 1]
        if marker == 0xE1 and data[position + 4 : position + 8] == b"Exif":  # noqa: PLR2004 - APP1
            has_exif = True
        if marker in {0xC0, 0xC1, 0xC2}:
            precision = data[position + 4]
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            width = int.from_bytes(data[position + 7 : position + 9], "big")
            components = data[position + 9]
            return JpegFrame(Size(width, height), components, has_exif) if precision == 8 else None  # noqa: PLR2004
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


class _Bitmaps:
    """Memory for pixels, used again once nobody holds the picture any more.

    A page has some fifteen megabytes, and the system takes a fifth of the time of drawing to hand out as much anew.
    """

    KEPT_BYTES = 64 << 20
    """As much as four A4 pages at 200 px per inch."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self, length: int) -> ctypes.Array[ctypes.c_ubyte]:
        """An array of so many bytes, whatever is in them."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = bytearray(length)
        if not length <= len(memory) <= 2 * length:
            memory = bytearray(length)
        array = (ctypes.c_ubyte * length).from_buffer(memory)
        weakref.finalize(array, self._give_back, memory).atexit = False
        return array

    def _give_back(self, memory: bytearray) -> None:
        # Runs wherever the last picture is let go, in the garbage collector too, so it must not wait for a lock.
        if sum(map(len, self._free[:])) + len(memory) <= self.KEPT_BYTES:
            self._free.append(memory)


_bitmaps = _Bitmaps()


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What PDFium drew, four bytes a pixel, the last unused."""

    buffer: Any
    """An array of ctypes."""
    size_px: Size

    def image(self) -> Image.Image:
        """The picture, sharing the memory."""
        return Image.frombuffer("RGBX", self.size_px, self.buffer, "raw", "RGBX", 0, 1)


def _render(page: Any, size_px: Size) -> _Pixels:  # noqa: ANN401
    """The page drawn on white at exactly that size, with its annotations and form fields.

    pypdfium2's own `render` knows one scale for both axes, and its bitmap is freed by the garbage collector, which
    does not know the lock.
    """
    width, height = size_px
    buffer = _bitmaps.take(4 * width * height)
    bitmap = pdfium_c.FPDFBitmap_CreateEx(width, height, pdfium_c.FPDFBitmap_BGRx, buffer, 4 * width)
    if not bitmap:
        raise ValueError(f"no bitmap of {width}x{height} px")
    try:
        pdfium_c.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
        place = (bitmap, page, 0, 0, width, height, 0, flags)
        pdfium_c.FPDF_RenderPageBitmap(*place)
        if page.formenv:
            pdfium_c.FPDF_FFLDraw(page.formenv, *place)
    finally:
        pdfium_c.FPDFBitmap_Destroy(bitmap)
    return _Pixels(buffer, size_px)
