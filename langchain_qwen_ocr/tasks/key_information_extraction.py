"""Named fields of a document: the service's `key_information_extraction`."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self

from pydantic import BaseModel, ValidationError
from pydantic import Field as ArgumentField
from typing_extensions import TypeVar

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.fences import fence
from langchain_qwen_ocr.tasks.field_schemas import (
    FieldSchema,
    Leaf,
    Many,
    Record,
    Shape,
    is_json_schema,
    plain_schema,
    read_schema,
)
from langchain_qwen_ocr.tasks.field_values import Field, is_missing, read_value
from langchain_qwen_ocr.tasks.json_answers import JSONAnswer, JSONValue, read_json
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.results import MetadataValue, Result
from langchain_qwen_ocr.tasks.task import PromptLanguage, Task, TaskArguments

M = TypeVar("M", bound=BaseModel, default=BaseModel)

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
            "the result in JSON dictionary format. Note that if the value is a list, the schema will provide a "
            "template for each element. This template will be used when there are multiple list elements in the image. "
            "Finally, only output valid JSON. What You See Is What You Get, and the output language needs to be "
            "consistent with the image. Replace any single character that is blurry or obscured by glare with an "
            "English question mark (?). If there is no corresponding value, fill it with null. No explanation is "
            "needed, please output as requested above:"
        ),
    }
)


_MARKS_OF_A_SCHEMA = (*_TAIL.values(), "The input json schema content is as follows:")
_EXPERT = re.compile(r"\s*(?:假设你是一名信息提取专家|(?:Assume|Suppose) you are an information extraction expert)")


@dataclass(frozen=True, slots=True)
class Fields(Result, Generic[M]):
    """Named values of a document, and how each of them was found."""

    forms: ClassVar[Mapping[str, str]] = MappingProxyType({**Result.forms, "csv": "to_csv"})

    values: dict[str, Any] = field(default_factory=dict)
    """The values in the schema's shape, in its types where nothing was lost; None for what is missing."""
    items: tuple[Field, ...] = ()
    """Every single value by its path; made from `values` when it is not given."""
    data: M | None = None
    """The values as an instance of the Pydantic class; None without a class, or when they do not meet it."""

    def __post_init__(self) -> None:
        """Make the items of hand-made values."""
        if self.values and not self.items:
            reader = _FieldReader()
            reader.read_any(self.values, "")
            object.__setattr__(self, "items", tuple(reader.items))

    @property
    def text(self) -> str:
        """The fields with a value, one a line: their path and what the answer says."""
        return "\n".join(f"{item.path}: {_plain_text(item.raw)}" for item in self.items if item.state != "missing")

    @property
    def is_blank(self) -> bool:
        """Whether there is no field at all; fields that are missing are an answer."""
        return not self.items

    @property
    def missing(self) -> tuple[str, ...]:
        """The paths of fields that the document does not have."""
        return tuple(item.path for item in self.items if item.state == "missing")

    @property
    def illegible(self) -> tuple[str, ...]:
        """The paths of fields in which a character could not be read."""
        return tuple(item.path for item in self.items if item.state == "illegible")

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with a value, by path."""
        return {item.path: item.problem for item in self.items if item.problem is not None}

    def to_csv(self) -> str:
        """A header of paths and a row of values, as the answer says them; empty where a field is missing.

        A list of records is one cell, as JSON: `values` holds it as a list.
        """
        columns = {path: _plain_text(value) if value is not None else "" for path, value in _flat(self.values)}
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerows((columns.keys(), columns.values()))
        return written.getvalue()

    def metadata(self) -> dict[str, MetadataValue]:
        """How many fields were found, and which were not."""
        return {
            "fields_found": sum(item.state == "found" for item in self.items),
            "fields_missing": ", ".join(self.missing),
            "fields_illegible": ", ".join(self.illegible),
            "fields_doubtful": ", ".join(self.problems),
        }


def _plain_text(raw: object) -> str:
    return raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)


def _flat(values: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its path; a list is one."""
    for name, value in values.items():
        path = f"{within}.{name}" if within else name
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        else:
            yield path, value


class KeyInformationExtractionArguments(TaskArguments):
    """Which fields to read."""

    fields: dict[str, Any] | None = ArgumentField(
        default=None,
        description=(
            "Field names, each with a description, a format hint or an empty string as its value; objects may be "
            "nested three levels deep, a list has one element as a template. A JSON Schema of an object works too. "
            "Leave it out to read all fields."
        ),
    )
    benchmark_clause: bool = ArgumentField(
        default=True,
        description="Whether the prompt keeps the vendor's sentence that the picture is from a public benchmark.",
    )

    def guarded(self) -> Self:
        """The same, a JSON Schema taken down to what costs nothing to check."""
        if self.fields is None or not is_json_schema(self.fields):
            return self
        return self.model_copy(update={"fields": plain_schema(self.fields)})


