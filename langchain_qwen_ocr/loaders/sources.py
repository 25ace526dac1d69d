"""From what the caller names to single sources, and back from a reading to its source."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from langchain_core.documents.base import Blob

from langchain_qwen_ocr.engine import several_sources
from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.exchange import Reading
from langchain_qwen_ocr.pages.content import SUFFIXES
from langchain_qwen_ocr.tasks.results import Result

Source: TypeAlias = Any
"""A file, folder, glob, address, bytes, file object, PIL image, Blob, BlobLoader, or an iterable of these."""


@dataclass(slots=True)
class Origin:
    """A source that was opened, and what its Documents carry along."""

    name: str | None
    """As its readings call it; None until the first one has come."""
    metadata: Mapping[str, object]
    last_page: int = -1

    def may_be_of(self, reading: Reading[Result]) -> bool:
        """Whether the reading may come from here, by its name."""
        return self.name in {None, reading.source}


class Sources:
    """The sources one by one, and which of them a reading comes from.

    Reading runs ahead of what it gives, but keeps the order, and each source gives a reading at least; so the sources
    that were taken wait here. Several may have one name: a page that does not come after the last is the next one's.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._waiting: deque[Origin] = deque()

    def __iter__(self) -> Iterator[Any]:
        for source in expand(self._source):
            self._waiting.append(Origin(_name(source), _metadata(source)))
            yield source

    def origin_of(self, reading: Reading[Result]) -> Origin:
        """The source of a reading."""
        current = self._waiting[0]
        goes_on = current.may_be_of(reading) and reading.page_index > current.last_page
        if not goes_on and len(self._waiting) > 1 and self._waiting[1].may_be_of(reading):
            self._waiting.popleft()
            current = self._waiting[0]
        current.name = reading.source
        current.last_page = max(current.last_page, *reading.page_indexes)
        return current


def expand(source: Source) -> Iterator[Any]:
    """The single sources that *source* stands for, as late as possible.

    Raises:
        SourceError: A folder or a glob holds no picture and no PDF.
    """
    if hasattr(source, "yield_blobs"):
        yield from source.yield_blobs()
    elif isinstance(source, str | os.PathLike):
        yield from _expand_path(source)
    elif (several := several_sources(source)) is not None:
        for one in several:
            yield from expand(one)
    else:
        yield source


def _expand_path(named: str | os.PathLike[str]) -> Iterator[str | Path]:
    words = os.fspath(named)
    if "://" in words:
        yield words
        return
    path = Path(words)
    if path.is_dir():
        yield from _found(_files_under(path), f"The folder {words}")
    elif not path.exists() and glob.has_magic(words):
        matches = (Path(match) for match in glob.iglob(words, recursive=True))  # noqa: PTH207 - absolute patterns too
        yield from _found(sorted(match for match in matches if match.is_file()), f"The pattern {words}")
    else:
        yield path


def _found(files: list[Path], where: str) -> list[Path]:
    if not files:
        raise SourceError(f"{where} holds no file to read. Known are: {' '.join(sorted(SUFFIXES))}.", source=where)
    return files


def _files_under(folder: Path) -> list[Path]:
    """Pictures and PDFs in a folder and below, in order of name; hidden ones left out."""
    files: list[Path] = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += (
            Path(here, name) for name in names if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        )
    return sorted(files)


def _name(source: Source) -> str | None:
    """How readings call the source, where that is known before it is opened."""
    if isinstance(source, str | Path):
        return str(source)
    return str(source.source or "blob") if isinstance(source, Blob) else None


def _metadata(source: Source) -> Mapping[str, object]:
    """What a Blob knows about itself."""
    return source.metadata if isinstance(source, Blob) else {}
