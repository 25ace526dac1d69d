"""What a tool may open: files under one folder, addresses of named hosts, nothing else.

What comes in was written by a chat model, and a chat model may have been talked into it by the picture it read last.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from langchain_qwen_ocr.errors import ForbiddenSourceError, OptionError, SourceError
from langchain_qwen_ocr.pages.content import SUFFIXES
from langchain_qwen_ocr.pages.fetch import check_url_words

ANY_HOST = "*"
"""In `url_hosts`: every public host."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Two letters and more, since one letter before a colon is a drive."""
_DRIVE = re.compile(r"[a-z]:", re.IGNORECASE)
_NETWORK_PREFIXES = ("\\\\", "//", "\\/", "/\\")
"""Shares and devices of Windows, in any mix of slashes."""
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""NUL among them, which ends a path for the operating system wherever it stands."""
_MORE_THAN_A_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters of file names that would begin a line, turn the writing round, or cannot be written at all."""
_MAX_WORDS = 2_048
"""The longest path or address that is looked at, in characters."""
_LISTED_FILES = 10
"""How many names a message offers in place of a file that is not there."""
_READING = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))
"""How a file is opened: through no link, and without waiting at the end of a pipe."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file under the root folder."""

    path: Path
    """With all links followed."""
    name: str
    """As it is called in answers: relative to the root folder."""
    stamp: tuple[int, int]
    """Time of the last change in ns and size in bytes: another stamp is another picture."""

    @property
    def size_bytes(self) -> int:
        """Its size when it was found."""
        return self.stamp[1]


@dataclass(frozen=True, slots=True)
class Address:
    """An address that may be fetched."""

    url: str


class Access:
    """Decides what a tool may open.

    Args:
        root_dir: The folder under which files may be read; None for no files.
        url_hosts: The hosts that may be fetched from, exactly as written, or "*" for every public one; None for
            none. A host may come with a port, "example.com:8443"; without one only 443 is open.

    Raises:
        OptionError: The folder is none, or a host is no host name.
    """

    def __init__(
        self, root_dir: str | os.PathLike[str] | None = None, url_hosts: str | Iterable[str] | None = None
    ) -> None:
        self.root = None if root_dir is None else _root(root_dir)
        hosts = (url_hosts,) if isinstance(url_hosts, str) else tuple(url_hosts or ())
        self.hosts = frozenset(host if host == ANY_HOST else _listed_host(host) for host in hosts)

    def find(self, image: str) -> FileSource | Address:
        """The file or address that a chat model's words name.

        Raises:
            ForbiddenSourceError: It may not be opened.
            SourceError: There is no such file.
        """
        if not image.strip() or len(image) > _MAX_WORDS or _CONTROL.search(image):
            raise SourceError("image is the path of a picture, an https address, or a handle from an earlier answer.")
        if _SCHEME.match(image):
            return self.address(image)
        return self._file(image)

    def address(self, url: str) -> Address:
        """The address, when its words alone allow it; whoever fetches it checks where it really leads.

        Raises:
            ForbiddenSourceError: It is no public https address, or its host is not listed.
        """
        if not self.hosts:
            raise ForbiddenSourceError("Addresses are not open to this tool. Give a path or a handle instead.")
        check_url_words(url)
        self.check_host(urlsplit(url).netloc)
        return Address(url)

    def check_host(self, host_and_port: str) -> None:
        """Refuse a host that is not listed: asked again for each redirect.

        Raises:
            ForbiddenSourceError: It is not listed, or its port is not.
        """
        written, _, port = host_and_port.partition(":")
        host = _host(written)
        listed = {host, f"{host}:443", ANY_HOST} if port in {"", "443"} else {f"{host}:{port}"}
        if self.hosts.isdisjoint(listed):
            raise ForbiddenSourceError(
                f"The host {host_and_port!r} is not open to this tool; open are: {', '.join(sorted(self.hosts))}."
            )

    def holds(self, path: Path) -> bool:
        """Whether a path with all links followed lies under the root folder."""
        return self.root is not None and path.is_relative_to(self.root)

    def read(self, source: FileSource, *, max_bytes: int) -> bytes:
        """The bytes of a file that was found: of that very file, whatever its path has become since.

        Raises:
            ForbiddenSourceError: It lies outside the root folder, or its path leads through a link now.
            SourceError: It has gone, has changed, cannot be read, or is larger than *max_bytes*.
        """
        if source.size_bytes > max_bytes:
            raise SourceError(f"{source.name} is larger than {max_bytes} bytes.", source=source.name)
        try:
            with open(self._descriptor(source), "rb") as file:  # noqa: PTH123 - a descriptor has no path
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or _stamp(status) != source.stamp:
                    raise SourceError(f"{source.name} has just changed. Ask again.", source=source.name)
                return file.read(max_bytes)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise ForbiddenSourceError(f"{source.name!r} has become a link.", source=source.name) from None
            why = os.strerror(error.errno or 0)
            raise SourceError(f"{source.name} cannot be read: {why}.", source=source.name) from None

    def _descriptor(self, source: FileSource) -> int:
        """The open file, reached from the root folder step by step, so that no link set meanwhile is followed."""
        if self.root is None or not self.holds(source.path):
            raise ForbiddenSourceError(f"{source.name!r} is not open to this tool.", source=source.name)
        if os.open not in os.supports_dir_fd:
            opened = os.open(source.path, _READING)
            if source.path.resolve() == source.path and os.path.samestat(os.fstat(opened), source.path.stat()):
                return opened
            os.close(opened)
            raise ForbiddenSourceError(f"{source.name!r} has become a link.", source=source.name)
        *folders, name = source.path.relative_to(self.root).parts
        here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                below = os.open(folder, _READING | os.O_DIRECTORY, dir_fd=here)
                os.close(here)
                here = below
            return os.open(name, _READING, dir_fd=here)
        finally:
            os.close(here)

    def _file(self, words: str) -> FileSource:
        if self.root is None:
            raise ForbiddenSourceError("Files are not open to this tool. Give a handle or an address that is.")
        _check_words(words)
        try:
            path = (self.root / words).resolve()
        except (OSError, RuntimeError, ValueError):
            raise SourceError(f"{words!r} cannot be followed to a file.") from None
        if not path.is_relative_to(self.root):
            raise ForbiddenSourceError(
                f"{words!r} lies outside the folder that is open to this tool. Give a path inside it."
            )
        try:
            status = path.stat()
        except OSError:
            raise SourceError(self._not_there(words, path)) from None
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(self._not_there(words, path, "is not a file"))
        return FileSource(path, path.relative_to(self.root).as_posix(), _stamp(status))

    def _not_there(self, words: str, path: Path, complaint: str = "does not exist") -> str:
        """What to say of a missing file: what is there instead."""
        assert self.root is not None
        folder = path if _is_folder(path) else path.parent
        if not folder.is_relative_to(self.root) or not _is_folder(folder):
            folder = self.root
        names = sorted(
            entry.relative_to(self.root).as_posix() + ("/" if _is_folder(entry) else "")
            for entry in _entries(folder)
            if _is_folder(entry) or entry.suffix.lower() in SUFFIXES
        )
        more = f" and {len(names) - _LISTED_FILES} more" if len(names) > _LISTED_FILES else ""
        there = ", ".join(names[:_LISTED_FILES]) or "nothing"
        return f"{words!r} {complaint}. There is: {there}{more}."


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_size


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def _entries(folder: Path) -> list[Path]:
    """What can be named in a folder: nothing hidden, and no name that would pass for more than a name."""
    try:
        entries = list(itertools.islice(folder.iterdir(), 1_000))
    except OSError:
        return []
    return [entry for entry in entries if not entry.name.startswith(".") and not _MORE_THAN_A_NAME.search(entry.name)]


