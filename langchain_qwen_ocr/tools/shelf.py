"""What has been read, by handle: a page is read once and asked many times."""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from langchain_qwen_ocr.tools.access import FileSource
from langchain_qwen_ocr.tools.artifact import OCRArtifact

HANDLE_PREFIX = "ocr-"
_HANDLE = re.compile(r"ocr-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """A file that was fetched from an address; kept, so that its other questions need no second fetch."""

    name: str
    """The address."""
    data: bytes = field(repr=False)
    digest: str
    """The SHA-256 of the data, in hex."""


ShelfSource = FileSource | FetchedSource


@dataclass(slots=True)
class _Entry:
    source: ShelfSource
    artifacts: OrderedDict[Hashable, OCRArtifact] = field(default_factory=OrderedDict)

    @property
    def size_bytes(self) -> int:
        return len(self.source.data) if isinstance(self.source, FetchedSource) else 0


class Shelf:
    """Sources and their readings by short handles; the longest unused go first. Safe to share between threads.

    Args:
        max_sources: How many sources are kept.
        max_artifacts: How many results of one source are kept.
        max_bytes: How many bytes of fetched files are kept.
    """

    def __init__(self, *, max_sources: int = 256, max_artifacts: int = 32, max_bytes: int = 128 * 1024 * 1024) -> None:
        self._max_sources = max_sources
        self._max_artifacts = max_artifacts
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._handles: dict[Hashable, str] = {}

    def put(self, source: ShelfSource) -> str:
        """The handle of a source: the same one while the source is the same."""
        with self._lock:
            handle = self._handles.get(_identity(source))
            if handle is None:
                handle = self._new_handle()
                self._handles[_identity(source)] = handle
                self._entries[handle] = _Entry(source)
                self._make_room()
            else:
                self._entries.move_to_end(handle)
            return handle

    def source(self, handle: str) -> ShelfSource | None:
        """The source of a handle; None when it is unknown or was let go."""
        with self._lock:
            entry = self._entries.get(handle)
            if entry is None:
                return None
            self._entries.move_to_end(handle)
            return entry.source

    def artifact(self, handle: str, question: Hashable) -> OCRArtifact | None:
        """What was read for this question; None when nothing was, or it was let go."""
        with self._lock:
            entry = self._entries.get(handle)
            found = entry.artifacts.get(question) if entry is not None else None
            if entry is not None and found is not None:
                entry.artifacts.move_to_end(question)
            return found

    def keep(self, question: Hashable, artifact: OCRArtifact) -> None:
        """Keep what was read for this question, as long as its source is kept."""
        with self._lock:
            entry = self._entries.get(artifact.handle)
            if entry is None:
                return
            entry.artifacts[question] = artifact
            while len(entry.artifacts) > self._max_artifacts:
                entry.artifacts.popitem(last=False)

    def _new_handle(self) -> str:
        while (handle := HANDLE_PREFIX + secrets.token_hex(4)) in self._entries:
            continue
        return handle

    def _make_room(self) -> None:
        # The newest entry stays, however large it is.
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_sources
            or sum(entry.size_bytes for entry in self._entries.values()) > self._max_bytes
        ):
            _, entry = self._entries.popitem(last=False)
            del self._handles[_identity(entry.source)]


def is_handle(words: str) -> bool:
    """Whether it looks like a handle, known or not."""
    return _HANDLE.fullmatch(words) is not None


def _identity(source: ShelfSource) -> Hashable:
    if isinstance(source, FileSource):
        return source
    return source.name, source.digest
