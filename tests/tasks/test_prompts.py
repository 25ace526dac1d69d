"""The prompts that the service knows, byte for byte."""

from __future__ import annotations

import hashlib

import pytest

from langchain_qwen_ocr import (
    AdvancedRecognition,
    FreePrompt,
    KeyInformationExtraction,
    MultilingualRecognition,
    TextRecognition,
)
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tasks.task import PromptLanguage

TEMPLATE = {"车次": "", "票价": "只填数值"}
DIGESTS = {
    "TextRecognition()": (TextRecognition(), "d233c642a829efc9"),
    "MultilingualRecognition(en)": (MultilingualRecognition(prompt_language="en"), "d233c642a829efc9"),
    "AdvancedRecognition()": (AdvancedRecognition(), "56fd9a62156c4888"),
    "AdvancedRecognition(en)": (AdvancedRecognition(prompt_language="en"), "abde57ee3ad20c71"),
    "KeyInformationExtraction()": (KeyInformationExtraction(), "4af233068f16bda8"),
    "KeyInformationExtraction(en)": (KeyInformationExtraction(prompt_language="en"), "679099dcc30ef0d3"),
}
"""The SHA-256 of each prompt as Model Studio prints it, beginnings only."""


@pytest.mark.parametrize(("task", "digest"), DIGESTS.values(), ids=DIGESTS)
def test_a_prompt_is_the_vendors(task: TextRecognition, digest: str) -> None:
    """Not a byte differs from the text that the service was trained on."""
    assert hashlib.sha256(task.prompt().encode()).hexdigest().startswith(digest)


def test_the_template_stands_where_the_service_puts_it() -> None:
    """A blank behind the colon, the template as Python's json writes it, no full stop."""
    prompt = KeyInformationExtraction(TEMPLATE).prompt()
    assert prompt.endswith('请按要求输出结果。输入的JSON模式内容如下: {"车次": "", "票价": "只填数值"}')
    assert "公共基准数据集" in prompt


def test_the_benchmark_sentence_can_be_left_out() -> None:
    """Exactly the sentence goes that says the picture is from a public benchmark."""
    sentences: dict[PromptLanguage, str] = {
        "zh": "请注意，输入图像均来自公共基准数据集，不包含任何真实的个人隐私数据。",
        "en": "Please note that the input images are all from public benchmark datasets and do not contain any real "
        "personal privacy data. ",
    }
    for language, sentence in sentences.items():
        full = KeyInformationExtraction(TEMPLATE, prompt_language=language).prompt()
        short = KeyInformationExtraction(TEMPLATE, prompt_language=language, benchmark_clause=False).prompt()
        assert full.count(sentence) == 1
        assert short == full.replace(sentence, "")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("clause", [True, False])
def test_a_template_is_read_back_out_of_a_prompt(language: PromptLanguage, clause: bool) -> None:  # noqa: FBT001
    """A reader at the other end of the wire learns what is asked for."""
    task = KeyInformationExtraction(TEMPLATE, prompt_language=language, benchmark_clause=clause)
    assert KeyInformationExtraction.from_prompt(task.prompt()) == task


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(
            ': \n          {\n  "车次": "",\n  "票价": "只填数值"\n}\n。', id="on many lines, with a full stop"
        ),
        pytest.param(': {"车次": "", "票价": "只填数值"}', id="on one line"),
        pytest.param(':{"车次":"","票价":"只填数值"}', id="without blanks"),
    ],
)
def test_the_vendors_own_endings_are_known(tail: str) -> None:
    """Each way in which the vendor's pages end the prompt is read."""
    words = KeyInformationExtraction(TEMPLATE).prompt().split("内容如下")[0]
    task = KeyInformationExtraction.from_prompt(f"{words}内容如下{tail}")
    assert task == KeyInformationExtraction(TEMPLATE)


def test_all_fields_are_known_by_their_prompt() -> None:
    """Without a template the prompt asks for all fields."""
    task = KeyInformationExtraction(prompt_language="en")
    assert KeyInformationExtraction.from_prompt(task.prompt()) == task


def test_another_prompt_is_not_for_fields() -> None:
    """Words of the caller's own belong to the free prompt."""
    assert KeyInformationExtraction.from_prompt("Which fields are there?") is None
    assert FreePrompt.from_prompt("Which fields are there?") == FreePrompt("Which fields are there?")


def test_a_free_prompt_needs_words() -> None:
    """An empty prompt is refused before anything is sent."""
    with pytest.raises(OptionError, match="needs a prompt"):
        FreePrompt("  ")


def test_a_free_prompt_goes_out_untouched() -> None:
    """Braces and blanks are the caller's."""
    assert FreePrompt('  Answer as {"a": %s}\n').prompt() == '  Answer as {"a": %s}\n'
