"""Pictures become pages: single ones, the frames of a TIFF, the frames of an animation.

Every Pillow class is called for itself, by what the content is: `Image.open` would try all formats that Pillow knows
and warn about sizes that the limits here already judge.
"""

from __future__ import annotations

import ast
import contextlib
import io
import struct
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import Affine, Size
from langchain_qwen_ocr.pages.colours import PLAIN_MODES, plain
from langchain_qwen_ocr.pages.content import Content
from langchain_qwen_ocr.pages.limits import SourceLimits
from langchain_qwen_ocr.pages.page import Drawing, ImageOptions, Page, StoredPicture
from langchain_qwen_ocr.pages.ranges import PageRanges

if TYPE_CHECKING:
    from collections.abc import Sequence

_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
_quiet_lock = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's remarks about metadata kept from the user, who can do nothing about them.

    `catch_warnings` changes the whole process, hence the lock, and the filter for Pillow alone.
    """
    with _quiet_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


@contextlib.contextmanager
def _decoding(where: str, *, source: str, page_index: int | None = None) -> Iterator[None]:
    """Whatever a decoder raises becomes a SourceError that names the page."""
    try:
        yield
    except SourceError as error:
        error.source = error.source or source
        raise
    except Exception as error:
        # Decoders raise nearly every built-in exception on damaged bytes: OSError, SyntaxError, struct.error...
        raise SourceError(
            f"{where}: the picture cannot be decoded ({str(error) or type(error).__name__}). "
            "It is cut or damaged: save or scan it again.",
            source=source,
            page_index=page_index,
        ) from error


# --- one picture in a file -----------------------------------------------------------------------------------------


class PicturePage(Page):
    """A file with one picture, decoded each time it is drawn."""

    def __init__(self, content: bytes, kind: str, *, source: str, limits: SourceLimits) -> None:
        self._data = content
        self._kind = kind
        with _decoding(source, source=source):
            header = _open(kind, io.BytesIO(content))
            _check_pixels(Size(*header.size), source, limits)
            orientation = _orientation(header)
        super().__init__(source=source, page_index=0, total_pages=1, size_px=_upright(header, orientation))
        self._is_plain = orientation == 1 and header.mode in PLAIN_MODES and "transparency" not in header.info

    def draw(self, options: ImageOptions) -> StoredPicture | Drawing:
        """The file itself when it may be sent, otherwise its pixels."""
        assert self.size_px is not None
        is_whole = _IS_WHOLE.get(self._kind)
        if self._is_plain and is_whole is not None:
            stored = StoredPicture(data=self._data, mime_type=f"image/{self._kind.lower()}", size_px=self.size_px)
            if options.takes(stored) and is_whole(self._data):
                return stored
        with _decoding(str(self), source=self.source, page_index=0):
            image = _open(self._kind, io.BytesIO(self._data))
            if self._kind == "JPEG":
                _draft(image, self.size_px, options)
            return _drawing(image, self.size_px)


def is_whole_jpeg(data: bytes) -> bool:
    """Whether a JPEG ends as it should; what lies between is for the reader to find out."""
    position = 2
    while data[position : position + 1] == b"\xff":
        marker = data[position + 1 : position + 2]
        if marker == b"\xda":  # start of the picture data; thumbnails with an end of their own lie before it
            return data.rfind(b"\xff\xd9") > position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _is_whole_png(data: bytes) -> bool:
    try:
        _open("PNG", io.BytesIO(data)).verify()
    except Exception:  # noqa: BLE001 - a picture that fails its checksums is decoded, and its error reported there
        return False
    # Sixteen bits a channel are no problem of Pillow's, which reads them as eight, but may be one of the reader's.
    return data[24] <= 8  # noqa: PLR2004 - bit depth, the ninth byte of IHDR


def _is_whole_webp(data: bytes) -> bool:
    return 8 + int.from_bytes(data[4:8], "little") <= len(data)


_IS_WHOLE: dict[str, Callable[[bytes], bool]] = {
    "JPEG": is_whole_jpeg,
    "PNG": _is_whole_png,
    "WEBP": _is_whole_webp,
}
"""The kinds that are sent as they are, and how to see without decoding that nothing is missing.

