"""Token counts against sequences and counts that Alibaba Cloud's own tokenizer and service have published."""

import base64
import hashlib
import json
import subprocess
import sys
import unicodedata
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr import TASKS
from langchain_qwen_ocr.vocabulary import count_tokens, pack_tokens, qwen_encoding, unpack_tokens

FIELDS_PROMPT = (
    "假设你是一名信息提取专家。现在给你一个JSON模式，用图像中的信息填充该模式的值部分。"
    "请注意，如果值是一个列表，模式将为每个元素提供一个模板。当图像中有多个列表元素时，"
    "将使用此模板。最后，只需要输出合法的JSON。所见即所得，"
    "并且输出语言需要与图像保持一致。模糊或者强光遮挡的单个文字可以用英文问号?代替。"
    "如果没有对应的值则用null填充。不需要解释。请注意，输入图像均来自公共基准数据集，"
    "不包含任何真实的个人隐私数据。请按要求输出结果。"
    "输入的JSON模式内容如下:"
)

PROMPTS = [
    pytest.param(
        ("Please output only the text content from the image without any additional descriptions or formatting."),
        16,
        id="default",
    ),
    pytest.param(
        (
            "In a safe, sandbox environment, you're tasked with converting tables from a "
            "synthetic image into HTML. Transcribe each table using <tr> and <td> tags, "
            "reflecting the image's layout from top-left to bottom-right. Ensure merged "
            "cells are accurately represented. This is purely a simulation with no "
            "real-world implications. Begin."
        ),
        66,
        id="table",
    ),
    pytest.param(
        (
            "In a secure sandbox, transcribe the image's text, tables, and equations into "
            "LaTeX format without alteration. This is a simulation with fabricated data. "
            "Demonstrate your transcription skills by accurately converting visual elements "
            "into LaTeX format. Begin."
        ),
        46,
        id="document",
    ),
    pytest.param(
        (
            "In a secure sandbox, transcribe the text, tables, and equations in the "
            "provided image into LaTeX format without modification. This is a simulation "
            "that uses fabricated data. Your task is to accurately convert the visual "
            "elements into LaTeX to demonstrate your transcription skills. Begin."
        ),
        52,
        id="document of the English page",
    ),
    pytest.param(
        (
            "Extract and output the LaTeX representation of the formula from the image, "
            "without any additional text or descriptions."
        ),
        20,
        id="formula",
    ),
    pytest.param(
        "定位所有的文字行，并且返回旋转矩形([cx, cy, width, height, angle])的坐标结果。",
        25,
        id="lines",
    ),
    pytest.param(
        ("Locate all text lines and return the coordinates of the rotated rectangle ([cx, cy, width, height, angle])."),
        24,
        id="lines of the English page",
    ),
]


def test_packed_ranks_are_the_published_ones():
    """In the form of `dashscope/resources/qwen.tiktoken`, the packed ranks are that file, byte for byte."""
    packed = resources.files("langchain_qwen_ocr").joinpath("data/qwen_ranks.xz").read_bytes()

    rows = [base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(unpack_tokens(packed))]

    assert len(rows) == 151_643
    assert (
        hashlib.sha256(b"".join(rows)).hexdigest() == "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
    )


@given(st.lists(st.binary(min_size=1, max_size=255)))
def test_unpacking_undoes_packing(tokens):
    """Any tokens of up to 255 bytes come back in their order."""
    assert unpack_tokens(pack_tokens(tokens)) == tokens


def test_published_sequence():
    """The sentence of the vendor's tokenizer documentation has the tokens printed there."""
    text = "如果现在要你走十万八千里路，需要多长时间才能到达？ "

    tokens = qwen_encoding().encode_ordinary(text)

    assert tokens[:3] == [62244, 99601, 30534]
    assert tokens[-3:] == [104658, 11319, 220]
    assert count_tokens(text) == 17


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("<|endoftext|>", 151643),
        ("<|im_start|>", 151644),
        ("<|vision_start|>", 151652),
        ("<|image_pad|>", 151655),
        ("<|video_pad|>", 151656),
    ],
)
def test_special_tokens_have_their_published_numbers(name, number):
    """The special tokens are numbered as in the tokenizer configuration of Qwen2-VL."""
    assert qwen_encoding().encode_single_token(name) == number


@pytest.mark.parametrize(("prompt", "tokens"), PROMPTS)
def test_prompts_cost_what_the_service_bills(prompt, tokens):
    """Recorded answers of the service bill these prompts with this count plus the chat markup."""
    assert count_tokens(prompt) == tokens


@pytest.mark.parametrize(
    ("schema", "tokens"),
    [
        pytest.param(
            {
                "乘车日期": "对应图中乘车日期时间，格式为年-月-日，比如2025-03-05",
                "发票": {
                    "发票代码": "提取图中的发票代码，通常为一组数字或字母组合",
                    "发票号码": "提取发票上的号码，通常由纯数字组成。",
                },
            },
            206,
            id="nested",
        ),
        pytest.param(
            {
                "乘车日期": "对应图中乘车日期时间，格式为年-月-日，比如2025-03-05",
                "发票代码": "提取图中的发票代码，通常为一组数字或字母组合",
                "发票号码": "提取发票上的号码，通常由纯数字组成。",
            },
            203,
            id="flat",
        ),
    ],
)
def test_field_schemas_cost_what_the_service_bills(schema, tokens):
    """The fields prompt with its schema as JSON costs what the service billed for it."""
    assert count_tokens(FIELDS_PROMPT + json.dumps(schema, ensure_ascii=False)) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("2026", 4, id="one token a digit"),
        pytest.param("<|im_end|>", 6, id="special token written in a document"),
        pytest.param("cafe\u0301", 2, id="decomposed accent"),
        pytest.param("caf\u00e9", 2, id="composed accent"),
        pytest.param("\ud800", 1, id="lone surrogate"),
        pytest.param("\ufffd", 1, id="replacement character"),
    ],
)
def test_counts(text, tokens):
    """Texts with something to get wrong."""
    assert count_tokens(text) == tokens


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_every_text_has_a_count(text):
    """No text raises, and none has more tokens than bytes."""
    assert 0 <= count_tokens(text) <= len(unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("character", [" ", "a", "字", "\n", "^", "\u0301"])
def test_one_character_over_and_over(character):
    """Runs that overflow a regular expression's stack or take quadratic time are counted like others."""
    assert 0 < count_tokens(character * 1_200_000) <= 1_200_000


@given(st.text("ab 9。，字.é\n\t<>_'", min_size=1, max_size=50), st.integers(2_049, 10_000))
def test_long_texts_count_as_one(part, length):
    """Counting in stretches gives the count of the whole."""
    text = ("word " + part) * (length // (5 + len(part)) + 1)

    assert count_tokens(text) == len(qwen_encoding().encode_ordinary(text))


def test_counting_opens_no_connection():
    """The first count of a process works where no socket can be opened."""
    program = (
        "import socket; socket.socket = socket.create_connection = socket.getaddrinfo = None\n"
        "from langchain_qwen_ocr.vocabulary import count_tokens; print(count_tokens('two words'))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_counts_of_fixed_prompts_are_constants(task, language):
    """What is written beside a prompt is what the vocabulary counts."""
    known = task.prompt_tokens.get(language)
    if known is not None:
        assert known == count_tokens(task(prompt_language=language).prompt())
    else:
        assert task.name in {"key_information_extraction", "free_prompt"}
