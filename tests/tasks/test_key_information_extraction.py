"""Named fields: which are asked for, how each was found, and what became of it."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from langchain_qwen_ocr import KeyInformationExtraction
from langchain_qwen_ocr.errors import AnswerError, OptionError
from langchain_qwen_ocr.geometry import Quad, Size
from langchain_qwen_ocr.tasks.key_information_extraction import Fields, KeyInformationExtractionArguments
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine

TICKET = {"车次": "", "发票": {"代码": "", "号码": ""}, "items": [{"name": "", "price": ""}]}


def values(schema: Any, answer: Any) -> dict[str, Any]:
    """The values of an answer."""
    return KeyInformationExtraction(schema).parse(json.dumps(answer, ensure_ascii=False)).values


def one(rules: dict[str, Any], raw: Any) -> tuple[Any, str | None]:
    """The value and the problem of a single field under a JSON Schema."""
    schema = {"type": "object", "properties": {"f": rules}}
    fields = KeyInformationExtraction(schema).parse(json.dumps({"f": raw}, ensure_ascii=False))
    assert fields.values["f"] == fields.items[0].value
    return fields.values["f"], fields.items[0].problem


def test_values_take_the_shape_of_the_template() -> None:
    """Every field asked for is there, nested as asked, None where the document has nothing."""
    assert values(
        TICKET, {"车次": "G1", "发票": {"代码": "12"}, "items": [{"name": "A", "price": "1"}, {"name": "B"}]}
    ) == {
        "车次": "G1",
        "发票": {"代码": "12", "号码": None},
        "items": [{"name": "A", "price": "1"}, {"name": "B", "price": None}],
    }


def test_each_field_has_a_path_and_a_state() -> None:
    """Found, missing or illegible, listed by path."""
    fields = KeyInformationExtraction(TICKET).parse(
        '{"车次": "G1?48", "发票": {"代码": "null", "号码": ""}, "items": [{"name": "A", "price": null}]}'
    )
    assert [(item.path, item.state) for item in fields.items] == [
        ("车次", "illegible"),
        ("发票.代码", "missing"),
        ("发票.号码", "missing"),
        ("items[0].name", "found"),
        ("items[0].price", "missing"),
    ]
    assert fields.illegible == ("车次",)
    assert fields.missing == ("发票.代码", "发票.号码", "items[0].price")


MARKS = {
    "a character": ("221?21", True),
    "the last character": ("大汽(南)J?", True),
    "all of it": ("????", True),
    "a digit at the end": ("12?", True),
    "a question": ("Any allergies?", False),
    "a long question": ("Patient takes other medication?", False),
    "a Chinese question": ("你好吗?", False),
    "a full-width mark": ("姓名？", False),
    "an address": ("https://example.org/find?q=1", False),
    "a question and more": ("Is it new? Yes.", False),
}


@pytest.mark.parametrize(("text", "illegible"), MARKS.values(), ids=MARKS)
def test_a_question_mark_is_told_from_a_question(text: str, illegible: bool) -> None:  # noqa: FBT001
    """The vendor writes ? for a character that cannot be read; sentences end in one too."""
    fields = KeyInformationExtraction({"f": ""}).parse(json.dumps({"f": text}))
    assert bool(fields.illegible) == illegible
    assert fields.values == {"f": text}


COERCED: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "number": ({"type": "number"}, "8.00", 8.0),
    "number with groups": ({"type": "number"}, "1,234.50", 1234.5),
    "number with a currency": ({"type": "number"}, "￥337.50", 337.5),
    "number with a word": ({"type": "number"}, "12.5元", 12.5),
    "number with decimal comma": ({"type": "number"}, "1.234,50 €", 1234.5),
    "negative": ({"type": "number"}, "-3", -3.0),
    "beyond a float": ({"type": "number"}, "0.12345678901234567890", Decimal("0.12345678901234567890")),
    "integer": ({"type": "integer"}, "1,234", 1234),
    "integer with nothing behind the point": ({"type": "integer"}, "8.00", 8),
    "boolean": ({"type": "boolean"}, "是", True),
    "boolean no": ({"type": ["boolean", "null"]}, "No", False),
    "string from a number": ({"type": "string"}, 221021325353, "221021325353"),
    "date": ({"type": "string", "format": "date"}, "2024-11-14", dt.date(2024, 11, 14)),
    "Chinese date": ({"type": "string", "format": "date"}, "2024年11月14日", dt.date(2024, 11, 14)),
    "English date": ({"type": "string", "format": "date"}, "14 Nov 2024", dt.date(2024, 11, 14)),
    "day that can only be a day": ({"type": "string", "format": "date"}, "25/12/2024", dt.date(2024, 12, 25)),
    "date and time": (
        {"type": "string", "format": "date-time"},
        "2024年11月14日11:46开",
        dt.datetime(2024, 11, 14, 11, 46),  # noqa: DTZ001 - tickets name no zone
    ),
    "time": ({"type": "string", "format": "time"}, "11:46", dt.time(11, 46)),
    "choice": ({"enum": ["Cash", "Card"]}, "CARD", "Card"),
}


@pytest.mark.parametrize(("rules", "raw", "value"), COERCED.values(), ids=COERCED)
def test_a_value_becomes_what_the_schema_says(rules: dict[str, Any], raw: Any, value: Any) -> None:
    """Where nothing is lost, text becomes the type of the schema."""
    read, problem = one(rules, raw)
    assert read == value
    assert type(read) is type(value)
    assert problem is None


KEPT: dict[str, tuple[dict[str, Any], Any]] = {
    "words for a number": ({"type": "number"}, "eight"),
    "leading zeros": ({"type": "integer"}, "007"),
    "a fraction for an integer": ({"type": "integer"}, "8.5"),
    "percent": ({"type": "number"}, "13%"),
    "day or month": ({"type": "string", "format": "date"}, "03/04/2024"),
    "a time that a date would lose": ({"type": "string", "format": "date"}, "2024-11-14 11:46"),
    "no such day": ({"type": "string", "format": "date"}, "2024-02-30"),
    "a day without a time": ({"type": "string", "format": "date-time"}, "2024-11-14"),
    "neither yes nor no": ({"type": "boolean"}, "maybe"),
    "none of the choices": ({"enum": ["Cash", "Card"]}, "Cheque"),
    "an object for a value": ({"type": "string"}, {"a": "b"}),
    "against a pattern": ({"type": "string", "pattern": "^[0-9]+$"}, "12a"),
}


@pytest.mark.parametrize(("rules", "raw"), KEPT.values(), ids=KEPT)
def test_a_value_that_would_lose_something_is_kept(rules: dict[str, Any], raw: Any) -> None:
    """It stays as it was read, and what is wrong is said of that field."""
    read, problem = one(rules, raw)
    assert read == raw
    assert problem


class Item(BaseModel):
    """A line of a bill."""

    name: str
    price: Decimal


class Bill(BaseModel):
    """A bill."""

    model_config = ConfigDict(populate_by_name=False)

    number: str = Field(alias="Bill No.", description="The number of the bill")
    day: dt.date | None = None
    paid_by: Literal["cash", "card"] = "cash"
    items: list[Item] = []


def test_a_class_gives_an_instance() -> None:
    """The values become a validated instance, by its aliases and with its defaults."""
    fields = KeyInformationExtraction(Bill).parse(
        '{"Bill No.": "0042", "day": "2024年11月14日", "paid_by": null,'
        ' "items": [{"name": "Tea", "price": "1,008.00"}]}'
    )
    assert fields.data == Bill.model_validate(
        {
            "Bill No.": "0042",
            "day": dt.date(2024, 11, 14),
            "items": [Item(name="Tea", price=Decimal("1008.00"))],
        }
    )
    assert fields.data is not None
    assert str(fields.data.items[0].price) == "1008.00"


def test_a_class_that_is_not_met_gives_no_instance() -> None:
    """There is no instance, and the field that broke it is named; the values stay."""
    fields = KeyInformationExtraction(Bill).parse('{"Bill No.": null, "items": [{"name": "Tea", "price": "dear"}]}')
    assert fields.data is None
    assert set(fields.problems) == {'["Bill No."]', "items[0].price"}
    assert fields.values["items"][0]["price"] == "dear"


def test_a_class_becomes_a_template_with_hints() -> None:
    """Descriptions, forms and choices are what the model is told."""
    assert KeyInformationExtraction(Bill, prompt_language="en").template == {
        "Bill No.": "The number of the bill",
        "day": "as YYYY-MM-DD",
        "paid_by": "one of: cash / card",
        "items": [{"name": "", "price": "the number only"}],
    }


def test_names_that_drifted_are_matched() -> None:
    """Blanks, widths, case and a colon do not hide a field; the warning says what was taken for what."""
    fields = KeyInformationExtraction({"Bill No": "", "金额(元)": ""}).parse('{"bill no:": "7", "金额（元）": "8"}')
    assert fields.values == {"Bill No": "7", "金额(元)": "8"}
    assert "'bill no:' as 'Bill No'" in fields.warnings[0]


def test_fields_that_were_not_asked_for_are_kept() -> None:
    """An extra field is no error, and is named."""
    fields = KeyInformationExtraction({"a": ""}).parse('{"a": "1", "b": {"c": "2"}}')
    assert fields.values == {"a": "1", "b": {"c": "2"}}
    assert fields.warnings == ("The answer has fields that were not asked for: b.",)


def test_all_fields_take_any_object() -> None:
    """Without a schema the answer's own names are the fields."""
    fields = KeyInformationExtraction().parse('```json\n{"标题": "客票", "姓名": "", "明细": [{"价": "8.00"}]}\n```')
    assert fields.values == {"标题": "客票", "姓名": None, "明细": [{"价": "8.00"}]}
    assert fields.text == "标题: 客票\n明细[0].价: 8.00"
    assert fields.metadata() == {
        "fields_found": 2,
        "fields_missing": "姓名",
        "fields_illegible": "",
        "fields_doubtful": "",
    }