BMP is missing: the service takes it, but it is many times larger than what it is encoded into here.
"""


def _draft(image: Image.Image, size_px: Size, options: ImageOptions) -> None:
    """Let the JPEG decoder shrink by 2, 4 or 8 when the budget asks for less than that."""
    shrink = (options.budget.max_pixels / size_px.area_px2) ** 0.5
    if shrink < 1:
        # Rounded up, so that what is decoded is never below what is sent.
        image.draft(None, (int(image.width * shrink) + 1, int(image.height * shrink) + 1))


# --- TIFF ----------------------------------------------------------------------------------------------------------


class TiffFile:
    """An open TIFF, shared by its pages; closed when the last of them is gone."""

    def __init__(self, content: Content) -> None:
        self.name = content.name
        stream: BinaryIO = content.path.open("rb") if content.path else io.BytesIO(content.read())
        weakref.finalize(self, stream.close)
        self.lock = threading.Lock()
        """Held while decoding: the frames of one file share its position."""
        with _decoding(self.name, source=self.name):
            self.image = _open("TIFF", stream)

    def count_frames(self) -> int | None:
        """How many frames there are; None when the list of them is broken somewhere."""
        with self.lock, _quiet():
            try:
                return int(getattr(self.image, "n_frames", 1))
            except Exception:  # noqa: BLE001 - the frames up to there are good; the broken one raises when drawn
                return None

    def has_frame(self, index: int) -> bool:
        """Whether the list of frames goes on so far; a broken entry counts as one."""
        with self.lock, _quiet():
            try:
                self.image.seek(index)
            except EOFError:
                return False
            except Exception:  # noqa: BLE001 - raised again when the frame is drawn
                return True
            return True


class TiffPage(Page):
    """A frame of a TIFF, decoded when it is drawn."""

    def __init__(self, file: TiffFile, page_index: int, total_pages: int | None, limits: SourceLimits) -> None:
        super().__init__(source=file.name, page_index=page_index, total_pages=total_pages)
        self._file = file
        self._limits = limits

    def draw(self, options: ImageOptions) -> Drawing:  # noqa: ARG002 - a frame is decoded whole
        """The frame's pixels."""
        with _decoding(str(self), source=self.source, page_index=self.page_index):
            with self._at_frame() as shared:
                frame = shared.copy()
            return _drawing(frame, None)

    def measure(self, options: ImageOptions) -> Size:  # noqa: ARG002 - the frame's own size
        """The size that the frame declares."""
        with (
            _decoding(str(self), source=self.source, page_index=self.page_index),
            self._at_frame() as shared,
        ):
            return _upright(shared, _orientation(shared))

    @contextlib.contextmanager
    def _at_frame(self) -> Iterator[Image.Image]:
        """The file's picture at this frame, not decoded yet, for as long as no other frame is wanted."""
        with self._file.lock:
            shared = self._file.image
            with _quiet():
                shared.seek(self.page_index)
            _check_pixels(Size(*shared.size), str(self), self._limits, self.source, self.page_index)
            yield shared


# --- animations, pictures and arrays in memory ---------------------------------------------------------------------


class ImagePage(Page):
    """A picture that is already decoded, or the error that came instead."""

    def __init__(
        self,
        image: Image.Image | SourceError,
        *,
        source: str,
        page_index: int = 0,
        total_pages: int | None = 1,
    ) -> None:
        size_px = None if isinstance(image, SourceError) else _upright(image, _orientation(image))
        super().__init__(source=source, page_index=page_index, total_pages=total_pages, size_px=size_px)
        self._image = image

    def draw(self, options: ImageOptions) -> Drawing:  # noqa: ARG002 - it is decoded already
        """The picture's pixels."""
        if isinstance(self._image, SourceError):
            raise self._image
        with _decoding(str(self), source=self.source, page_index=self.page_index):
            return _drawing(self._image, self.size_px)


def open_picture(content: Content, kind: str, ranges: PageRanges, limits: SourceLimits) -> Iterator[Page]:
    """The pages of a picture file.

    Raises:
        SourceError: Its header is broken, or it is beyond a limit.
    """
    if kind == "TIFF":
        return _tiff_pages(content, ranges, limits)
    data = content.read()
    if kind == "NPY":
        with _decoding(content.name, source=content.name):
            image = _npy_picture(data)
        _check_pixels(Size(*image.size), content.name, limits)
        return open_image(image, content.name, ranges, limits)
    if kind in {"GIF", "PNG", "WEBP", "AVIF"}:
        with _decoding(content.name, source=content.name):
            image = _open(kind, io.BytesIO(data))
            _check_pixels(Size(*image.size), content.name, limits)
            if kind == "GIF" or getattr(image, "is_animated", False):
                return _frames(image, content.name, ranges, limits)
    ranges.indexes(1, source=content.name)
    return iter([PicturePage(data, kind, source=content.name, limits=limits)])


