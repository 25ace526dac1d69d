"""Which fields are asked for: a template, a JSON Schema or a Pydantic class becomes a shape and what is sent of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from langchain_qwen_ocr.errors import OptionError

MAX_LEVELS = 3
"""How deep objects may be nested. Model Studio, "Qwen-OCR API reference", `result_schema`."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value."""

    kind: str = "any"
    """any, string, number, decimal, integer, boolean, date, time, date-time, or object for one of unknown keys."""
    choices: tuple[Any, ...] = ()
    """The values it may have; empty for any."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Values by name."""

    fields: Mapping[str, Shape]
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Many:
    """A list whose elements are alike."""

    element: Shape


Shape = Leaf | Record | Many


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """The fields asked for."""

    shape: Record | None
    """None when all fields are asked for."""
    template: Mapping[str, Any] | None = None
    """What is sent."""
    rules: Mapping[str, Any] | None = None
    """The JSON Schema that the values must meet."""
    model: type[BaseModel] | None = None
    """The class that the values become."""


def read_schema(schema: type[BaseModel] | Mapping[str, Any] | None, *, language: str) -> FieldSchema:
    """What a template, a JSON Schema or a Pydantic class asks for.

    Args:
        schema: A template has a description or a format hint, or nothing, for each field, and one element for each
            list. None asks for all fields.
        language: Of the hints that are made from a JSON Schema: "zh" or "en".

    Raises:
        OptionError: It is none of these, is nested too deeply, refers to itself, or is no valid JSON Schema.
    """
    if schema is None:
        return FieldSchema(None)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return _read_rules(schema.model_json_schema(), language, model=schema)
    if not isinstance(schema, Mapping):
        raise OptionError(
            f"schema is a template (a dict), a JSON Schema or a Pydantic class, not {type(schema).__name__}."
        )
    if is_json_schema(schema):
        return _read_rules(schema, language)
    if not schema:
        raise OptionError("The schema names no field; leave it out to read all fields.")
    shape = _shape_of_template(schema, level=1, path="")
    try:
        json.dumps(schema)
    except (TypeError, ValueError) as error:
        raise OptionError(f"The template cannot be written as JSON: {error}.") from error
    assert isinstance(shape, Record)
    return FieldSchema(shape, template=schema)


_SCHEMA_WORDS = frozenset(
    [
        "$schema",
        "$id",
        "$defs",
        "$ref",
        "$comment",
        "definitions",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "examples",
        "default",
        "anyOf",
        "oneOf",
        "allOf",
    ]
)


