"""Answers of somebody's own chat model, read as a task's results."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import ConfigDict

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.phrases import declines
from langchain_qwen_ocr.tasks.repetition import find_repetition
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task

R = TypeVar("R", bound=Result)

_CUT_REASONS = frozenset({"length", "max_tokens", "MAX_TOKENS", "incomplete"})
"""How providers call an answer that ran into its length limit."""


class QwenOCROutputParser(BaseOutputParser[R]):
    """Reads a chat model's answer as the result of a task, for `prompt | model | parser`.

    Ask with `parser.get_format_instructions()`, the task's own prompt, beside the picture. Places stay in the answer's
    own frame, since a parser does not know the picture; `QwenOCR` gives them in pixels of the page. A stream is read
    once it is complete: half an answer is no result. An answer that ran into its length limit gives what was complete,
    with `cut` set.

    Args:
        task: What was asked.

    Raises:
        OutputParserException: The answer is in none of the task's forms, repeats itself without end, or declines; the
            answer is in `llm_output`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    task: Task[R]

    def __init__(self, task: Task[R], **options: Any) -> None:
        settings: dict[str, Any] = {"task": task, **options}
        super().__init__(**settings)

    @property
    def OutputType(self) -> type[R]:  # noqa: N802 - LangChain's name
        """The type of the task's results."""
        return cast("type[R]", self.task.result_type())

    @property
    def _type(self) -> str:
        return "qwen-ocr"

    def get_format_instructions(self) -> str:
        """The text to send with the picture: it asks for the form that this parser reads."""
        return self.task.prompt()

    def parse(self, text: str) -> R:
        """The result that *text* holds."""
        loop = find_repetition(text)
        if loop is not None:
            raise _exception(f"From character {loop.start} on the answer repeats {loop.unit[:40]!r} without end.", text)
        if declines(text):
            raise _exception("The model declined to read the picture.", text)
        try:
            return self.task.parse(text)
        except AnswerError as error:
            raise _exception(str(error), text) from error

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> R:  # noqa: ARG002 - see the class
        """The result that the first generation holds."""
        first = result[0]
        if not _is_cut(first):
            return self.parse(first.text)
        parsed = self.parse(first.text)
        warning = "The answer was cut at its length limit; what was complete is here."
        return dataclasses.replace(parsed, cut=True, warnings=(*parsed.warnings, warning))


def _is_cut(generation: Generation) -> bool:
    """Whether the model stopped because the answer became too long."""
    facts: dict[str, Any] = dict(generation.generation_info or {})
    if isinstance(generation, ChatGeneration):
        facts |= generation.message.response_metadata
    return any(facts.get(name) in _CUT_REASONS for name in ("finish_reason", "stop_reason", "status"))


def _exception(complaint: str, answer: str) -> OutputParserException:
    return OutputParserException(f"{complaint} Ask again, or use QwenOCR, which does.", llm_output=answer)
