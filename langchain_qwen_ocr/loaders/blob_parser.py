"""The blob parser: the pictures and PDFs of other loaders become Documents."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents import Document
from langchain_core.documents.base import Blob
from langchain_core.runnables import RunnableConfig

from langchain_qwen_ocr.documents import TableForm
from langchain_qwen_ocr.engine import QwenOCR
from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.exchange import Reading
from langchain_qwen_ocr.geometry import Size
from langchain_qwen_ocr.loaders.loader import LazyReader, checked_task
from langchain_qwen_ocr.loaders.run import Form, Mode, OnError, Run
from langchain_qwen_ocr.loaders.sources import Sources
from langchain_qwen_ocr.pages import open_pages
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tracing import traced
from langchain_qwen_ocr.usage import Usage

MIN_AREA_PX2 = 32 * 32
"""Pictures below this are ornaments, not text; a square of 32 px is the least a model looks at."""
MIN_SIDE_PX = 11
"""The service refuses pictures with a shorter side."""
_REMEMBERED_PICTURES = 256


class QwenOCRBlobParser(BaseBlobParser):
    """Documents read from blobs: of any loader, or as the `images_parser` of a PDF parser.

    A picture gives exactly one Document in the modes "page" and "single". Pictures too small to hold text are not sent
    (outcome "skipped"), and the same picture is read once. Arrays (`application/x-npy`) may be grey, 1-bit or RGB; four
    channels are CMYK.

    Args:
        task: What to read; None for running text.
        ocr: What reads; None for `QwenOCR()`, made when it is first needed.
        mode: As for `QwenOCRLoader`.
        on_error: As for `QwenOCRLoader`; but a blob always gives a Document: with "skip", when no page was good, an
            empty one that says so.
        layout: Whether metadata holds regions and tables as JSON (`ocr_layout`).
        tables: How tables stand in the text, "markdown" or "html".
        config: Callbacks, tags, metadata and `max_concurrency` for the calls, which appear as chat-model runs.

    Raises:
        OptionError: An argument cannot work.
    """

    def __init__(
        self,
        *,
        task: Task[Any] | None = None,
        ocr: QwenOCR | None = None,
        mode: Mode = "page",
        on_error: OnError = "raise",
        layout: bool = False,
        tables: TableForm = "markdown",
        config: RunnableConfig | None = None,
    ) -> None:
        self._task = checked_task(task)
        self._ocr = LazyReader(ocr)
        self._form = Form(mode, on_error, layout, tables)
        self._config = config
        self._known = _KnownPictures(_REMEMBERED_PICTURES)

    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """The Documents of a blob.

        Raises:
            QwenOCRError: With `on_error="raise"`, what went wrong.
            AuthenticationError: The key, the account or the model's access.
        """
        return self._parse(blob, traced(self._ocr.get(), self._config))

    def alazy_parse(self, blob: Blob) -> AsyncIterator[Document]:
        """The same on the running event loop."""
        return self._aparse(blob, traced(self._ocr.get(), self._config))

    async def aparse(self, blob: Blob) -> list[Document]:
        """All Documents of a blob."""
        return [document async for document in self.alazy_parse(blob)]

    def _parse(self, blob: Blob, ocr: QwenOCR) -> Iterator[Document]:
        picture = self._look_at(blob)
        run = Run(Sources([blob]), self._form)
        if picture.known is not None:
            yield from _without_a_call(run, picture.known)
        else:
            with closing(cast("Any", ocr.read(run.sources, self._task))) as readings:
                for reading in readings:
                    self._known.keep(picture.digest, reading)
                    yield from run.documents(reading)
        yield from run.last_documents(at_least_one=True)

    async def _aparse(self, blob: Blob, ocr: QwenOCR) -> AsyncIterator[Document]:
        picture = await asyncio.to_thread(self._look_at, blob)
        run = Run(Sources([blob]), self._form)
        if picture.known is not None:
            for document in _without_a_call(run, picture.known):
                yield document
        else:
            async with aclosing(cast("Any", ocr.aread(run.sources, self._task))) as readings:
                async for reading in readings:
                    self._known.keep(picture.digest, reading)
                    for document in run.documents(reading):
                        yield document
        for document in run.last_documents(at_least_one=True):
            yield document

    def _look_at(self, blob: Blob) -> _Look:
        """What is known of a blob before anything is sent."""
        try:
            first = next(iter(open_pages(blob)))
        except (SourceError, StopIteration):
            return _Look()  # reading it says what is wrong, with the error policy applied
        if first.size_px is None or first.size_pt is not None or first.total_pages != 1:
            return _Look()
        if _is_tiny(first.size_px):
            return _Look(known=_skipped(first.source, self._task, first.size_px))
        digest = hashlib.sha256(blob.as_bytes()).hexdigest()
        return _Look(digest, self._known.find(digest, source=first.source))


def _without_a_call(run: Run, known: Reading[Result]) -> Iterator[Document]:
    """The Documents of a blob whose reading is there already."""
    next(iter(run.sources))  # it is taken, though nobody reads it
    yield from run.documents(known)


@dataclass(frozen=True, slots=True)
class _Look:
    """A picture's digest, and its reading when nothing need be sent."""

    digest: str | None = None
    known: Reading[Result] | None = None


def _is_tiny(size_px: Size) -> bool:
    return min(size_px) < MIN_SIDE_PX or size_px.area_px2 < MIN_AREA_PX2


def _skipped(source: str, task: Task[Any], size_px: Size) -> Reading[Result]:
    return Reading(
        source=source,
        page_indexes=(0,),
        task=task,
        outcome="skipped",
        size_px=size_px,
        total_pages=1,
        warnings=(f"A picture of {size_px.width_px}x{size_px.height_px} px is too small to hold text; not sent.",),
    )


class _KnownPictures:
    """Readings by the digest of their picture; the longest unused go first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._readings: OrderedDict[str, Reading[Result]] = OrderedDict()

    def find(self, digest: str, *, source: str) -> Reading[Result] | None:
        """What was read from the same picture, free of charge this time."""
        with self._lock:
            reading = self._readings.get(digest)
            if reading is None:
                return None
            self._readings.move_to_end(digest)
        return dataclasses.replace(reading, source=source, usage=Usage(cached=1), attempts=0)

    def keep(self, digest: str | None, reading: Reading[Result]) -> None:
        """Remember a reading, unless it may be better next time."""
        if digest is None or reading.outcome == "failed":
            return
        with self._lock:
            self._readings.setdefault(digest, reading)
            while len(self._readings) > self._capacity:
                self._readings.popitem(last=False)
