"""Saved answers: texts and response bodies read again as the pipeline reads them, without a call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_qwen_ocr.cli.output import say
from langchain_qwen_ocr.endpoints.openai_chat import completion_from
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Reading, build_request, interpret
from langchain_qwen_ocr.geometry import Size
from langchain_qwen_ocr.pages.page import PageInfo, PreparedImage
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.free_prompt import FreePrompt
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task

_PREFIXES = {
    "kie": "key_information_extraction",
    "multi_lan": "multi_lan",
    "text": "text_recognition",
    "custom": "free_prompt",
}
"""What else than a task's name a file may begin with."""


def read_saved(
    paths: Sequence[Path], *, task: str | None, model: str, size: tuple[int, int]
) -> Iterator[tuple[Path, Reading[Result]]]:
    """The reading of each file; folders are searched for `.txt` and `.json` files.

    Raises:
        OptionError: A file does not exist.
    """
    for path in _files(paths):
        name = task or _task_named(path)
        if name is None:
            say(f"Left out, since its name begins with no task's: {path}. Say --task.")
            continue
        yield path, interpret(*_exchange(path, _plain_task(name), model, Size(*size)))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix in {".txt", ".json"})
        elif path.exists():
            yield path
        else:
            raise OptionError(f"There is no file {path}.")


def _task_named(path: Path) -> str | None:
    """The task that a file's name begins with."""
    known = {**{name: name for name in TASKS}, **_PREFIXES}
    return next((known[name] for name in sorted(known, key=len, reverse=True) if path.name.startswith(name)), None)


def _plain_task(name: str) -> Task[Result]:
    return FreePrompt("Read.") if name == FreePrompt.name else TASKS[name]()


def _exchange(path: Path, task: Task[Result], model: str, size: Size) -> tuple[Completion, OCRRequest[Result]]:
    page = PageInfo(source=str(path), page_index=0, total_pages=1, size_px=size)
    picture = PreparedImage(data=b"", mime_type="image/png", size_px=size, page=page)
    return _completion(path.read_text(encoding="utf-8"), model), build_request(task, [picture], model=model)


def _completion(saved: str, model: str) -> Completion:
    """The completion of a response body (of either endpoint), or of an answer's bare text."""
    try:
        body: Any = json.loads(saved)
    except ValueError:
        return Completion(answer=saved, finish_reason="stop")
    if isinstance(body, dict) and isinstance(body.get("output"), dict):
        body = {**body, **body["output"]}
    if isinstance(body, dict) and "choices" in body:
        return completion_from(body, model=model)
    return Completion(answer=saved, finish_reason="stop")
