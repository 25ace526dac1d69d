"""What identifies a request, and where completions are kept so that no page is paid for twice.

A fingerprint is made of what the answer depends on: the pictures' bytes, the task and its prompt, the model, the pixel
budget and the length limit; not of the file's name. A store keeps bytes under fingerprints. What is kept is the
answer and facts about it: no picture, no key, no name of a file.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast, get_args, runtime_checkable

from langchain_qwen_ocr.errors import ContentRefusedError, EndpointError, OptionError, RequestRejectedError
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Origin
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import Usage

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

FORMAT: Final = 1
"""Counts up when what is sent for the same request changes, or how an entry is written: old entries are left alone."""
FAILURES_KEPT_S: Final = 7 * 24 * 3600.0
"""How long a refusal is remembered, in seconds: the service's rules change now and then."""
_REMEMBERED_ERRORS: Final = {error.__name__: error for error in (ContentRefusedError, RequestRejectedError)}
_APPLICATION_ID: Final = 0x514F4352
"""Written into the SQLite file, so that no other program's file is taken for a cache."""
_MAGIC: Final = b"SQLite format 3\0"
_LOCK_WAIT_S: Final = 30.0


def fingerprint(request: OCRRequest[Result]) -> str:
    """What identifies the answer to *request*: 64 hex digits, the same in every process."""
    facts = {
        "format": FORMAT,
        "model": request.model,
        "task": request.task.name,
        "prompt": request.task.prompt(),
        "images": [[image.mime_type, image.digest] for image in request.images],
        "budget": dataclasses.astuple(request.budget),
        "max_tokens": request.max_tokens,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@runtime_checkable
class CompletionStore(Protocol):
    """Keeps bytes under fingerprints; used from several threads at once."""

    def get(self, key: str) -> bytes | None:
        """What is kept under *key*; None where nothing is."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keep *value* under *key*, in place of what was there."""
        ...


@runtime_checkable
class _ManyStore(Protocol):
    """What LangChain's `ByteStore` offers."""

    def mget(self, keys: Sequence[str]) -> list[bytes | None]: ...

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None: ...


def open_store(given: object) -> CompletionStore:
    """The store that *given* is or names.

    Args:
        given: A path of a SQLite file, anything with `mget` and `mset` such as LangChain's `ByteStore`, or a
            `CompletionStore`.

    Raises:
        OptionError: It is none of these, or a file of something else.
    """
    if isinstance(given, str | os.PathLike):
        return SQLiteStore(given)
    if isinstance(given, _ManyStore):
        return ByteStoreAdapter(given)
    if isinstance(given, CompletionStore):
        return given
    raise OptionError(
        f"cache is a path, a store with mget and mset, or one with get and put, not {type(given).__name__}."
    )


class ByteStoreAdapter:
    """A store over anything with `mget` and `mset`, such as LangChain's `ByteStore`.

    Args:
        store: Its own asynchronous methods are used where it has them.
        prefix: Goes before every key, so that a store can be shared with something else.
    """

    def __init__(self, store: _ManyStore, *, prefix: str = "qwen-ocr/") -> None:
        self._store = store
        self._prefix = prefix

    def get(self, key: str) -> bytes | None:
        """What is kept under *key*."""
        return _only(self._store.mget([self._prefix + key]))

    def put(self, key: str, value: bytes) -> None:
        """Keep *value* under *key*."""
        self._store.mset([(self._prefix + key, value)])

    async def aget(self, key: str) -> bytes | None:
        """What is kept under *key*, without blocking the event loop."""
        if not hasattr(self._store, "amget"):
            return await asyncio.to_thread(self.get, key)
        return _only(await self._store.amget([self._prefix + key]))

    async def aput(self, key: str, value: bytes) -> None:
        """Keep *value* under *key*, without blocking the event loop."""
        if hasattr(self._store, "amset"):
            await self._store.amset([(self._prefix + key, value)])
        else:
            await asyncio.to_thread(self.put, key, value)


def _only(values: Sequence[bytes | None]) -> bytes | None:
    value = values[0] if values else None
    return value if isinstance(value, bytes) else None


class SQLiteStore:
    """A store in one SQLite file, shared by any number of threads and processes.

    A file that is damaged is set aside under another name and begun anew: a cache can be paid for again, a run that
    stops cannot be.

    Args:
        path: The file; made when it is not there, with its folders.

    Raises:
        OptionError: The path is a folder or another program's database.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process_id = 0
        if self.path.is_dir():
            raise OptionError(f"The cache {self.path} is a folder: name a file in it.")
        self._with_connection(lambda connection: connection.execute("SELECT 1"))

    def get(self, key: str) -> bytes | None:
        """What is kept under *key*; None where nothing is.

        Raises:
            OSError: The file cannot be read.
        """
        row = self._with_connection(lambda connection: connection.execute(_GET, (key,)).fetchone())
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    def put(self, key: str, value: bytes) -> None:
        """Keep *value* under *key*, in place of what was there.

        Raises:
            OSError: The file cannot be written.
        """
        self._with_connection(lambda connection: connection.execute(_PUT, (key, value, time.time())))

    def is_empty(self) -> bool:
        """Whether it holds nothing.

        Raises:
            OSError: The file cannot be read.
        """
        return self._with_connection(lambda connection: connection.execute(_ANY).fetchone()) is None

    def __len__(self) -> int:
        """How many entries it holds."""
        row = self._with_connection(lambda connection: connection.execute(_COUNT).fetchone())
        return int(row[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._lock = threading.Lock()
        self._connection = None
        self._process_id = 0

    def _with_connection(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock, self._as_os_error():
            try:
                return work(self._open())
            except sqlite3.OperationalError:
                # A lock, a full disk, no right to write: the file itself is sound.
                raise
            except sqlite3.DatabaseError as error:
                self._close()
                # Another process may have begun it anew meanwhile.
                if not _is_sound(self.path):
                    self._set_aside(error)
                return work(self._open())

    @contextmanager
    def _as_os_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(f"The cache {self.path} cannot be used: {error}.") from error

    def _open(self) -> sqlite3.Connection:
        # A connection does not survive a fork.
        if self._connection is None or self._process_id != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connect(self.path)
            self._process_id = os.getpid()
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._process_id == os.getpid():
            connection.close()

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = _free_name(self.path)
        _log.warning("The cache %s is damaged (%s); it is kept as %s and begun anew.", self.path, error, aside.name)
        self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)


# The table's name carries the version of its columns, so that older and newer programs can share a file.
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS completions_1 "
    "(key TEXT PRIMARY KEY, value BLOB NOT NULL, stored_at REAL NOT NULL) WITHOUT ROWID"
)
_GET: Final = "SELECT value FROM completions_1 WHERE key = ?"
_PUT: Final = "INSERT OR REPLACE INTO completions_1 (key, value, stored_at) VALUES (?, ?, ?)"
_ANY: Final = "SELECT 1 FROM completions_1 LIMIT 1"
_COUNT: Final = "SELECT count(*) FROM completions_1"


def _connect(path: Path) -> sqlite3.Connection:
    # SQLite takes a short file of anything for an empty database, and would write over it.
    if not _begins_like_a_database(path):
        raise sqlite3.DatabaseError("it does not begin like a database")
    connection = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    is_new = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if owner != _APPLICATION_ID and not is_new:
        raise OptionError(f"{path} is another program's database, not a cache: choose another file.")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(_CREATE)


def _begins_like_a_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) in {b"", _MAGIC}
    except FileNotFoundError:
        return True


def _is_sound(path: Path) -> bool:
    if not _begins_like_a_database(path):
        return False
    try:
        with closing(sqlite3.connect(path, timeout=_LOCK_WAIT_S)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers go on while one process writes, where the file system can do that."""
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        # Another process is switching it at this very moment, or it cannot be switched here; both are harmless.
        _log.debug("The journal mode stays as it is: %s", error)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{n}") for n in range(1, 10_000))
    return next(name for name in names if not name.exists())


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was kept: an answer, or a refusal that would come again."""

    completion: Completion | None = None
    error: EndpointError | None = None


def write_completion(completion: Completion) -> bytes:
    """An entry that holds an answer; what it had cost is not kept, since nothing is paid for it again."""
    return _write(
        {
            "answer": completion.answer,
            "finish_reason": completion.finish_reason,
            "model": completion.model,
            "request_id": completion.request_id,
            "origin": completion.origin,
            "refusal": completion.refusal,
            "warnings": list(completion.warnings),
        }
    )


def write_failure(error: EndpointError, request: OCRRequest[Result], *, now_s: float) -> bytes | None:
    """An entry that holds a refusal; None where asking again may help.

    Args:
        error: As it came.
        request: Its page's name is taken out: the same picture may come from another file.
        now_s: The time, in seconds since 1970.
    """
    # Without the service's own code it may have been a gateway in between that said no.
    if type(error).__name__ not in _REMEMBERED_ERRORS or error.code is None:
        return None
    return _write(
        {
            "error": type(error).__name__,
            "message": str(error).removeprefix(f"{request.page}: "),
            "status": error.status,
            "code": error.code,
            "request_id": error.request_id,
            "stored_at": now_s,
        }
    )


def read_entry(entry: bytes, request: OCRRequest[Result], *, now_s: float) -> Remembered | None:
    """What an entry holds; None when it is damaged, outdated, or of another version: then it counts as missing."""
    saved = _parsed(entry)
    if saved is None:
        return None
    if "error" in saved:
        return _read_failure(saved, request, now_s)
    if not isinstance(saved.get("answer"), str) or saved.get("origin") not in get_args(Origin):
        return None
    return Remembered(
        Completion(
            answer=saved["answer"],
            finish_reason=saved.get("finish_reason"),
            model=saved.get("model"),
            usage=Usage(cached=1),
            request_id=saved.get("request_id"),
            attempts=0,
            origin=cast("Origin", saved["origin"]),
            refusal=saved.get("refusal"),
            warnings=tuple(saved.get("warnings") or ()),
        )
    )


def _read_failure(saved: dict[str, Any], request: OCRRequest[Result], now_s: float) -> Remembered | None:
    error_type = _REMEMBERED_ERRORS.get(saved["error"])
    stored_at = saved.get("stored_at")
    if error_type is None or not isinstance(stored_at, int | float) or now_s - stored_at > FAILURES_KEPT_S:
        return None
    error = error_type(
        f"{request.page}: {saved.get('message')} (Remembered from an earlier call; nothing was sent.)",
        status=saved.get("status"),
        code=saved.get("code"),
        request_id=saved.get("request_id"),
    )
    error.attempts = 0
    return Remembered(error=error)


# Each entry begins with a digest of the rest: a half-written value of any store is noticed.
_DIGEST_CHARS: Final = 16


def _write(saved: dict[str, Any]) -> bytes:
    text = json.dumps(saved, ensure_ascii=True).encode("ascii")
    return _digest(text) + text


def _parsed(entry: bytes) -> dict[str, Any] | None:
    digest, text = entry[:_DIGEST_CHARS], entry[_DIGEST_CHARS:]
    if digest != _digest(text):
        return None
    saved = json.loads(text)
    return saved if isinstance(saved, dict) else None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:_DIGEST_CHARS].encode("ascii")
