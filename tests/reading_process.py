"""A program that reads a file with a double for a service, to be started several times at once and to be killed.

It writes `call` for each call, `kept` for each answer that is in the cache, at the end `done` and what it read as JSON:
`python -m tests.reading_process FILE CACHE N`. The calls after the N-th are never answered.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading

from langchain_qwen_ocr import QwenOCRLoader
from langchain_qwen_ocr.cache import SQLiteStore
from langchain_qwen_ocr.testing import SentRequest, StrictService
from tests.readers import reader, shade_of

_lock = threading.Lock()


def say(words: str) -> None:
    """Write a line at once."""
    with _lock:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()


class TellingStore(SQLiteStore):
    """Says when an answer is kept."""

    def put(self, key: str, value: bytes) -> None:
        super().put(key, value)
        say("kept")


def main(path: str, cache: str, answered_calls: int) -> None:
    """Read *path*, and say what happens."""
    calls = itertools.count(1)

    def answer(sent: SentRequest) -> str:
        say("call")
        if next(calls) > answered_calls:
            threading.Event().wait()
        return f"shade {shade_of(sent.pictures[0])}"

    documents = QwenOCRLoader(
        path, ocr=reader(StrictService(answer), cache=TellingStore(cache), max_concurrency=2)
    ).load()
    say(f"done {json.dumps([(document.id, document.page_content) for document in documents])}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
