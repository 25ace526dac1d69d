"""Where readings go: to standard output as they come, or to one file for each source."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

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
    """Writes each page as soon as it is there; JSON as one array."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._pages = 0

    def add(self, source: str, reading: Reading[Any]) -> None:  # noqa: ARG002 - all go to the same place
        """Write the page."""
        text = _written(reading, self._form)
        if not text:
            return
        sys.stdout.write(self._before() + text + ("" if self._form == "json" else "\n"))
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
    """Writes one file for each source, whole or not at all."""

    def __init__(self, folder: Path, form: str) -> None:
        self._folder, self._form = folder, form
        self._source: str | None = None
        self._pages: list[str] = []
        self._taken: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: str, reading: Reading[Any]) -> None:
        """Take the page; the file is written when the next source begins."""
        if source != self._source:
            self._write()
            self._source = source
        self._pages.append(_written(reading, self._form))

    def close(self, *, complete: bool) -> None:
        """Write the last file."""
        if complete:
            self._write()

    def _write(self) -> None:
        pages, self._pages = self._pages, []
        if self._source is None:
            return
        path = self._folder / self._free_name(self._source)
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(_joined(pages, self._form), encoding="utf-8", newline="\n")
        unfinished.replace(path)
        say(f"Wrote {path}")

    def _free_name(self, source: str) -> str:
        """A name of its own for each source's file.

        It keeps the source's ending, so that a.jpg and a.png do not meet; equal names of several folders are numbered.
        """
        stem = source_name(source)
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name + SUFFIXES[self._form]


def source_name(source: str) -> str:
    """The last part of a source's path or address; "stdin" for standard input."""
    if source == "-":
        return "stdin"
    path = unquote(urlsplit(source).path) if "://" in source else source
    return os.path.basename(path.rstrip("/\\")).replace(":", "_") or "source"  # noqa: PTH119 - also of an address


def say(message: str) -> None:
    """Tell a person, on standard error."""
    sys.stderr.write(message + "\n")
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
