"""Answers of somebody's own chat model, read as a task's results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from langchain_qwen_ocr import (
    TASKS,
    AdvancedRecognition,
    FormulaRecognition,
    FreePrompt,
    KeyInformationExtraction,
    QwenOCROutputParser,
    TableParsing,
    TextRecognition,
)
from langchain_qwen_ocr.tasks.places import Lines
from langchain_qwen_ocr.tasks.table_parsing import Tables
from langchain_qwen_ocr.testing import looping

TABLE = "```html\n<table><tr><td>Tea</td><td>2.50</td></tr></table>\n```"


class Receipt(BaseModel):
    """What is wanted of a receipt."""

    shop: str
    total: float


def test_the_type_is_the_tasks():
    """The parser says what it gives."""
    assert QwenOCROutputParser(TableParsing()).OutputType is Tables
    assert QwenOCROutputParser(task=AdvancedRecognition()).OutputType is Lines


@pytest.mark.parametrize("answer", [TABLE, AIMessage(TABLE), AIMessage([{"type": "text", "text": TABLE}])])
def test_text_and_messages(answer):
    """Text, a message, and a message of blocks are read alike."""
    assert QwenOCROutputParser(TableParsing()).invoke(answer).tables[0].rows == (("Tea", "2.50"),)


def test_fields_of_a_class():
    """With a Pydantic class the result holds an instance of it."""
    result = QwenOCROutputParser(KeyInformationExtraction(Receipt)).invoke(
        AIMessage('{"shop": "Ada", "total": "9.90"}')
    )

    assert result.data == Receipt(shop="Ada", total=9.9)


@pytest.mark.parametrize("name", TASKS)
def test_format_instructions_are_the_tasks_prompt(name):
    """What makes a model answer in the right form is the prompt itself."""
    task = FreePrompt("Read it.") if name == "free_prompt" else TASKS[name]()

    assert QwenOCROutputParser(task).get_format_instructions() == task.prompt()


def test_in_a_chain():
    """`prompt | model | parser`, braces in the prompt and all."""
    parser = QwenOCROutputParser(KeyInformationExtraction({"total": ""}))
    prompt = ChatPromptTemplate([("human", "{instructions}")]).partial(instructions=parser.get_format_instructions())

    result = (prompt | FakeListChatModel(responses=['{"total": "9.90"}']) | parser).invoke({})

    assert result.values == {"total": "9.90"}


async def test_a_stream_is_read_when_it_is_complete():
    """Pieces of an answer give one result, never half a one."""
    model: Any = GenericFakeChatModel(messages=iter([AIMessage(TABLE), AIMessage(TABLE)]))
    chain = model | QwenOCROutputParser(TableParsing())

    whole = list(chain.stream("x"))
    again = [result async for result in chain.astream("x")]

    assert [result.tables[0].rows for result in (*whole, *again)] == [(("Tea", "2.50"),)] * 2


def test_pieces_of_text():
    """A stream of strings is put together first, too."""

    def pieces() -> Iterator[str]:
        yield from (TABLE[:20], TABLE[20:40], TABLE[40:])

    [result] = QwenOCROutputParser(TableParsing()).transform(pieces())

    assert result.tables[0].rows == (("Tea", "2.50"),)


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (AdvancedRecognition(), "There are some lines of text here, I think."),
        (TextRecognition(), looping()["choices"][0]["message"]["content"]),
        (KeyInformationExtraction(), "Sorry, I cannot help with this image."),
    ],
    ids=["another form", "loop", "declined"],
)
def test_answers_that_are_no_result(task, answer):
    """The exception holds the answer, so that the caller can look at it."""
    with pytest.raises(OutputParserException) as raised:
        QwenOCROutputParser(task).invoke(AIMessage(answer))

    assert raised.value.llm_output == answer


@pytest.mark.parametrize(
    "facts", [{"finish_reason": "length"}, {"stop_reason": "max_tokens"}], ids=["OpenAI", "Anthropic"]
)
def test_an_answer_that_was_cut(facts):
    """What the model's own words say about its end is kept in the result."""
    result = QwenOCROutputParser(TextRecognition()).invoke(AIMessage("half a pa", response_metadata=facts))

    assert result.text == "half a pa"
    assert result.cut
    assert any("length limit" in warning for warning in result.warnings)


def test_formulas():
    """LaTeX comes without delimiters."""
    assert QwenOCROutputParser(FormulaRecognition()).invoke("$$E = mc^2$$").formulas == ("E = mc^2",)
