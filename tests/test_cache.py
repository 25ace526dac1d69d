"""What identifies a request, and the stores that keep completions."""

import dataclasses
import multiprocessing
import pickle
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.stores import InMemoryByteStore

from langchain_qwen_ocr.cache import (
    ByteStoreAdapter,
    SQLiteStore,
    fingerprint,
    open_store,
    read_entry,
    write_completion,
    write_failure,
)
from langchain_qwen_ocr.errors import ContentRefusedError, OptionError, RateLimitError
from langchain_qwen_ocr.exchange import Completion, build_request
from langchain_qwen_ocr.geometry import PixelBudget
from langchain_qwen_ocr.tasks.multilingual_recognition import MultilingualRecognition
from langchain_qwen_ocr.usage import Usage
from tests.wire import KEY, picture, request

# Fingerprints


def test_a_fingerprint_is_the_same_everywhere():
    """A fingerprint is written out here, so that a change that makes caches useless is noticed."""
    data = b"the bytes of a picture"

    assert fingerprint(request(data)) == "4eb83389b99a7adacdc23fca1ed32e9cb701e070d52d5d1f8ef3c19ee791f394"


def test_the_files_name_does_not_matter():
    """The same picture from another file has the same fingerprint."""
    assert fingerprint(request(source="a.pdf")) == fingerprint(request(source="b.pdf"))


@pytest.mark.parametrize(
    "other",
    [
        request(picture(640, 321)),
        request(mime_type="image/jpeg"),
        request(model="qwen-vl-ocr-2025-11-20"),
        request(max_tokens=100),
        request(budget=PixelBudget(32, 3072, 1_000_000)),
        build_request(MultilingualRecognition(), request().images, model="qwen-vl-ocr-latest"),
        dataclasses.replace(request(), images=request().images * 2),
    ],
    ids=["picture", "type", "model", "length", "budget", "task", "pictures"],
)
def test_what_the_answer_depends_on_matters(other):
    """Whatever changes what is sent changes the fingerprint."""
    assert fingerprint(other) != fingerprint(request())


# Entries


def completion(**facts: Any) -> Completion:
    return Completion(**{"answer": "Hello", "finish_reason": "stop", "model": "qwen-vl-ocr-latest", **facts})


@given(
    st.text(),
    st.sampled_from(["service", "local"]),
    st.lists(st.text(max_size=20), max_size=3),
    st.none() | st.text(min_size=1, max_size=20),
)
def test_an_answer_survives(answer, origin, warnings, refusal):
    """What is kept is what comes back; only usage and attempts are those of a hit."""
    kept = completion(answer=answer, origin=origin, warnings=tuple(warnings), refusal=refusal, request_id="r")
    known = read_entry(write_completion(kept), request(), now_s=0)

    assert known is not None
    assert known.completion == dataclasses.replace(kept, usage=Usage(cached=1), attempts=0)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_an_entry_or_nothing(entry):
    """Whatever a store gives back, reading it does not raise."""
    assert read_entry(entry, request(), now_s=0) is None


@given(st.integers(0, 10_000))
def test_a_cut_entry_is_nothing(length):
    """An entry that was not written to its end counts as missing."""
    entry = write_completion(completion(answer="word " * 50))
    if length < len(entry):
        assert read_entry(entry[:length], request(), now_s=0) is None


def test_entries_hold_no_picture_no_key_and_no_name():
    """An entry holds the answer and facts about it."""
    one = request(source="secret-name.pdf")
    refused = ContentRefusedError(f"{one.page}: It may be inappropriate.", status=400, code="data_inspection_failed")
    entries = [write_completion(completion()), write_failure(refused, one, now_s=0)]

    for entry in entries:
        assert entry is not None
        assert len(entry) < 1000
        assert b"secret-name" not in entry
        assert KEY.encode() not in entry


def test_what_may_pass_is_not_kept():
    """A failure that another call may not meet has no entry."""
    assert write_failure(RateLimitError("x"), request(), now_s=0) is None


# SQLite


def test_what_was_put_is_there(tmp_path):
    """A store gives back what was put last, also to another store over the same file."""
    store = SQLiteStore(tmp_path / "new folder" / "cache.sqlite")
    assert store.get("a") is None
    store.put("a", b"1")
    store.put("a", b"2")

    assert SQLiteStore(store.path).get("a") == b"2"
    assert len(store) == 1