@dataclass(frozen=True)
class KeyInformationExtraction(Task[Fields[M]], Generic[M]):
    """Read named fields of a document: of a receipt, an invoice, a form, a ticket, an identity card.

    The choice when values are wanted by name. Give the names of the fields to get exactly those, or nothing to get
    all that the document holds. Says which fields are missing and which could not be read.

    Args:
        schema: A template (each field with a description, a format hint or ""), a JSON Schema, or a Pydantic class;
            up to three levels of objects, a list with one element as its template. None for all fields.
        benchmark_clause: Whether to keep the vendor's sentence that the picture is from a public benchmark and holds
            no real personal data. It is not true of most pictures.
        prompt_language: The vendor's prompt to send: "zh", which the service itself uses, or "en".

    Raises:
        OptionError: The schema is nested too deeply, refers to itself, or is no valid JSON Schema.
    """

    name: ClassVar[str] = "key_information_extraction"
    Arguments: ClassVar[type[TaskArguments]] = KeyInformationExtractionArguments
    spans_pages: ClassVar[bool] = True
    flags: ClassVar[Mapping[str, str]] = {"fields": "schema"}
    for_people: ClassVar[frozenset[str]] = frozenset({"benchmark_clause"})

    schema: type[M] | Mapping[str, Any] | None = field(default=None, hash=False)
    benchmark_clause: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a schema that the service would not take."""
        Task.__post_init__(self)
        assert self._fields is not None

    @cached_property
    def _fields(self) -> FieldSchema:
        return read_schema(self.schema, language=self.prompt_language)

    @property
    def template(self) -> Mapping[str, Any] | None:
        """What is sent of the schema; None when all fields are asked for."""
        return self._fields.template

    @classmethod
    def from_arguments(cls, arguments: TaskArguments, *, prompt_language: PromptLanguage = "zh") -> Self:
        """The task that these arguments ask for."""
        options = dict(arguments)
        return cls(options.pop("fields", None) or None, **options, prompt_language=prompt_language)

    @classmethod
    def from_prompt(cls, prompt: str) -> Self | None:
        """The task whose prompt this is, its template read back out of it; None for another prompt.

        The vendor's forms of the end are all taken: with or without a blank before the template or a full stop
        behind it, on one line or on many.
        """
        if _EXPERT.match(prompt) is None:
            return None
        language: PromptLanguage = "zh" if "信息提取专家" in prompt[:100] else "en"
        starts = [(prompt.find(mark), mark) for mark in _MARKS_OF_A_SCHEMA if mark in prompt]
        if not starts:
            words = prompt.strip()
            return next((cls(prompt_language=known) for known, text in _ALL_FIELDS.items() if text == words), None)  # type: ignore[arg-type]
        start, mark = min(starts)
        words, tail = prompt[:start], prompt[start + len(mark) :]
        try:
            template = json.loads(tail.strip().rstrip("。."))
            clause = re.search("公共基准数据集|public benchmark", words) is not None
            return cls(template, benchmark_clause=clause, prompt_language=language)
        except (ValueError, RecursionError):
            return None

    def prompt(self) -> str:
        """The vendor's prompt, the template at its end as the service itself puts it there."""
        template = self.template
        if template is None:
            return _ALL_FIELDS[self.prompt_language]
        words = _WITH_SCHEMA[self.prompt_language]
        if not self.benchmark_clause:
            words = words.replace(_BENCHMARK_CLAUSE[self.prompt_language], "")
        return f"{words}{_TAIL[self.prompt_language]} {json.dumps(template, ensure_ascii=False)}"

    def parse(self, answer: str) -> Fields[M]:
        """The fields of *answer*.

        Raises:
            AnswerError: The answer holds no JSON object.
        """
        read = read_json(answer)
        shape = self._fields.shape
        found, notes = _object_of(read, shape)
        if found is None:
            raise AnswerError(_no_object(read.value), answer=answer)
        return self._fields_of(found, warnings=(*read.warnings, *notes), cut=read.cut)

    def write(self, result: Fields[M]) -> str:
        """*result* as the service answers it: a fenced object, values as they were read."""
        raw = {item.path: item.raw for item in result.items}
        written = _raw_of(result.values, "", raw)
        if _unwrapped(written, self._fields.shape) is not written:
            # Fields that look like the service's envelope go out in one.
            written = {"ocr_result": {"kv_result": written}}
        return fence(json.dumps(written, ensure_ascii=False, indent=4), "json")

    def from_layout(self, layout: Layout) -> Fields[M]:
        """The fields whose labels stand beside or above their values on the page."""
        from langchain_qwen_ocr.tasks.layout_fields import find_fields

        return self._fields_of(find_fields(layout, self.template), warnings=layout.warnings)

    def to_json(self) -> dict[str, Any]:
        """Its options as JSON, for another process; a Pydantic class as its JSON Schema."""
        schema = self.schema
        return {
            "name": self.name,
            "schema": schema.model_json_schema() if isinstance(schema, type) else schema,
            "benchmark_clause": self.benchmark_clause,
            "prompt_language": self.prompt_language,
        }

    def _fields_of(self, found: dict[str, Any], *, warnings: tuple[str, ...] = (), cut: bool = False) -> Fields[M]:
        """The fields of an object that was read, checked against the schema."""
        asked = self._fields
        reader = _FieldReader()
        shape = asked.shape
        values = reader.read_any(found, "") if shape is None else reader.read_record(found, shape, "")
        problems: dict[str, str] = {}
        data: M | None = None
        if asked.rules is not None:
            problems |= _broken_rules(values, asked.rules)
        if asked.model is not None:
            made, broken = _instance(values, asked)
            problems |= broken
            data = made  # type: ignore[assignment]
        items, unplaced = _with_problems(reader.items, problems)
        stated = (f"{item.path}: {item.problem}" for item in items if item.problem is not None)
        return Fields(values, items, data, warnings=(*warnings, *reader.warnings, *stated, *unplaced), cut=cut)


