"""Which files an earlier run finished, so that going on does not open them again.

Kept beside the output is a line of JSON for each source that was read without any fault: its name, size and time
of change, the options that matter, and the file that was written. A line that does not fit any more counts as missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FINISHED_NAME = ".qwen-ocr-finished.jsonl"
"""The list in the output folder."""


@dataclass(frozen=True, slots=True)
class Done:
    """A source as it was when it was read, and what was written of it."""

    source: str
    size_bytes: int
    changed_ns: int
    how: str
    """The options it was read with."""
    file: str
    reader: str = ""
    """Who read it: a model and its host."""


class Finished:
    """The list of finished sources of one output folder.

    Args:
        folder: Where the results are written.
        how: What the results depend on besides the sources.
        reader: Who reads: a model and its host.
        resume: Whether the list of an earlier run counts; otherwise it begins anew.
    """

    def __init__(self, folder: Path, how: str, *, reader: str, resume: bool) -> None:
        self._folder, self._how, self._reader = folder, how, reader
        self._path = folder / FINISHED_NAME
        self._earlier = {done.source: done for done in _read(self._path)} if resume else {}
        if not resume:
            self._path.unlink(missing_ok=True)
        self._opened: dict[str, tuple[int, int]] = {}
        self.skipped = 0
        """How many sources were finished already."""

    @staticmethod
    def readers(folder: Path) -> set[str]:
        """Who read what an output folder holds."""
        return {done.reader for done in _read(folder / FINISHED_NAME)} - {""}

    def file_of(self, source: str) -> str | None:
        """The file that an earlier run wrote of the source."""
        done = self._earlier.get(source)
        return None if done is None else done.file

    def files(self) -> Iterator[str]:
        """All files that an earlier run wrote."""
        return (done.file for done in self._earlier.values())

    def unfinished(self, sources: Iterable[Any]) -> Iterator[Any]:
        """Those that are still to be read; what is no file of this machine always is."""
        for source in sources:
            seen = _seen(source)
            if seen is not None and self._is_done(str(source), seen):
                self.skipped += 1
                continue
            if seen is not None:
                # As it is before it is read: what is changed meanwhile is read again.
                self._opened[str(source)] = seen
            yield source

    def add(self, source: str, file: str) -> None:
        """Remember that all of the source was read and written."""
        seen = self._opened.get(source)
        if seen is None:
            return
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(Done(source, *seen, self._how, file, self._reader))) + "\n")

    def _is_done(self, source: str, seen: tuple[int, int]) -> bool:
        done = self._earlier.get(source)
        if done is None:
            return False
        return done == Done(source, *seen, self._how, done.file, done.reader) and (self._folder / done.file).is_file()


def _seen(source: Any) -> tuple[int, int] | None:  # noqa: ANN401 - any source
    """Size and time of change of a file; None for anything else."""
    if not isinstance(source, str | os.PathLike):
        return None
    try:
        stat = Path(source).stat()
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def _read(path: Path) -> Iterator[Done]:
    """The lines of a list that can be read; a run that was killed may have left half a line."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield Done(**json.loads(line))
        except (ValueError, TypeError):
            continue
