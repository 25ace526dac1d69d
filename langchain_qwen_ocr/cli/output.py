"""Where readings go: to standard output as they come, or to one file for each source."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from langchain_qwen_ocr.cli.finished import Finished
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tasks.key_information_extraction import Fields

if TYPE_CHECKING:
    from langchain_qwen_ocr.exchange import Reading

SUFFIXES = {
    "text": ".txt",
    "md": ".md",
    "json": ".json",
    "jsonl": ".jsonl",
    "html": ".html",
    "csv": ".csv",
    "latex": ".tex",
}
"""The forms results are written in, and the names their files end with."""


class Output(Protocol):
    """Takes readings in page order, source by source."""

    def add(self, source: str, reading: Reading[Any]) -> None:
        """Take a reading of that source."""

    def close(self, *, complete: bool) -> None:
        """Finish; what belongs to a source that was interrupted is not written when not *complete*."""


class StandardOutput:
    """Writes each page as soon as it is there; JSON as one array, CSV of fields as one table."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._pages = 0
        self._header = ""
        """Of the fields written last: receipts with the same fields become one table."""

    def add(self, source: str, reading: Reading[Any]) -> None:  # noqa: ARG002 - all go to the same place
        """Write the page."""
        text = _written(reading, self._form)
        if not text:
            return
        before = self._before()
        if self._form == "csv" and isinstance(reading.result, Fields):
            header, _, row = text.partition("\n")
            if header == self._header:
                before, text = "", row
            self._header = header
        sys.stdout.write(before + text + ("" if self._form == "json" else "\n"))
        sys.stdout.flush()
        self._pages += 1

    def close(self, *, complete: bool) -> None:  # noqa: ARG002 - an array is closed all the same
        """Close the array."""
        if self._form == "json":
            sys.stdout.write("\n]\n" if self._pages else "[]\n")

    def _before(self) -> str:
        if self._form == "json":
            return ",\n" if self._pages else "[\n"
        return "" if self._form == "jsonl" or not self._pages else "\n"


class Folder:
    """Writes one file for each source, whole or not at all, as soon as its last page is there.

    A source of which no page could be read gets no file in a form that cannot say so.

    Args:
        folder: One that is there.
        form: What is written.
        finished: Learns which sources are done, and knows the names that an earlier run gave.
        tell: Takes what is said to a person.
    """

    def __init__(self, folder: Path, form: str, finished: Finished, tell: Callable[[str], None]) -> None:
        self._folder, self._form, self._finished, self._tell = folder, form, finished, tell
        self._source: str | None = None
        self._readings: list[Reading[Any]] = []
        self._taken: set[str] = set()
        self._kept = {name.casefold() for name in finished.files()}

    def add(self, source: str, reading: Reading[Any]) -> None:
        """Take the page."""
        if source != self._source:
            self._write()
            self._source = source
        self._readings.append(reading)
        if reading.total_pages == reading.page_indexes[-1] + 1:
            self._write()

    def close(self, *, complete: bool) -> None:
        """Write the last file."""
        if complete:
            self._write()

    def _write(self) -> None:
        source, self._source = self._source, None
        readings, self._readings = self._readings, []
        if source is None:
            return
        name = self._name(source)
        if self._form not in _SAYS_WHAT_FAILED and all(_has_nothing(reading) for reading in readings):
            if not all(reading.outcome == "skipped" for reading in readings):
                self._tell(f"Wrote nothing of {source}: no page of it could be read.")
            return
        path = self._folder / name
        unfinished = path.with_name(path.name + ".part")
        pages = [_written(reading, self._form) for reading in readings]
        unfinished.write_text(_joined(pages, self._form), encoding="utf-8", newline="\n")
        unfinished.replace(path)
        bad = sum(reading.error is not None for reading in readings)
        self._tell(f"Wrote {path}" + (f", without {bad} of {len(readings)} pages" if bad else ""))
        if not bad:
            self._finished.add(source, name)

    def _name(self, source: str) -> str:
        """A name of its own for each source's file: that of the earlier run, or one that is free.

        It keeps the source's ending, so that a.jpg and a.png do not meet; equal names of several folders are numbered.
        """
        suffix = SUFFIXES[self._form]
        earlier = self._finished.file_of(source)
        if earlier is not None and earlier.endswith(suffix) and earlier.casefold() not in self._taken:
            name = earlier
        else:
            stem = source_name(source)
            names = (f"{stem}-{number}{suffix}" if number > 1 else stem + suffix for number in itertools.count(1))
            name = next(name for name in names if name.casefold() not in self._taken | self._kept)
        self._taken.add(name.casefold())
        return name


_SAYS_WHAT_FAILED = {"json", "jsonl"}


def _has_nothing(reading: Reading[Any]) -> bool:
    return reading.error is not None and reading.result is None


_NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f]')
"""What Windows does not take in a file's name, beside slashes."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What terminals take for commands."""
_LONGEST_NAME_BYTES = 200
"""File systems take 255, and a number and endings are to follow."""


def source_name(source: str) -> str:
    """The last part of a source's path or address, fit for a file's name anywhere; "stdin" for standard input."""
    if source == "-":
        return "stdin"
    path = unquote(urlsplit(source).path) if "://" in source else source
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    # A name that is no UTF-8 has halves of characters in it, which are written as question marks.
    fitting = last.encode(errors="replace")[:_LONGEST_NAME_BYTES].decode(errors="ignore")
    name = _NOT_IN_NAMES.sub("_", fitting).rstrip(". ")
    return f"_{name}" if _DEVICES.match(name) else name or "source"


def make_folder(path: Path) -> None:
    """Make the output folder, where it is not there.

    Raises:
        OptionError: It cannot be one.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--out {path} cannot be a folder ({error.strerror}): name another one.") from error


def say(message: str) -> None:
    """Tell a person, on standard error, without what would steer the terminal: names and warnings come from files."""
    sys.stderr.write(_CONTROLS.sub("\ufffd", message) + "\n")
    sys.stderr.flush()


def _written(reading: Reading[Any], form: str) -> str:
    if form in {"json", "jsonl"}:
        return json.dumps(reading.to_dict(), ensure_ascii=False, default=str, indent=2 if form == "json" else None)
    return str(reading.result.render(form)).rstrip("\n") if reading.result is not None else ""


def _joined(pages: Sequence[str], form: str) -> str:
    """The pages of one source as the text of one file."""
    if form == "json":
        return "[\n" + ",\n".join(pages) + "\n]\n"
    between = "\n" if form == "jsonl" else "\n\n"
    return between.join(page for page in pages if page) + "\n"
