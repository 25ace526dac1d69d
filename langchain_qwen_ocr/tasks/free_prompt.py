"""Whatever the caller asks for in words of their own."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from langchain_qwen_ocr.errors import AnswerError, OptionError
from langchain_qwen_ocr.tasks.fences import Fenced, fence, fenced_block, unfence
from langchain_qwen_ocr.tasks.json_answers import read_json
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.task import PromptLanguage, Task, TaskArguments
from langchain_qwen_ocr.tasks.text_recognition import text_of_layout


class FreePromptArguments(TaskArguments):
    """The caller's own words."""

    prompt: str = Field(min_length=1, description="What to read from the picture, in words; may ask for JSON.")


@dataclass(frozen=True, init=False)
class FreePrompt(Task[Text]):
    """Ask for anything that can be read from a picture, in words of your own.

    The choice when no other task fits, such as chosen lines, or JSON in a shape of your own. Gives text, and the JSON
    value when the answer is JSON.

    Args:
        prompt: What to read and how to answer, in any language.
        prompt_language: Of no effect here.

    Raises:
        OptionError: The prompt is empty.
    """

    name: ClassVar[str] = "free_prompt"
    Arguments: ClassVar[type[TaskArguments]] = FreePromptArguments
    spans_pages: ClassVar[bool] = True

    words: str
    """The prompt, as it is sent."""

    def __init__(self, prompt: str = "", *, prompt_language: PromptLanguage = "zh", words: str = "") -> None:
        # `dataclasses.replace` hands over what it knows by the field's name.
        prompt = prompt or words
        object.__setattr__(self, "words", prompt)
        object.__setattr__(self, "prompt_language", prompt_language)
        self.__post_init__()
        if not isinstance(prompt, str) or not prompt.strip():
            raise OptionError("FreePrompt needs a prompt: say what to read from the picture.")

    @classmethod
    def variants(cls) -> tuple[FreePrompt, ...]:
        """None: it has no fixed prompt."""
        return ()

    @classmethod
    def from_prompt(cls, prompt: str) -> FreePrompt | None:
        """The task for any prompt that is not empty."""
        return cls(prompt) if prompt.strip() else None

    def prompt(self) -> str:
        """The caller's words, untouched."""
        return self.words

    def parse(self, answer: str) -> Text:
        """The text of *answer*, and its value when it is JSON or holds JSON in a fence."""
        fenced = unfence(answer)
        if not _is_json(fenced) and fenced_block(answer).language != "json":
            return Text(fenced.body, cut=not fenced.closed)
        try:
            read = read_json(answer)
        except AnswerError as error:
            warning = f"It looks like JSON and cannot be read as such: {error}"
            return Text(fenced.body, warnings=(warning,), cut=not fenced.closed)
        return Text(fenced.body, read.value, warnings=read.warnings, cut=read.cut)

    def write(self, result: Text) -> str:
        """*result* as the service answers it: JSON in a fence, text bare."""
        if result.data is None:
            forms = [result.text, fence(result.text, "text")]
        else:
            forms = [fence(result.text, "json"), result.text]
        written = next((form for form in forms if self.parse(form) == result), None)
        return fence(json.dumps(result.data, ensure_ascii=False), "json") if written is None else written

    def from_layout(self, layout: Layout) -> Text:
        """The page's text: a plain engine reads, and does not follow words."""
        text = text_of_layout(layout)
        warning = "A plain OCR engine cannot follow a prompt; this is all text of the page."
        return dataclasses.replace(text, warnings=(*text.warnings, warning))

    def to_json(self) -> dict[str, Any]:
        """Its options as JSON, for another process."""
        return {"name": self.name, "prompt": self.words, "prompt_language": self.prompt_language}


def _is_json(fenced: Fenced) -> bool:
    """Whether an answer is meant as JSON: by its fence, or because it begins as an object or array does."""
    if fenced.language == "text":
        return False
    return (
        fenced.language == "json"
        or re.match(r'\s*(?:\{\s*["\'}]|\[\s*(?:[\[{"]|\]\s*\Z|-?\d[\d.]*\s*(?:,|\]?\s*\Z))|[\[{]\s*\Z)', fenced.body)
        is not None
    )