def _root(root_dir: str | os.PathLike[str]) -> Path:
    root = Path(root_dir).expanduser().resolve()
    if not root.is_dir():
        raise OptionError(f"root_dir is a folder that exists, not {os.fspath(root_dir)!r}.")
    return root


def _check_words(words: str) -> None:
    """Refuse what an operating system takes for something other than a file of this machine.

    The same words are refused on every system, so that what is safe does not depend on where it runs.
    """
    if words.startswith(_NETWORK_PREFIXES):
        raise ForbiddenSourceError("Network paths and devices are not opened. Give a path inside the open folder.")
    parts = re.split(r"[/\\]", words[2:] if _DRIVE.match(words) else words)
    for part in parts:
        stem = part.split(".")[0].split(":")[0].rstrip(" ").lower()
        if stem in _DEVICES:
            raise ForbiddenSourceError(f"{part!r} is the name of a device, not of a file.")
        if ":" in part and os.name == "nt":
            raise ForbiddenSourceError(f"{part!r} names a stream of a file. Give the file's own path.")
    if ".." in parts:
        raise ForbiddenSourceError(f"{words!r} goes up with '..'. Give a path inside the open folder.")


def _listed_host(written: str) -> str:
    host, _, port = written.strip().partition(":")
    if not host or re.search(r"[/\\@*\s]", host) or (port and not port.isdecimal()):
        raise OptionError(f'url_hosts lists host names such as "example.com", or "*"; not {written!r}.')
    return f"{_host(host)}:{port}" if port else _host(host)


def _host(written: str) -> str:
    """A host name in the one form in which it is compared: lower case, ASCII, without the final dot.

    Raises:
        ForbiddenSourceError: It is no host name.
    """
    host = written.rstrip(".").lower()
    if host.isascii():
        return host
    import httpx2

    try:
        # By the code that connects: "ß" is a letter of its own for it, and "ss" for others.
        return httpx2.URL(f"https://{host}").raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError):
        raise ForbiddenSourceError(f"{written!r} is no host name.") from None
