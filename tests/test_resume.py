"""A run that stopped anywhere and is started again gives what an undisturbed one does, and sends what is missing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_qwen_ocr import QwenOCRLoader
from langchain_qwen_ocr.cache import SQLiteStore
from langchain_qwen_ocr.testing import SentRequest, StrictService
from tests.readers import reader, shade_of, tiff

PAGES = 10
OF_THE_RUN = {"ocr_attempts", "ocr_prompt_tokens", "ocr_completion_tokens", "ocr_cost", "ocr_currency"}
"""What says how a run went, and not what is on the page."""


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ten pages."""
    return tiff(tmp_path_factory.mktemp("resume") / "scan.tiff", PAGES)


@pytest.fixture(scope="module")
def undisturbed(scan: Path) -> list[Document]:
    """What one run without a cache gives."""
    return QwenOCRLoader(scan, ocr=reader(service())).load()


@contextmanager
def new_cache() -> Iterator[Path]:
    """The name of a cache file that is not there yet."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "answers.sqlite"


def service() -> StrictService:
    """One that reads the shade of a page."""

    def answer(sent: SentRequest) -> str:
        return f"shade {shade_of(sent.pictures[0])}"

    return StrictService(answer)


def comparable(documents: list[Document]) -> list[tuple[str | None, str, dict[str, Any]]]:
    """Ids, contents and all metadata but what a run costs."""
    return [
        (d.id, d.page_content, {name: value for name, value in d.metadata.items() if name not in OF_THE_RUN})
        for d in documents
    ]


def kept(cache: Path) -> int:
    """How many answers the cache holds."""
    store = SQLiteStore(cache)
    with closing(store):
        return len(store)


def resume(scan: Path, cache: Path) -> tuple[list[Document], int]:
    """What the same run gives now, and how many calls it takes."""
    double = service()
    with reader(double, cache=cache) as ocr:
        return QwenOCRLoader(scan, ocr=ocr).load(), double.calls


def stopped(scan: Path, cache: Path, *, after: int, in_flight: int) -> int:
    """Read some pages and give up; the answer is how many calls that took."""
    double = service()
    with reader(double, cache=cache, max_concurrency=in_flight) as ocr:
        documents = QwenOCRLoader(scan, ocr=ocr).lazy_load()
        for _ in range(after):
            next(documents)
        documents.close()  # type: ignore[attr-defined]
    return double.calls


def astopped(scan: Path, cache: Path, *, after: int, in_flight: int) -> int:
    """The same on an event loop; the answer is how many calls were answered."""

    async def run() -> None:
        async with reader(service(), cache=cache, max_concurrency=in_flight) as ocr:
            documents = QwenOCRLoader(scan, ocr=ocr).alazy_load()
            for _ in range(after):
                await anext(documents)
            await documents.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    return kept(cache)


@pytest.mark.parametrize("stop", [pytest.param(stopped, id="threads"), pytest.param(astopped, id="tasks")])
@settings(max_examples=12)
@given(after=st.integers(0, PAGES), in_flight=st.integers(1, 8))
def test_a_run_stopped_at_any_page(
    scan: Path, undisturbed: list[Document], stop: Any, after: int, in_flight: int
) -> None:
    """The second run gives the same Documents; what the first was answered is not asked for again."""
    with new_cache() as cache:
        calls = stop(scan, cache, after=after, in_flight=in_flight)
        documents, further_calls = resume(scan, cache)
    assert comparable(documents) == comparable(undisturbed)
    assert after <= calls
    assert further_calls == PAGES - calls


def process(scan: Path, cache: Path, answered_calls: int) -> subprocess.Popen[str]:
    """A process that reads the file."""
    command = [sys.executable, "-m", "tests.reading_process", str(scan), str(cache), str(answered_calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def test_a_process_killed_in_the_middle(scan: Path, undisturbed: list[Document], tmp_path: Path) -> None:
    """Not even asked to stop, it loses no more than the calls that were under way."""
    cache = tmp_path / "answers.sqlite"
    with process(scan, cache, answered_calls=4) as killed:
        assert killed.stdout is not None
        said: Counter[str] = Counter()
        while said["kept"] < 4 or said["call"] < 5:
            said[next(killed.stdout).strip()] += 1
        os.kill(killed.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    documents, further_calls = resume(scan, cache)
    assert comparable(documents) == comparable(undisturbed)
    assert further_calls == PAGES - 4


def test_two_processes_on_one_cache(scan: Path, undisturbed: list[Document], tmp_path: Path) -> None:
    """Both read all, and leave nothing for a third."""
    cache = tmp_path / "answers.sqlite"
    with process(scan, cache, PAGES) as one, process(scan, cache, PAGES) as other:
        outputs = [one.communicate()[0], other.communicate()[0]]
    assert (one.returncode, other.returncode) == (0, 0)
    for output in outputs:
        found = json.loads(output.splitlines()[-1].removeprefix("done "))
        assert found == [[document.id, document.page_content] for document in undisturbed]
    assert kept(cache) == PAGES
    assert resume(scan, cache)[1] == 0


def test_damaged_entries_are_asked_for_again(scan: Path, undisturbed: list[Document], tmp_path: Path) -> None:
    """Those that were changed, cut or emptied, and only those."""
    cache = tmp_path / "answers.sqlite"
    resume(scan, cache)
    with closing(sqlite3.connect(cache)) as connection, connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM completions_1 ORDER BY key")]
        connection.execute("UPDATE completions_1 SET value = substr(value, 1, 40) WHERE key = ?", keys[:1])
        connection.execute("UPDATE completions_1 SET value = x'00ff00ff' WHERE key = ?", keys[1:2])
        connection.execute("UPDATE completions_1 SET value = x'' WHERE key = ?", keys[2:3])
    documents, further_calls = resume(scan, cache)
    assert comparable(documents) == comparable(undisturbed)
    assert further_calls == 3
    assert resume(scan, cache)[1] == 0


@settings(max_examples=25)
@given(data=st.data())
def test_a_damaged_file_is_not_fatal(scan: Path, undisturbed: list[Document], data: st.DataObject) -> None:
    """Whatever became of the cache's bytes, the run ends with the right Documents."""
    with new_cache() as cache:
        resume(scan, cache)
        content = bytearray(cache.read_bytes())
        for _ in range(data.draw(st.integers(1, 40))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        cache.write_bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content))))])
        documents, calls = resume(scan, cache)
    assert comparable(documents) == comparable(undisturbed)
    assert 0 <= calls <= PAGES