def is_json_schema(schema: Mapping[str, Any]) -> bool:
    """Whether *schema* is a JSON Schema rather than a template with fields of such names."""
    if isinstance(schema.get("$schema"), str) or isinstance(schema.get("$ref"), str):
        return True
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return False
    return schema.get("type") == "object" or (
        _SCHEMA_WORDS.issuperset(schema)
        and bool(properties)
        and all(isinstance(p, Mapping) and ("type" in p or "$ref" in p) for p in properties.values())
    )


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema of a stranger taken down to names, kinds and choices, which cost next to nothing to check.

    Patterns, references and combinations of rules can be written so that checking a value against them never ends.

    Raises:
        OptionError: It is no valid JSON Schema, or describes no object with fields.
    """
    shape = _read_rules(schema, "en").shape
    assert shape is not None
    return _plain_rules(shape)


_PLAIN_KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "any": {},
        "decimal": {"type": ["number", "string"]},
        **{kind: {"type": "string", "format": kind} for kind in ("date", "time", "date-time")},
    }
)


def _plain_rules(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Record):
        fields = {name: _plain_rules(part) for name, part in shape.fields.items()}
        return {"type": "object", "properties": fields, "required": sorted(shape.required)}
    if isinstance(shape, Many):
        return {"type": "array", "items": _plain_rules(shape.element)}
    plain = dict(_PLAIN_KINDS.get(shape.kind, {"type": shape.kind}))
    if shape.choices:
        plain["enum"] = list(shape.choices)
    if shape.description:
        plain["description"] = shape.description
    return plain


def _too_deep(path: str) -> OptionError:
    return OptionError(
        f"The schema is nested more than {MAX_LEVELS} levels deep at {path!r}; the service takes no more. "
        "Flatten it, or ask in two requests."
    )


def _shape_of_template(template: Any, *, level: int, path: str) -> Shape:  # noqa: ANN401 - JSON
    if isinstance(template, Mapping):
        if level > MAX_LEVELS:
            raise _too_deep(path)
        if not all(isinstance(key, str) for key in template):
            raise OptionError(f"The names of fields are text; those at {path or 'the top'!r} are not all.")
        return Record(
            {key: _shape_of_template(part, level=level + 1, path=_below(path, key)) for key, part in template.items()}
        )
    if isinstance(template, list | tuple):
        if len(template) > 1:
            raise OptionError(
                f"The list at {path!r} has {len(template)} templates; give one, it stands for every element."
            )
        element = template[0] if template else ""
        return Many(_shape_of_template(element, level=level, path=path))
    return Leaf(description=template if isinstance(template, str) else "")


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


# JSON Schema


def _read_rules(rules: Mapping[str, Any], language: str, *, model: type[BaseModel] | None = None) -> FieldSchema:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(dict(rules))
        _check_references(rules)
        shape = _ShapeReader(rules).read(rules, level=1, path="", refs=())
    except SchemaError as error:
        raise OptionError(f"The JSON Schema is not valid: {error.message}.") from error
    except RecursionError:
        raise OptionError("The JSON Schema is nested too deeply. Flatten it.") from None
    if not isinstance(shape, Record):
        raise OptionError("The schema describes no object with named fields; give it `properties`.")
    if not shape.fields:
        raise OptionError("The schema names no field; leave it out to read all fields.")
    template = _template(shape, language)
    return FieldSchema(shape, template=template, rules=rules, model=model)


def _check_references(node: object) -> None:
    """Refuse references that lead out of the schema: following them would open files and addresses."""
    if isinstance(node, Mapping):
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            ref = node.get(key)
            if isinstance(ref, str) and not ref.startswith("#"):
                raise OptionError(f"The schema refers to {ref!r}; only references inside it are followed.")
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            _check_references(part)


_MOST_NODES = 2_000
"""Nodes of a schema with its references followed; a few dozen lines can stand for millions."""


@dataclass(frozen=True, slots=True)
class _ShapeReader:
    """Reads the shape out of a JSON Schema, references resolved."""

    root: Mapping[str, Any]
    _visits: Iterator[int] = field(default_factory=itertools.count)

    def read(self, node: object, *, level: int, path: str, refs: tuple[str, ...]) -> Shape:
        """The shape of *node*."""
        if next(self._visits) > _MOST_NODES:
            raise OptionError(f"The schema describes more than {_MOST_NODES} fields and choices. Ask for fewer.")
        rules, refs = self._resolved(node, path, refs)
        options = [option for key in ("anyOf", "oneOf") for option in rules.get(key, ())]
        if options:
            return self._read_options(rules, options, level=level, path=path, refs=refs)
        types = _types(rules)
        if isinstance(rules.get("properties"), Mapping):
            return self._read_object(rules, level=level, path=path, refs=refs)
        if "array" in types or "items" in rules or "prefixItems" in rules:
            elements = rules.get("prefixItems") or [rules.get("items", {})]
            return Many(self.read(elements[0], level=level, path=f"{path}[]", refs=refs))
        return _leaf(rules, types)

    def _resolved(self, node: object, path: str, refs: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """*node* with the nodes it refers to and is made of merged into it."""
        rules = dict(node) if isinstance(node, Mapping) else {}
        while "$ref" in rules or "allOf" in rules:
            parts = list(rules.pop("allOf", ()))
            if "$ref" in rules:
                ref = rules.pop("$ref")
                if ref in refs:
                    raise OptionError(
                        f"The schema refers to itself at {path!r} ({ref}); the service needs a fixed, finite template. "
                        "Write the levels out."
                    )
                refs = (*refs, ref)
                parts.append(self._target(ref, path))
            for part in (part for part in parts if isinstance(part, Mapping)):
                rules = {**part, **rules, "properties": {**part.get("properties", {}), **rules.get("properties", {})}}
                if not rules["properties"]:
                    del rules["properties"]
        return rules, refs

    def _target(self, ref: str, path: str) -> Mapping[str, Any]:
        target: Any = self.root
        for part in ref[1:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if key:
                target = target.get(key) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            raise OptionError(f"The schema refers to {ref!r} at {path!r}, which it does not hold.")
        return target

    def _read_options(
        self, rules: Mapping[str, Any], options: list[Any], *, level: int, path: str, refs: tuple[str, ...]
    ) -> Shape:
        """The shape of a choice: null left out, objects put together, other kinds read as they come."""
        shapes = [
            self.read(option, level=level, path=path, refs=refs) for option in options if _types(option) != {"null"}
        ]
        records = [shape for shape in shapes if isinstance(shape, Record)]
        if records:
            names = {name: part for record in records for name, part in record.fields.items()}
            return Record(names, frozenset.intersection(*(record.required for record in records)))
        lists = [shape for shape in shapes if isinstance(shape, Many)]
        if lists:
            return lists[0]
        leaves = [shape for shape in shapes if isinstance(shape, Leaf)]
        described = str(rules.get("description") or next((leaf.description for leaf in leaves if leaf.description), ""))
        kinds = {leaf.kind for leaf in leaves}
        kind = _MIXED_KINDS.get(frozenset(kinds), "any") if len(kinds) > 1 else next(iter(kinds), "any")
        choices = tuple(choice for leaf in leaves for choice in leaf.choices)
        if any(not leaf.choices for leaf in leaves):
            choices = ()
        return Leaf(kind, choices, described)

    def _read_object(self, rules: Mapping[str, Any], *, level: int, path: str, refs: tuple[str, ...]) -> Record:
        if level > MAX_LEVELS:
            raise _too_deep(path)
        return Record(
            {
                key: self.read(part, level=level + 1, path=_below(path, key), refs=refs)
                for key, part in rules["properties"].items()
            },
            frozenset(rules.get("required", ())),
        )


_MIXED_KINDS = MappingProxyType(
    {
        # How Pydantic writes a Decimal: a number, or text that looks like one.
        frozenset({"number", "string"}): "decimal",
        frozenset({"integer", "number"}): "number",
    }
)
_FORMATS = frozenset({"date", "time", "date-time"})


def _types(rules: object) -> set[str]:
    found = rules.get("type", ()) if isinstance(rules, Mapping) else ()
    return {found} if isinstance(found, str) else set(found)


def _leaf(rules: Mapping[str, Any], types: set[str]) -> Leaf:
    choices = tuple(rules["enum"]) if "enum" in rules else ((rules["const"],) if "const" in rules else ())
    choices = tuple(choice for choice in choices if choice is not None)
    kinds = types - {"null"}
    if rules.get("format") in _FORMATS:
        kind = str(rules["format"])
    elif len(kinds) == 1:
        kind = next(iter(kinds))
    else:
        kind = _MIXED_KINDS.get(frozenset(kinds), "any")
    described = str(rules.get("description") or "")
    if not described and "pattern" in rules and kind == "string":
        described = str(rules["pattern"])
    examples = rules.get("examples")
    if isinstance(examples, list) and examples:
        described = f"{described} ({examples[0]})" if described else str(examples[0])
    return Leaf(kind, choices, described)


_HINTS = MappingProxyType(
    {
        "zh": {
            "date": "格式为YYYY-MM-DD",
            "time": "格式为HH:MM:SS",
            "date-time": "格式为YYYY-MM-DD HH:MM:SS",
            "number": "只填数值",
            "decimal": "只填数值",
            "integer": "只填整数",
            "boolean": "填true或false",
            "choices": "只能是以下之一：",
            "and": "，",
        },
        "en": {
            "date": "as YYYY-MM-DD",
            "time": "as HH:MM:SS",
            "date-time": "as YYYY-MM-DD HH:MM:SS",
            "number": "the number only",
            "decimal": "the number only",
            "integer": "the whole number only",
            "boolean": "true or false",
            "choices": "one of: ",
            "and": "; ",
        },
    }
)


def _template(shape: Shape, language: str) -> Any:  # noqa: ANN401 - JSON
    """What is sent of *shape*: a hint for each value, one element for each list."""
    if isinstance(shape, Record):
        return {name: _template(part, language) for name, part in shape.fields.items()}
    if isinstance(shape, Many):
        return [_template(shape.element, language)]
    words = _HINTS[language]
    hint = words["choices"] + " / ".join(map(str, shape.choices)) if shape.choices else words.get(shape.kind, "")
    return words["and"].join(part for part in (shape.description.rstrip("。. "), hint) if part)