_ENVELOPE: Mapping[str, frozenset[str]] = {
    "output": frozenset({"status_code", "request_id", "code", "message", "usage"}),
    "choices": frozenset(
        {"id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "request_id"}
        | {"text", "finish_reason", "audio"}
    ),
    "message": frozenset({"index", "finish_reason", "logprobs"}),
    "content": frozenset({"role", "refusal", "annotations", "audio", "function_call", "tool_calls"}),
    "ocr_result": frozenset({"text", "processed_text", "type"}),
    "kv_result": frozenset(),
}
"""What the service may wrap the fields in, from outside to inside, and what else may stand beside each."""


def _unwrapped(value: JSONValue, shape: Record | None) -> JSONValue:
    """The fields out of the service's envelope; anything that merely has a field of such a name stays whole."""
    for key, beside in _ENVELOPE.items():
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and not _is_pair(value[0]):
            value = value[0]
        if not isinstance(value, dict) or not isinstance(value.get(key), dict | list):
            continue
        if value.keys() - {key} <= beside and not (shape is not None and key in shape.fields):
            value = value[key]
            if key == "kv_result":
                return value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and not _is_pair(value[0]):
        return value[0]
    return value


def _object_of(read: JSONAnswer, shape: Record | None) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The object with the fields, out of what the service may wrap it in, and what had to be assumed."""
    value = read.value
    if value is None and read.cut:
        return {}, ()
    value = _unwrapped(value, shape)
    if isinstance(value, dict):
        return _object_with_fields(value, shape)
    if not isinstance(value, list):
        return None, ()
    if not value:
        return {}, ("The answer is an empty list.",)
    return _object_of_list(value, shape)


def _object_with_fields(value: dict[str, Any], shape: Record | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """*value*, or the one object in it that has fields asked for when it has none of them itself."""
    if shape is None or _matched_names(value, shape):
        return value, ()
    inner = [(key, part) for key, part in value.items() if isinstance(part, dict) and _matched_names(part, shape)]
    if len(inner) != 1:
        return value, ()
    ((name, found),) = inner
    beside = ", ".join(key for key in value if key != name)
    return found, (f"The fields were taken out of {name!r}{f'; beside it stood {beside}' if beside else ''}.",)


def _no_object(value: JSONValue) -> str:
    """Why *value* is no object with fields, and what to do."""
    if isinstance(value, list) and len(value) > 1 and all(isinstance(part, dict) for part in value):
        return (
            f"The answer holds {len(value)} records where the fields of one were asked for. "
            'Ask for a list of them: {"records": [template]}.'
        )
    return "The answer holds JSON, but no object with fields."


def _is_pair(part: dict[str, Any]) -> bool:
    """Whether an object is one field, as a key and a value."""
    return part.keys() == {"key", "value"}


def _are_several(value: list[dict[str, Any]], shape: Record | None) -> bool:
    """Whether the objects are several documents with the fields asked for: which is meant, nobody said."""
    if shape is None:
        return False
    found = [name for part in value for name in _matched_names(part, shape)]
    return len(found) > len(set(found))


def _object_of_list(value: list[Any], shape: Record | None) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    if not all(isinstance(part, dict) for part in value) or _are_several(value, shape):
        return None, ()
    names = [name for part in value for name in part]
    lists = [name for name, part in shape.fields.items() if isinstance(part, Many)] if shape is not None else []
    if len(lists) == 1:
        return {lists[0]: value}, (f"The answer is a bare list; it was read as {lists[0]!r}.",)
    if all(map(_is_pair, value)):
        return {str(part["key"]): part["value"] for part in value}, ()
    if len(names) == len(set(names)):
        return {name: part[name] for part in value for name in part}, (
            "The answer is a list; its objects were joined.",
        )
    if shape is None:
        return {_BARE_LIST: value}, (f"The answer is a bare list of records; it was read as {_BARE_LIST!r}.",)
    return None, ()


_BARE_LIST = "items"
"""What a list is called that the answer gives no name."""


def _below(path: str, key: str) -> str:
    """The path of a value inside an object."""
    if not key or re.search(r'[.\[\]"]', key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def _loosely(key: str) -> str:
    """A key without what drifts in answers: widths, blanks, case, a colon at its end."""
    return "".join(unicodedata.normalize("NFKC", key).split()).casefold().rstrip(":：")


class _FieldReader:
    """Walks an answer along the schema's shape and collects the single values."""

    def __init__(self) -> None:
        self.items: list[Field] = []
        self.warnings: list[str] = []

    def read(self, raw: Any, shape: Shape, path: str) -> Any:  # noqa: ANN401 - JSON
        """The value of *raw* in *shape*."""
        if isinstance(shape, Record):
            return self._read_object(raw, shape, path)
        if isinstance(shape, Many):
            return self._read_list(raw, shape, path)
        if isinstance(raw, dict | list) and shape.kind in {"any", "object"}:
            self.warnings.append(f"{path} holds more than a single value.")
            return self.read_any(raw, path)
        return self._add(read_value(path, raw, shape))

    def read_record(self, raw: dict[str, Any], shape: Record, path: str) -> dict[str, Any]:
        """The values of an object, those asked for first; drifted names are matched, others are kept."""
        names = _matched_names(raw, shape)
        values = {
            name: self.read(raw.get(names.get(name, name)), part, _below(path, name))
            for name, part in shape.fields.items()
        }
        drifted = [f"{given!r} as {name!r}" for name, given in names.items() if given != name]
        if drifted:
            self.warnings.append(f"Names in the answer were read as those asked for: {', '.join(drifted)}.")
        taken = set(names.values())
        extra = [key for key in raw if key not in taken]
        if extra:
            shown = ", ".join(_below(path, key) for key in extra)
            self.warnings.append(f"The answer has fields that were not asked for: {shown}.")
        return values | {key: self.read_any(raw[key], _below(path, key)) for key in extra}

    def read_any(self, raw: Any, path: str) -> Any:  # noqa: ANN401 - JSON
        """The value of *raw*, which no schema describes."""
        if isinstance(raw, dict) and (raw or not path):
            return {key: self.read_any(part, _below(path, key)) for key, part in raw.items()}
        if isinstance(raw, list) and raw:
            return [self.read_any(part, f"{path}[{i}]") for i, part in enumerate(raw)]
        if isinstance(raw, dict | list):
            self._add(Field(path, "missing", raw, None))
            return raw
        return self._add(read_value(path, raw, Leaf()))

    def _read_object(self, raw: Any, shape: Record, path: str) -> Any:  # noqa: ANN401 - JSON
        if isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], dict):
            self.warnings.append(f"{path} is a list of one object; the object was taken.")
            raw = raw[0]
        if is_missing(raw) or raw == []:
            raw = {}
        if isinstance(raw, dict):
            return self.read_record(raw, shape, path)
        return self._add(Field(path, "found", raw, raw, "An object was asked for."))

    def _read_list(self, raw: Any, shape: Many, path: str) -> Any:  # noqa: ANN401 - JSON
        if is_missing(raw) or raw == []:
            self._add(Field(path, "missing", raw, None))
            return []
        if not isinstance(raw, list):
            self.warnings.append(f"{path} is not a list; it was read as a list of one.")
            raw = [raw]
        return [self.read(part, shape.element, f"{path}[{i}]") for i, part in enumerate(raw)]

    def _add(self, item: Field) -> Any:  # noqa: ANN401 - JSON
        self.items.append(item)
        return item.value


