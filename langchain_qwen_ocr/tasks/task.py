"""What a task is: a prompt, a way to read the answer, a way to write it, and an answer from a plain OCR engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.models import ModelProfile
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import TokenCount, text_tokens

R = TypeVar("R", bound=Result, covariant=True)  # noqa: PLC0105 - R is the result everywhere

PromptLanguage = Literal["zh", "en"]


class TaskArguments(BaseModel):
    """The arguments that a task offers to tools and to the command line; none by default."""

    model_config = ConfigDict(extra="forbid")

    def guarded(self) -> Self:
        """The same, as far as a chat model may ask for it: what could cost anything to check is taken out."""
        return self


@dataclass(frozen=True, kw_only=True)
class Task(Generic[R]):
    """What to read from a picture.

    Args:
        prompt_language: The vendor's prompt to send: "zh", the texts the service itself uses (they read pictures
            in every language), or "en".
    """

    name: ClassVar[str]
    """The service's own id of the task."""
    Arguments: ClassVar[type[TaskArguments]] = TaskArguments
    """What tools and the command line ask for, beside the picture."""
    flags: ClassVar[Mapping[str, str]] = {}
    """Arguments that the command line calls otherwise: their name, and the option without its dashes."""
    for_people: ClassVar[frozenset[str]] = frozenset()
    """Arguments that are for a person to decide: the command line offers them, tools do not."""
    spans_pages: ClassVar[bool] = False
    """Whether several pages can be read in one request."""

    asks_for_text: ClassVar[bool] = False
    """Whether the text of a page and its places answer it, so that text embedded in a PDF may stand for an answer."""

    prompt_tokens: ClassVar[Mapping[str, int]] = {}
    """How many tokens of the Qwen vocabulary each fixed prompt has, by language; without those made anew."""

    prompt_language: PromptLanguage = "zh"

    def __post_init__(self) -> None:
        """Refuse an unknown language."""
        if self.prompt_language not in {"zh", "en"}:
            raise OptionError(f'prompt_language is "zh" or "en", not {self.prompt_language!r}.')

    @classmethod
    def description(cls) -> str:
        """What the task does, in the words of its docstring: the whole text before `Args:`."""
        doc = (cls.__doc__ or "").split("\n\n    Args:")[0]
        return "\n".join(line.strip() for line in doc.strip().splitlines())

    @classmethod
    def result_type(cls) -> type[Result]:
        """The class of its results, from its own declaration `Task[…]`."""
        for base in (base for c in cls.__mro__ for base in getattr(c, "__orig_bases__", ())):
            result = get_args(base)[0] if get_origin(base) is Task else None
            if isinstance(get_origin(result) or result, type):
                return cast("type[Result]", get_origin(result) or result)
        raise TypeError(f"{cls.__name__} does not say what its results are: class …(Task[…]).")

    @classmethod
    def from_arguments(cls, arguments: TaskArguments, *, prompt_language: PromptLanguage = "zh") -> Self:
        """The task that these arguments ask for."""
        return cls(**dict(arguments), prompt_language=prompt_language)

    @classmethod
    def from_prompt(cls, prompt: str) -> Self | None:
        """The task whose prompt this is, or None: what a reader on the other end of the wire needs to know."""
        return next((task for task in cls.variants() if task.prompt() == prompt), None)

    @classmethod
    def variants(cls) -> tuple[Self, ...]:
        """One task for each fixed prompt it may send."""
        return tuple(cls(prompt_language=language) for language in ("zh", "en"))

    def prompt(self) -> str:
        """The text to send with the picture."""
        raise NotImplementedError

    def count_prompt(self, profile: ModelProfile) -> TokenCount:
        """How many tokens the prompt has; for a fixed one without loading the vocabulary."""
        known = self.prompt_tokens.get(self.prompt_language)
        return text_tokens(self.prompt(), profile) if known is None else TokenCount(known, profile.exact_vocabulary)

    def parse(self, answer: str) -> R:
        """The result that *answer* holds, its places still in the answer's own frame.

        Raises:
            AnswerError: The answer is in none of the task's forms.
        """
        raise NotImplementedError

    def write(self, result: Any) -> str:  # noqa: ANN401 - R, which a covariant class cannot take
        """*result* in the service's own format; `parse` reads it back."""
        raise NotImplementedError

    def from_layout(self, layout: Layout) -> R:
        """How a plain OCR engine answers it, places in the answer's own frame (thousandths of the picture).

        Raises:
            UnsupportedTaskError: Lines and rulings do not hold an honest answer.
        """
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Its options as JSON, for another process."""
        return {"name": self.name, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The task that `to_json` saved."""
        return cls(**{name: value for name, value in saved.items() if name != "name"})