WRAPPED = {
    "native": '{"ocr_result": {"kv_result": {"a": "1"}}}',
    "a list of one": '[{"a": "1"}]',
    "keys and values": '[{"key": "a", "value": "1"}]',
    "a list of single fields": '[{"a": "1"}, {"b": null}]',
}


@pytest.mark.parametrize("answer", WRAPPED.values(), ids=WRAPPED)
def test_what_the_object_is_wrapped_in_comes_off(answer: str) -> None:
    """The fields are found in every wrapping that was seen."""
    assert KeyInformationExtraction({"a": ""}).parse(answer).values["a"] == "1"


@pytest.mark.parametrize("answer", ["8.00", "[1, 2]", "There is a ticket."])
def test_an_answer_without_fields_is_refused(answer: str) -> None:
    """A value, a list or prose is no object with fields."""
    with pytest.raises(AnswerError):
        KeyInformationExtraction({"a": ""}).parse(answer)


class Folder(BaseModel):
    """A folder with folders in it."""

    name: str
    folders: list[Folder] = []


REFUSED: dict[str, tuple[Any, str]] = {
    "a fourth level": ({"a": {"b": {"c": {"d": ""}}}}, "more than 3 levels deep at 'a.b.c'"),
    "a fourth level in lists": ({"a": [{"b": [{"c": [{"d": ""}]}]}]}, "more than 3 levels"),
    "a class of itself": (Folder, "refers to itself at 'folders"),
    "two templates": ({"a": ["", ""]}, "has 2 templates"),
    "no field": ({}, "names no field"),
    "no schema at all": (["a"], "not list"),
    "a broken JSON Schema": ({"$schema": "x", "type": 3}, "is not valid"),
    "no object": ({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "string"}, "no object"),
    "no JSON": ({"a": object()}, "cannot be written as JSON"),
}


