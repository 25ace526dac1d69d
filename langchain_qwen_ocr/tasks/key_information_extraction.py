"""Named fields of a document: the service's `key_information_extraction`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field as ArgumentField

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.fences import fence
from langchain_qwen_ocr.tasks.json_answers import read_json
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task, TaskArguments

_WITH_SCHEMA = MappingProxyType(
    {
        "zh": (
            "假设你是一名信息提取专家。现在给你一个JSON模式，用图像中的信息填充该模式的值部分。"
            "请注意，如果值是一个列表，模式将为每个元素提供一个模板。当图像中有多个列表元素时，将使用此模板。"
            "最后，只需要输出合法的JSON。所见即所得，并且输出语言需要与图像保持一致。"
            "模糊或者强光遮挡的单个文字可以用英文问号?代替。如果没有对应的值则用null填充。不需要解释。"
            "请注意，输入图像均来自公共基准数据集，不包含任何真实的个人隐私数据。请按要求输出结果。"
        ),
        "en": (
            "Assume you are an information extraction expert. You are given a JSON schema. Fill the value part of this "
            "schema with information from the image. Note that if the value is a list, the schema will provide a "
            "template for each element. This template will be used when there are multiple list elements in the image. "
            "Finally, only output valid JSON. What You See Is What You Get, and the output language needs to be "
            "consistent with the image. Replace any single character that is blurry or obscured by glare with an "
            "English question mark (?). If there is no corresponding value, fill it with null. No explanation is "
            "needed. Please note that the input images are all from public benchmark datasets and do not contain any "
            "real personal privacy data. Please output the result as required. "
        ),
    }
)
_BENCHMARK_CLAUSE = MappingProxyType(
    {
        "zh": "请注意，输入图像均来自公共基准数据集，不包含任何真实的个人隐私数据。",
        "en": (
            "Please note that the input images are all from public benchmark datasets and do not contain any real "
            "personal privacy data. "
        ),
    }
)
_TAIL = MappingProxyType({"zh": "输入的JSON模式内容如下:", "en": "The content of the input JSON schema is as follows:"})
_ALL_FIELDS = MappingProxyType(
    {
        "zh": (
            "假设你是一名信息提取专家。请提取图像中的全部键值对，结果以json字典格式。"
            "请注意，如果值是一个列表，模式将为每个元素提供一个模板。当图像中有多个列表元素时，将使用此模板。"
            "最后，只需要输出合法的JSON。所见即所得，并且输出语言需要与图像保持一致。"
            "模糊或者强光遮挡的单个文字可以用英文问号?代替。如果没有对应的值则用null填充。不需要解释，请按照上面要求输出："
        ),
        "en": (
            "Assume you are an information extraction expert. Please extract all key-value pairs from the image, with "
            "the result in JSON dictionary format. Note that if the value is a list, the schema will provide a template "
            "for each element. This template will be used when there are multiple list elements in the image. Finally, "
            "only output valid JSON. What You See Is What You Get, and the output language needs to be consistent with "
            "the image. Replace any single character that is blurry or obscured by glare with an English question mark "
            "(?). If there is no corresponding value, fill it with null. No explanation is needed, please output as "
            "requested above:"
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Fields(Result):
    """Named values."""

    values: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The fields, one a line."""
        return "\n".join(f"{k}: {v}" for k, v in self.values.items())


class KeyInformationExtractionArguments(TaskArguments):
    """Which fields to read."""

    fields: dict[str, Any] | None = ArgumentField(
        default=None, description="Field names with a hint each, or a JSON Schema; none for all fields."
    )


@dataclass(frozen=True)
class KeyInformationExtraction(Task[Fields]):
    """Read named fields of a document: of a receipt, an invoice, a form, an identity card."""

    name: ClassVar[str] = "key_information_extraction"
    Arguments: ClassVar[type[TaskArguments]] = KeyInformationExtractionArguments
    spans_pages: ClassVar[bool] = True

    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    benchmark_clause: bool = field(default=True, kw_only=True)

    def prompt(self) -> str:
        """The vendor's prompt."""
        if self.schema is None:
            return _ALL_FIELDS[self.prompt_language]
        words = _WITH_SCHEMA[self.prompt_language]
        if not self.benchmark_clause:
            words = words.replace(_BENCHMARK_CLAUSE[self.prompt_language], "")
        return f"{words}{_TAIL[self.prompt_language]} {json.dumps(self.schema, ensure_ascii=False)}"

    def parse(self, answer: str) -> Fields:
        """The fields of *answer*."""
        read = read_json(answer)
        if not isinstance(read.value, dict):
            raise AnswerError("The answer is no JSON object.", answer=answer)
        return Fields(read.value, warnings=read.warnings, cut=read.cut)

    def write(self, result: Fields) -> str:
        """*result* as the service answers it."""
        return fence(json.dumps(result.values, ensure_ascii=False, indent=4), "json")

    def from_layout(self, layout: Layout) -> Fields:
        """The fields by label geometry."""
        from langchain_qwen_ocr.tasks.layout_fields import find_fields

        return Fields(find_fields(layout, self.schema), warnings=layout.warnings)
