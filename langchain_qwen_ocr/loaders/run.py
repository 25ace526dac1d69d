"""One load: readings in, Documents out, and the count of what happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_core.documents import Document

from langchain_qwen_ocr.documents import (
    TABLE_FORMS,
    TableForm,
    join_readings,
    to_document,
    to_elements,
)
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.exchange import Reading
from langchain_qwen_ocr.loaders.sources import Origin, Sources
from langchain_qwen_ocr.report import Report, Tally
from langchain_qwen_ocr.tasks.results import Result

if TYPE_CHECKING:
    from tqdm import tqdm

Mode = Literal["page", "single", "element"]
OnError = Literal["raise", "record", "skip"]


@dataclass(frozen=True, slots=True)
class Form:
    """How readings become Documents."""

    mode: Mode
    on_error: OnError
    layout: bool
    tables: TableForm

    def __post_init__(self) -> None:
        """Refuse what is none of the choices."""
        for name, value, choices in (
            ("mode", self.mode, get_args(Mode)),
            ("on_error", self.on_error, get_args(OnError)),
            ("tables", self.tables, TABLE_FORMS),
        ):
            if value not in choices:
                raise OptionError(f"{name} is one of {', '.join(choices)}; not {value!r}.")

    def documents(self, reading: Reading[Result], metadata: Mapping[str, object]) -> list[Document]:
        """The Documents of one page."""
        if self.mode == "element":
            return to_elements(reading, layout=self.layout, tables=self.tables, metadata=metadata)
        return [to_document(reading, layout=self.layout, tables=self.tables, metadata=metadata)]

    def joined(self, readings: list[Reading[Result]], metadata: Mapping[str, object]) -> Document:
        """The one Document of a source."""
        return join_readings(readings, layout=self.layout, tables=self.tables, metadata=metadata)


class Run:
    """One load: readings in, Documents out, and the count of what happened."""

    def __init__(
        self,
        sources: Sources,
        form: Form,
        on_end: Callable[[Report], None] | None = None,
        bar: tqdm[Any] | None = None,
        *,
        known_length: bool = False,
    ) -> None:
        self.sources = sources
        self._form = form
        self._on_end = on_end
        self._bar = bar
        self._known_length = known_length
        self._tally = Tally()
        self._current: Origin | None = None
        self._together: list[Reading[Result]] = []
        self._dropped: tuple[Reading[Result], Origin] | None = None
        self._given = 0

    def documents(self, reading: Reading[Result]) -> Iterator[Document]:
        """The Documents that this reading completes.

        Raises:
            QwenOCRError: It went wrong, and the policy is to raise.
        """
        origin = self.sources.origin_of(reading)
        self._tally.add(reading)
        if self._form.mode == "single" and origin is not self._current:
            yield from self._joined()
        is_new = origin is not self._current
        self._current = origin
        self._show(reading, is_new=is_new)
        if not reading.is_good and self._form.on_error == "raise":
            reading.raise_for_outcome()
        if not reading.is_good and self._form.on_error == "skip":
            self._dropped = reading, origin
            return
        if self._form.mode == "single":
            self._together.append(reading)
        else:
            yield from self._give(self._form.documents(reading, origin.metadata))

    def last_documents(self, *, at_least_one: bool = False) -> Iterator[Document]:
        """The Documents that only the end completes."""
        yield from self._joined()
        if at_least_one and not self._given and self._dropped is not None:
            reading, origin = self._dropped
            yield from self._give([to_document(dataclasses.replace(reading, result=None), metadata=origin.metadata)])

    def close(self) -> None:
        """Report how it went."""
        if self._bar is not None:
            self._bar.close()
        if self._on_end is not None:
            self._on_end(self._tally.report())

    def _joined(self) -> Iterator[Document]:
        readings, self._together = self._together, []
        if readings and self._current is not None:
            yield from self._give([self._form.joined(readings, self._current.metadata)])

    def _give(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            self._given += 1
            yield document

    def _show(self, reading: Reading[Result], *, is_new: bool) -> None:
        if self._bar is None:
            return
        if is_new and self._known_length and reading.total_pages is not None:
            self._bar.total = (self._bar.total or 0) + reading.total_pages
        self._bar.update(len(reading.page_indexes))


def progress_bar() -> tqdm[Any]:
    """A bar on stderr that counts pages."""
    from tqdm import tqdm

    return tqdm(unit="page", desc="Qwen-OCR")