@pytest.mark.parametrize(("schema", "said"), REFUSED.values(), ids=REFUSED)
def test_a_schema_that_cannot_work_is_refused_at_once(schema: Any, said: str) -> None:
    """Before anything is sent, with the place that is wrong."""
    with pytest.raises(OptionError, match=said.replace("$", r"\$")):
        KeyInformationExtraction(schema)


def test_a_template_may_have_a_field_called_type() -> None:
    """Names that a JSON Schema uses do not make a template one."""
    assert KeyInformationExtraction({"type": "kind of bill", "title": ""}).template == {
        "type": "kind of bill",
        "title": "",
    }


def test_references_and_choices_are_resolved() -> None:
    """$ref, $defs, allOf and a choice with null lead to the fields behind them."""
    schema = {
        "type": "object",
        "properties": {
            "buyer": {"anyOf": [{"$ref": "#/$defs/Party"}, {"type": "null"}]},
            "seller": {"allOf": [{"$ref": "#/$defs/Party"}], "description": "who sells"},
        },
        "$defs": {"Party": {"type": "object", "properties": {"name": {"type": "string", "description": "full name"}}}},
    }
    assert KeyInformationExtraction(schema).template == {
        "buyer": {"name": "full name"},
        "seller": {"name": "full name"},
    }


