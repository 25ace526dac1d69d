"""The loader: files, folders, addresses and blobs become Documents."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig

from langchain_qwen_ocr.documents import TableForm
from langchain_qwen_ocr.engine import QwenOCR
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.loaders.run import Form, Mode, OnError, Run, progress_bar
from langchain_qwen_ocr.loaders.sources import Source, Sources
from langchain_qwen_ocr.pages import parse_page_ranges
from langchain_qwen_ocr.report import Report
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition
from langchain_qwen_ocr.tracing import traced


class QwenOCRLoader(BaseLoader):
    """Documents read from pictures and PDFs, lazily and in page order, several pages in flight.

    Args:
        source: A file, a folder, a glob such as "scans/**/*.pdf", a URL, bytes, a file object, a PIL image, a Blob,
            a BlobLoader, or a list of these. Folders are searched with their sub-folders, in order of name, hidden
            files left out.
        task: What to read; None for running text.
        ocr: What reads; None for `QwenOCR()`, made when it is first needed.
        pages: Such as "1-3,7,10-", counted from 1, of each source; None for all.
        mode: A Document for each "page", for each source ("single"), or for each "element": line with a place,
            table, block of a document.
        on_error: What to do about a page that is anything but ok, blank or skipped: "raise" its error, "record" it as
            a Document that says so, or "skip" it. Wrong keys and options always raise. The `report` counts all.
        layout: Whether metadata holds regions and tables as JSON (`ocr_layout`).
        tables: How tables stand in the text, "markdown" or "html".
        show_progress: Whether to draw a progress bar on stderr.
        config: Callbacks, tags, metadata and `max_concurrency` for the calls, which appear as chat-model runs.

    Raises:
        OptionError: An argument cannot work.
    """

    def __init__(
        self,
        source: Source,
        *,
        task: Task[Any] | None = None,
        ocr: QwenOCR | None = None,
        pages: str | None = None,
        mode: Mode = "page",
        on_error: OnError = "raise",
        layout: bool = False,
        tables: TableForm = "markdown",
        show_progress: bool = False,
        config: RunnableConfig | None = None,
    ) -> None:
        parse_page_ranges(pages)
        self._source = source
        self._task = checked_task(task)
        self._ocr = LazyReader(ocr)
        self._pages = pages
        self._form = Form(mode, on_error, layout, tables)
        self._show_progress = show_progress
        self._config = config
        self.report: Report | None = None
        """How the last load went, also one that broke off; None before the first."""

    def lazy_load(self) -> Iterator[Document]:
        """The Documents, each as soon as its turn has come.

        Raises:
            SourceError: There is nothing to read, or with `on_error="raise"` a file does not open.
            QwenOCRError: With `on_error="raise"`, the first page that went wrong.
            AuthenticationError: The key, the account or the model's access.
        """
        # Not a generator itself: callbacks of the present context are taken now, not when somebody starts to iterate.
        return self._load(traced(self._ocr.get(), self._config))

    def alazy_load(self) -> AsyncIterator[Document]:
        """The same on the running event loop."""
        return self._aload(traced(self._ocr.get(), self._config))

    def _load(self, ocr: QwenOCR) -> Iterator[Document]:
        run = self._run()
        with closing(run), closing(cast("Any", ocr.read(run.sources, self._task, pages=self._pages))) as readings:
            for reading in readings:
                yield from run.documents(reading)
            yield from run.last_documents()

    async def _aload(self, ocr: QwenOCR) -> AsyncIterator[Document]:
        run = self._run()
        with closing(run):
            async with aclosing(cast("Any", ocr.aread(run.sources, self._task, pages=self._pages))) as readings:
                async for reading in readings:
                    for document in run.documents(reading):
                        yield document
                for document in run.last_documents():
                    yield document

    def _run(self) -> Run:
        bar = progress_bar() if self._show_progress else None
        return Run(Sources(self._source), self._form, self._keep_report, bar, known_length=self._pages is None)

    def _keep_report(self, report: Report) -> None:
        self.report = report


class LazyReader:
    """The reader that was given, or one made when it is first needed."""

    def __init__(self, ocr: QwenOCR | None) -> None:
        if not (ocr is None or isinstance(ocr, QwenOCR)):
            raise OptionError(f"ocr is a reader such as QwenOCR.local(), not {ocr!r}.")
        self._ocr = ocr
        self._lock = threading.Lock()

    def get(self) -> QwenOCR:
        """The reader."""
        with self._lock:
            if self._ocr is None:
                self._ocr = QwenOCR()
            return self._ocr


def checked_task(task: Task[Any] | None) -> Task[Any]:
    """The task, or the one for running text.

    Raises:
        OptionError: It is no task; a class, perhaps.
    """
    if task is None:
        return TextRecognition()
    if not isinstance(task, Task):
        raise OptionError(f"task is a task such as TextRecognition(), not {task!r}.")
    return task