def open_image(image: Image.Image, name: str, ranges: PageRanges, limits: SourceLimits) -> Iterator[Page]:
    """The pages of a picture in memory: one, or as many as it has frames.

    Raises:
        SourceError: It is beyond a limit.
    """
    _check_pixels(Size(*image.size), name, limits)
    if getattr(image, "is_animated", False):
        return _frames(image, name, ranges, limits)
    ranges.indexes(1, source=name)
    return iter([ImagePage(image, source=name)])


def _tiff_pages(content: Content, ranges: PageRanges, limits: SourceLimits) -> Iterator[Page]:
    file = TiffFile(content)
    total = file.count_frames()
    if total is None:
        return _frames_of_broken_tiff(file, ranges, limits)
    indexes = ranges.indexes(total, source=file.name)
    check_page_count(len(indexes), file.name, limits)
    return (TiffPage(file, index, total, limits) for index in indexes)


def _frames_of_broken_tiff(file: TiffFile, ranges: PageRanges, limits: SourceLimits) -> Iterator[Page]:
    for index in range(limits.max_pages):
        if not file.has_frame(index) or (ranges.end is not None and index >= ranges.end):
            return
        if index in ranges:
            yield TiffPage(file, index, None, limits)


def _frames(image: Image.Image, name: str, ranges: PageRanges, limits: SourceLimits) -> Iterator[Page]:
    """The frames of an animation, decoded one after the other since each builds on the one before."""
    with _decoding(name, source=name), _quiet():
        total = int(getattr(image, "n_frames", 1))
    indexes = ranges.indexes(total, source=name)
    if len(indexes) > limits.max_frames:
        raise SourceError(
            f"{name} has {total} frames, more than {limits.max_frames}. "
            'Choose some with pages="1-10", or raise max_frames of SourceLimits.',
            source=name,
        )
    return (
        ImagePage(_frame(image, index, name), source=name, page_index=index, total_pages=total) for index in indexes
    )


def _frame(image: Image.Image, index: int, name: str) -> Image.Image | SourceError:
    try:
        with _decoding(f"Page {index + 1} of {name}", source=name, page_index=index):
            image.seek(index)
            return image.copy()
    except SourceError as error:
        return error


def check_page_count(count: int, name: str, limits: SourceLimits) -> None:
    """Refuse to read more pages than the limit.

    Raises:
        SourceError: There are too many.
    """
    if count > limits.max_pages:
        raise SourceError(
            f"{name}: {count} pages are to be read, more than {limits.max_pages}. "
            f'Choose some with pages="1-{limits.max_pages}", or raise max_pages of SourceLimits.',
            source=name,
        )


# --- Pillow --------------------------------------------------------------------------------------------------------


def _open(kind: str, stream: BinaryIO) -> Image.Image:
    """The picture with its header read."""
    with _quiet():
        return _OPENERS[kind](stream)


def _open_jpeg(stream: BinaryIO) -> Image.Image:
    from PIL.JpegImagePlugin import JpegImageFile

    return JpegImageFile(stream)


def _open_png(stream: BinaryIO) -> Image.Image:
    from PIL.PngImagePlugin import PngImageFile

    return PngImageFile(stream)


def _open_webp(stream: BinaryIO) -> Image.Image:
    from PIL.WebPImagePlugin import WebPImageFile

    return WebPImageFile(stream)


def _open_bmp(stream: BinaryIO) -> Image.Image:
    from PIL.BmpImagePlugin import BmpImageFile

    return BmpImageFile(stream)


def _open_gif(stream: BinaryIO) -> Image.Image:
    from PIL.GifImagePlugin import GifImageFile

    return GifImageFile(stream)


def _open_tiff(stream: BinaryIO) -> Image.Image:
    from PIL.TiffImagePlugin import TiffImageFile

    return TiffImageFile(stream)


def _open_avif(stream: BinaryIO) -> Image.Image:
    from PIL import AvifImagePlugin, features

    if not features.check("avif"):
        raise SourceError("This Pillow was built without AVIF. Install Pillow's own wheel, or convert it to PNG.")
    return AvifImagePlugin.AvifImageFile(stream)