def test_the_arguments_of_a_tool_make_a_task() -> None:
    """A JSON argument named `fields` is the schema; none means all fields."""
    arguments = KeyInformationExtraction.Arguments(fields={"a": ""}, benchmark_clause=False)  # type: ignore[call-arg]
    assert KeyInformationExtraction.from_arguments(arguments) == KeyInformationExtraction(
        {"a": ""}, benchmark_clause=False
    )
    assert KeyInformationExtraction.from_arguments(KeyInformationExtraction.Arguments()) == KeyInformationExtraction()


def test_a_class_is_saved_as_its_schema() -> None:
    """In another process the same prompt is sent and the same values are read, without the class."""
    task = KeyInformationExtraction(Bill)
    elsewhere = KeyInformationExtraction.from_json(json.loads(json.dumps(task.to_json())))
    assert elsewhere.prompt() == task.prompt()
    assert elsewhere.parse('{"Bill No.": "1", "day": "2024-11-14"}').values["day"] == dt.date(2024, 11, 14)


def test_what_was_read_is_written_as_it_stood() -> None:
    """Types that the schema gave go out as the text they came from."""
    task = KeyInformationExtraction(Bill)
    answer = '{"Bill No.": "0042", "day": "2024年11月14日", "items": [{"name": "Tea", "price": "1,008.00"}]}'
    fields = task.parse(answer)
    assert '"1,008.00"' in task.write(fields)
    assert task.parse(task.write(fields)) == fields


def test_values_made_by_hand_have_items() -> None:
    """Fields can be built from values alone."""
    fields: Fields[BaseModel] = Fields({"a": "1", "b.c": None})
    assert [(item.path, item.state) for item in fields.items] == [("a", "found"), ('["b.c"]', "missing")]


def test_a_plain_engine_finds_labels_and_values() -> None:
    """The value right of a label is that field's."""
    layout = Layout(
        picture=Size(800, 200),
        size=Size(800, 200),
        lines=(
            LayoutLine("Tenant:", Quad.of(20, 20, 120, 50)),
            LayoutLine("Ada Quill", Quad.of(140, 20, 300, 50)),
        ),
    )
    assert KeyInformationExtraction({"Tenant": ""}).from_layout(layout).values == {"Tenant": "Ada Quill"}


@pytest.mark.parametrize(
    "values",
    [
        {"title": "Lease", "content": {"rent": "950"}},
        {"message": {"to": "Ada"}, "date": "2026-03-01"},
        {"ocr_result": {"a": "1"}},
        {"output": {"choices": [{"a": "1"}]}},
    ],
    ids="+".join,
)
def test_fields_named_like_the_services_envelope_are_kept(values: dict[str, Any]) -> None:
    """A document's own field called "content" or "message" does not swallow its neighbours."""
    task = KeyInformationExtraction()
    fields = task.parse(json.dumps(values))
    assert task.parse(task.write(fields)) == fields
    if len(values) > 1:
        assert fields.values == values


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("target", ["http://example.com/schema.json", "file:///etc/passwd", "other.json"])
def test_references_that_lead_out_of_a_schema(key, target):
    """A schema makes nobody open a file or an address, wherever in it the reference stands."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "not": {key: target}}}}

    with pytest.raises(OptionError, match="only references inside it are followed"):
        KeyInformationExtraction(schema)


def test_a_reference_to_nothing():
    """Rules that cannot be followed are named; the values stand."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "not": {"$ref": "#/nowhere"}}}}

    fields = KeyInformationExtraction(schema).parse('{"a": "x"}')

    assert fields.values == {"a": "x"}
    assert any("Not checked" in warning for warning in fields.warnings)


