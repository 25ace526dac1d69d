"""What a source is, decided by its first bytes and never by its name."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.pages.limits import SourceLimits

HEAD_BYTES = 1024
"""How far into a file its kind is looked for; a PDF may begin this late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of a source, in memory or still on disk."""

    name: str
    """How errors and readings call it."""
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    """None when they are on disk only."""
    head: bytes = field(repr=False)
    """The first `HEAD_BYTES`."""

    @classmethod
    def of_bytes(cls, data: bytes, *, name: str, limits: SourceLimits) -> Content:
        """Content in memory.

        Raises:
            SourceError: It is empty or over the limit.
        """
        _check_length(len(data), name, limits)
        return cls(name=name, data=data, head=data[:HEAD_BYTES])

    @classmethod
    def of_file(cls, path: Path, *, name: str, limits: SourceLimits) -> Content:
        """Content on disk; only its beginning is read.

        Raises:
            SourceError: There is no such file, it is none that can be read, is empty, or over the limit.
        """
        try:
            status = path.stat()
            _check_regular(status.st_mode, name)
            _check_length(status.st_size, name, limits)
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except (OSError, ValueError) as error:
            raise SourceError(_why_not_opened(error, name), source=name) from error
        return cls(name=name, path=path, head=head)

    @classmethod
    def of_stream(cls, stream: BinaryIO, *, name: str, limits: SourceLimits) -> Content:
        """Content of an open file, read from where it stands; it stays open.

        Raises:
            SourceError: It gives text, is empty, or over the limit.
        """
        try:
            data = stream.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            raise SourceError(f"{name} cannot be read ({error}).", source=name) from error
        if not isinstance(data, bytes):
            raise SourceError(f'{name} gives text, not bytes: open it with mode "rb".', source=name)
        return cls.of_bytes(data, name=name, limits=limits)

    def read(self) -> bytes:
        """All of it.

        Raises:
            SourceError: It cannot be read.
        """
        if self.data is not None:
            return self.data
        assert self.path is not None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise SourceError(_why_not_opened(error, self.name), source=self.name) from error


def find_kind(content: Content) -> str:
    """What it is: a key of `KINDS`.

    Raises:
        SourceError: It is none of them; the message says what it seems to be.
    """
    for kind, looks_like in KINDS.items():
        if looks_like(content.head):
            return kind
    raise SourceError(
        f"{content.name} is neither a picture nor a PDF that can be read: it {_seems(content.head)}. "
        "Give JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC, AVIF or PDF.",
        source=content.name,
    )


def _starts(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_bmp(head: bytes) -> bool:
    # "BM" alone also begins English text; the size of the header that follows is one of few.
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in {12, 16, 40, 52, 56, 64, 108, 124}


def _is_pdf(head: bytes) -> bool:
    return b"%PDF-" in head


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO media file: what its content claims to be compatible with."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))}


def _is_avif(head: bytes) -> bool:
    return not _brands(head).isdisjoint({b"avif", b"avis"})


def _is_heif(head: bytes) -> bool:
    return not _brands(head).isdisjoint({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


KINDS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _starts(b"\xff\xd8\xff"),
    "PNG": _starts(b"\x89PNG\r\n\x1a\n"),
    "GIF": _starts(b"GIF87a", b"GIF89a"),
    "TIFF": _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "WEBP": _is_webp,
    "BMP": _is_bmp,
    "AVIF": _is_avif,
    "HEIF": _is_heif,
    "NPY": _starts(b"\x93NUMPY"),
    "PDF": _is_pdf,
}
"""What can be opened, and how its beginning looks; asked in this order."""

SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pdf",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""How files that can be opened usually end: what to look for in a folder."""

_OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (rb"PK\x03\x04", "is a ZIP or Office file; export it as PDF"),
        (rb"\xd0\xcf\x11\xe0", "is an old Office file; export it as PDF"),
        (rb"\{\\rtf", "is rich text; export it as PDF"),
        (rb"%!PS", "is PostScript; convert it to PDF"),
        (rb"AT&TFORM", "is DjVu; convert it to PDF or TIFF"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "is JPEG 2000; convert it to PNG"),
        (rb"8BPS", "is a Photoshop file; export it as PNG"),
        (rb"\s*(<\?xml[^>]*>\s*)?<svg", "is an SVG drawing; export it as PDF or PNG"),
        (rb"\s*(<!doctype html|<html)", "is a web page"),
        (rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z", "looks like text"),
    )
)


def _seems(head: bytes) -> str:
    for pattern, words in _OTHERS:
        if pattern.match(head):
            return words
    return f"begins with {head[:8].hex(' ')}"


def _check_regular(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise SourceError(f"{name} is a folder. Give a file, or each file in it.", source=name)
    if not stat.S_ISREG(mode):
        raise SourceError(f"{name} is a device or a pipe, not a file. Read it and give its bytes.", source=name)


def _check_length(length_bytes: int, name: str, limits: SourceLimits) -> None:
    if length_bytes == 0:
        raise SourceError(f"{name} is empty (0 bytes). Save or download it again.", source=name)
    if length_bytes > limits.max_bytes:
        raise SourceError(
            f"{name} is larger than {limits.max_bytes} bytes. Split it, or raise max_bytes of SourceLimits.",
            source=name,
        )


def _why_not_opened(error: Exception, name: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"There is no file {name}. Check the path; it is taken from {os.getcwd()!r}."  # noqa: PTH109
    if isinstance(error, PermissionError):
        return f"{name} may not be read by this user. Change its permissions."
    return f"{name} cannot be opened ({error}). Check the path."