def _open_heif(stream: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise SourceError(
            'Reading HEIC pictures needs an extra: pip install "langchain-qwen-ocr[heif]". Or convert it to JPEG.'
        ) from error
    image: Image.Image = HeifImageFile(stream)  # type: ignore[no-untyped-call]
    return image


_OPENERS: dict[str, Callable[[BinaryIO], Image.Image]] = {
    "JPEG": _open_jpeg,
    "PNG": _open_png,
    "WEBP": _open_webp,
    "BMP": _open_bmp,
    "GIF": _open_gif,
    "TIFF": _open_tiff,
    "AVIF": _open_avif,
    "HEIF": _open_heif,
}


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1…8; 1 when there is none that can be understood."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFFs itself, size and pixels.
    try:
        with _quiet():
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken metadata does not make a picture unreadable
        return 1
    return value if value in range(1, 9) else 1


def _upright(image: Image.Image, orientation: int) -> Size:
    width, height = image.size
    return Size(height, width) if orientation in _TURNED else Size(width, height)


_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright."""


def _drawing(image: Image.Image, page_size_px: Size | None) -> Drawing:
    """The picture upright and plain; *page_size_px* when it was decoded smaller than it is."""
    orientation = _orientation(image)
    opaque, lost = plain(image)
    turn = _TRANSPOSES.get(orientation)
    upright = opaque.transpose(turn) if turn is not None else opaque
    upright.load()
    size = Size(*upright.size)
    page_size = page_size_px or size
    return Drawing(image=upright, page_size_px=page_size, to_page=Affine.resizing(size, page_size), warnings=lost)


def _check_pixels(
    size: Size, where: str, limits: SourceLimits, source: str | None = None, page_index: int | None = None
) -> None:
    if min(size) < 1 or size.area_px2 > limits.max_pixels:
        raise SourceError(
            f"{where} declares {size.width_px}x{size.height_px} px, more than {limits.max_pixels} in all. "
            "Shrink it, or raise max_pixels of SourceLimits.",
            source=source or where,
            page_index=page_index,
        )


# --- NumPy arrays, without NumPy -----------------------------------------------------------------------------------

_ARRAY_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def array_picture(array: Any, *, name: str) -> Image.Image:  # noqa: ANN401 - anything with `__array_interface__`
    """The picture in a NumPy array: height x width, or height x width x channels (grey, RGB, RGBA).

    Raises:
        SourceError: Its shape or type is none of a picture.
    """
    interface = array.__array_interface__
    with _decoding(name, source=name):
        data = array.tobytes()
    return _from_samples(data, tuple(interface["shape"]), interface["typestr"], name=name, modes=_ARRAY_MODES)


_LONGEST_NPY_HEADER = 10_000
"""NumPy's own limit: a longer one can exhaust the parser of Python's literals."""


def _npy_picture(data: bytes) -> Image.Image:
    """The picture in an .npy file, as PDF parsers hand over: four channels are CMYK there."""
    major = data[6]
    start = 10 if major == 1 else 12
    length = struct.unpack_from("<H" if major == 1 else "<I", data, 8)[0]
    if length > _LONGEST_NPY_HEADER:
        raise ValueError("its header is too long")
    header = ast.literal_eval(data[start : start + length].decode("latin-1"))
    if header["fortran_order"]:
        raise ValueError("its array is stored by columns")
    samples = data[start + length :]
    return _from_samples(
        samples, tuple(header["shape"]), header["descr"], name="its array", modes={**_ARRAY_MODES, 4: "CMYK"}
    )


def _from_samples(data: bytes, shape: Sequence[int], typestr: str, *, name: str, modes: dict[int, str]) -> Image.Image:
    channels = 1 if len(shape) == 2 else shape[2] if len(shape) == 3 else 0  # noqa: PLR2004
    mode = modes.get(channels)
    if mode is None or typestr not in {"|u1", "|b1", "<u2", "=u2"} or 0 in shape:
        raise SourceError(
            f"{name} has shape {tuple(shape)} and type {typestr!r}, which is no picture. "
            "Give uint8, height x width or height x width x 3.",
            source=name,
        )
    height, width = shape[0], shape[1]
    if typestr == "|b1":
        data = bytes(255 * value for value in data)
    if typestr.endswith("u2"):
        # The upper of the two bytes of each sample is its eight bits.
        data = data[1::2]
    if len(data) < height * width * channels:
        # Before memory is taken for all that the header promises.
        raise ValueError("its samples are fewer than its shape says")
    return Image.frombytes(mode, (width, height), data)