def test_a_schema_that_stands_for_millions():
    """References to references are refused before they are written out."""
    levels = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 40)}
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/d39"}},
        "$defs": {"d0": {"type": "string"}, **levels},
    }

    with pytest.raises(OptionError, match="more than 2000"):
        KeyInformationExtraction(schema)


def test_a_schema_of_a_chat_model():
    """Of a stranger's schema the names, kinds and choices stay; what may never end when it is checked goes."""
    party = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^(a+)+$"}}, "required": ["name"]}
    arguments = KeyInformationExtractionArguments(
        fields={
            "type": "object",
            "properties": {
                "buyer": {"$ref": "#/$defs/Party"},
                "on": {"type": ["string", "null"], "format": "date", "description": "day of issue"},
                "kind": {"enum": ["A", "B"]},
                "lines": {"type": "array", "items": {"type": "integer"}},
            },
            "$defs": {"Party": party},
        }
    )

    assert arguments.guarded().fields == {
        "type": "object",
        "properties": {
            "buyer": {
                "type": "object",
                "properties": {"name": {"type": "string", "description": "^(a+)+$"}},
                "required": ["name"],
            },
            "on": {"type": "string", "format": "date", "description": "day of issue"},
            "kind": {"enum": ["A", "B"]},
            "lines": {"type": "array", "items": {"type": "integer"}},
        },
        "required": [],
    }


def test_a_template_of_a_chat_model():
    """A template has no rules that could cost anything."""
    arguments = KeyInformationExtractionArguments(fields={"total": "number"})

    assert arguments.guarded() is arguments


def test_fields_in_one_more_object_are_taken_out_of_it() -> None:
    """A wrapper that nobody asked for comes off, and that is said."""
    task = KeyInformationExtraction({"train": "", "price": ""})
    fields = task.parse('{"type": "ticket", "result": {"train": "G1", "price": "8"}}')
    assert fields.values == {"train": "G1", "price": "8"}
    assert fields.warnings == ("The fields were taken out of 'result'; beside it stood type.",)


def test_several_documents_are_not_taken_for_the_rows_of_one() -> None:
    """Two invoices are no two lines of an invoice; the error says how to ask for them."""
    task = KeyInformationExtraction({"number": "", "lines": [{"name": ""}]})
    with pytest.raises(AnswerError, match="holds 2 records where"):
        task.parse('[{"number": "1", "lines": []}, {"number": "2", "lines": []}]')


def test_a_required_field_that_is_missing_is_called_so() -> None:
    """What is wrong is said in the words of the page, not of types."""

    class Ticket(BaseModel):
        train: str
        price: str | None = None

    fields = KeyInformationExtraction(Ticket).parse('{"train": null, "price": "8"}')
    assert fields.data is None
    assert fields.problems == {"train": "It is required, and missing."}


def test_fields_as_a_row_of_a_table() -> None:
    """A header of paths and a row of values; what is missing is empty, a list is one cell."""
    fields = KeyInformationExtraction({"no": "", "to": {"name": ""}, "paid": "", "items": [{"price": ""}]}).parse(
        '{"no": "7", "to": {"name": "Quill, Ada"}, "paid": null, "items": [{"price": "2"}, {"price": "3"}]}'
    )
    assert fields.to_csv() == ('no,to.name,paid,items\n7,"Quill, Ada",,"[{""price"": ""2""}, {""price"": ""3""}]"\n')