def _matched_names(raw: Mapping[str, Any], shape: Record) -> dict[str, str]:
    """The name in the answer for each name asked for that it has."""
    names = {name: name for name in shape.fields if name in raw}
    free = {_loosely(key): key for key in reversed(list(raw)) if key not in names}
    for name in shape.fields:
        if name not in names and _loosely(name) in free:
            names[name] = free.pop(_loosely(name))
    return names


def _raw_of(value: Any, path: str, raw: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """*value* with what the answer said in place of what it became."""
    if path and path in raw:
        return _as_json(raw[path])
    if isinstance(value, dict):
        return {key: _raw_of(part, _below(path, key), raw) for key, part in value.items()}
    if isinstance(value, list):
        return [_raw_of(part, f"{path}[{i}]", raw) for i, part in enumerate(value)]
    return _as_json(value)


def _as_json(value: Any) -> Any:  # noqa: ANN401 - JSON
    """*value* as JSON says it."""
    if isinstance(value, Mapping):
        return {key: _as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(part) for part in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


# Checking against the schema


def _broken_rules(values: dict[str, Any], rules: Mapping[str, Any]) -> dict[str, str]:
    """What the values break of a JSON Schema, by path; what is missing is no breach."""
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # A registry of its own, since the usual one fetches what a schema refers to.
    checker = Draft202012Validator(dict(rules), registry=Registry())
    try:
        return {
            _path_of(error.absolute_path): f"{error.message}."
            for error in checker.iter_errors(_without_missing(values))
            if error.validator not in {"required", "additionalProperties", "unevaluatedProperties"}
        }
    except Unresolvable as error:
        return {"": f"Not checked, since the schema refers to {error.ref!r}, which it does not hold."}
    except RecursionError:
        return {"": "Not checked, since the schema or the values are nested too deeply."}


def _without_missing(value: Any) -> Any:  # noqa: ANN401 - JSON
    """*value* as JSON, without what is missing."""
    if isinstance(value, dict):
        return {key: _without_missing(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_missing(part) for part in value]
    if isinstance(value, Decimal):
        return float(value)
    return _as_json(value)


def _path_of(parts: Any) -> str:  # noqa: ANN401 - a deque or a tuple of names and numbers
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else _below(path, part)
    return path


def _instance(values: dict[str, Any], asked: FieldSchema) -> tuple[BaseModel | None, dict[str, str]]:
    """The values as an instance of the class, or what they break, by path."""
    assert asked.model is not None
    assert asked.shape is not None
    try:
        return asked.model.model_validate(_for_model(values, asked.shape)), {}
    except ValidationError as error:
        return None, {
            _path_of(part for part in detail["loc"] if isinstance(part, int | str)): f"{detail['msg']}."
            for detail in error.errors(include_url=False, include_input=False)
        }
    except RecursionError:
        return None, {"": "The values are nested too deeply."}


def _for_model(value: Any, shape: Shape) -> Any:  # noqa: ANN401 - JSON
    """*value* without what is missing where the class has a default, and without what was not asked for."""
    if isinstance(shape, Record) and isinstance(value, dict):
        return {
            name: _for_model(value.get(name), part)
            for name, part in shape.fields.items()
            if name in shape.required or not _is_empty(value.get(name))
        }
    if isinstance(shape, Many) and isinstance(value, list):
        return [_for_model(part, shape.element) for part in value]
    return value


def _is_empty(value: object) -> bool:
    """Whether nothing was found in it."""
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or value == []


def _said_of(item: Field, problem: str) -> str:
    return "It is required, and missing." if item.state == "missing" else problem


def _with_problems(items: list[Field], problems: Mapping[str, str]) -> tuple[tuple[Field, ...], Iterator[str]]:
    """The items with what the schema says against them, and what is said of no single item."""
    paths = {item.path for item in items}
    stated = tuple(
        dataclasses.replace(item, problem=item.problem or _said_of(item, problems[item.path]))
        if item.path in problems
        else item
        for item in items
    )
    return stated, (f"{path or 'The answer'}: {said}" for path, said in problems.items() if path not in paths)