def test_a_closed_store_opens_again(tmp_path):
    """Closing gives the file up; the next use opens it."""
    store = SQLiteStore(tmp_path / "cache.sqlite")
    store.put("a", b"1")
    store.close()

    assert store.get("a") == b"1"


def test_a_store_goes_to_another_process(tmp_path):
    """A store is pickled as its path."""
    store = SQLiteStore(tmp_path / "cache.sqlite")
    store.put("a", b"1")

    assert pickle.loads(pickle.dumps(store)).get("a") == b"1"


def test_many_threads(tmp_path):
    """Threads write and read one store at once."""
    store = SQLiteStore(tmp_path / "cache.sqlite")

    def use(n: int) -> bytes | None:
        store.put(f"key {n % 20}", b"%d" % (n % 20))
        return store.get(f"key {n % 20}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(200))) == [b"%d" % (n % 20) for n in range(200)]


def write_some(path: Path, first: int) -> None:
    store = SQLiteStore(path)
    for n in range(first, first + 25):
        store.put(f"key {n}", b"value")


def test_several_processes(tmp_path):
    """Processes that open and write one file at the same moment lose nothing."""
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "cache.sqlite"
    processes = [context.Process(target=write_some, args=(path, 25 * n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(SQLiteStore(path)) == 75


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database, though it is long enough to be taken for one" * 100),
        lambda path: path.write_bytes(b"x"),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:100] + b"\xff" * (len(path.read_bytes()) - 100)),
    ],
    ids=["text", "one byte", "cut", "overwritten"],
)
def test_a_damaged_file_is_set_aside(tmp_path, damage, caplog):
    """A damaged file is kept under another name, said to be so, and begun anew."""
    path = tmp_path / "cache.sqlite"
    store = SQLiteStore(path)
    for n in range(50):
        store.put(f"key {n}", b"value" * 100)
    store.close()
    damage(path)

    store = SQLiteStore(path)
    store.put("a", b"1")
    read = [store.get(f"key {n}") for n in range(50)]

    assert store.get("a") == b"1"
    assert set(read) <= {None, b"value" * 100}
    assert [aside.name for aside in tmp_path.glob("*.damaged-*")] == ["cache.sqlite.damaged-1"]
    assert "damaged" in caplog.text


def test_an_empty_file_is_a_new_cache(tmp_path):
    """A file of no bytes, as a temporary file is, becomes a cache."""
    path = tmp_path / "cache.sqlite"
    path.touch()
    SQLiteStore(path).put("a", b"1")

    assert SQLiteStore(path).get("a") == b"1"


def test_another_programs_database_is_left_alone(tmp_path):
    """A database of something else is refused, and stays as it is."""
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE people (name TEXT)")
    before = path.read_bytes()

    with pytest.raises(OptionError, match="another program's"):
        SQLiteStore(path)
    assert path.read_bytes() == before


def test_a_folder_is_no_cache(tmp_path):
    """A folder is refused with what to do."""
    with pytest.raises(OptionError, match="name a file in it"):
        SQLiteStore(tmp_path)


# Other stores


class Minimal:
    """A store with `mget` and `mset` alone."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.entries.get(key) for key in keys]

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        self.entries.update(key_value_pairs)


@pytest.mark.parametrize("make", [InMemoryByteStore, Minimal])
async def test_stores_of_langchain(make):
    """Anything with `mget` and `mset` keeps completions, sync and async."""
    store = open_store(make())
    assert isinstance(store, ByteStoreAdapter)
    assert store.get("a") is None
    store.put("a", b"1")
    assert await store.aget("a") == b"1"
    await store.aput("b", b"2")
    assert store.get("b") == b"2"


def test_a_path_is_a_file(tmp_path):
    """A path, as text or not, is a SQLite file."""
    assert isinstance(open_store(str(tmp_path / "a.sqlite")), SQLiteStore)
    assert isinstance(open_store(tmp_path / "b.sqlite"), SQLiteStore)


def test_a_store_is_taken_as_it_is(tmp_path):
    """What has get and put is a store already."""
    store = SQLiteStore(tmp_path / "a.sqlite")

    assert open_store(store) is store


@pytest.mark.parametrize("given_store", [True, 5, object()])
def test_what_is_no_store(given_store):
    """Anything else is refused."""
    with pytest.raises(OptionError, match="cache is a path"):
        open_store(given_store)
