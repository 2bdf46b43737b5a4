"""The JSON Schema says what the models say, so that an editor refuses what hepdann refuses."""

from __future__ import annotations

import json
import re

import pytest

from hepdann.config import json_schema, shipped_configs
from hepdann.config.document import parse

# The keywords of draft 2020-12 that the schema may use, with what their value must be.
KEYWORDS = {
    "$schema": str,
    "$defs": dict,
    "$ref": str,
    "additionalProperties": (bool, dict),
    "anyOf": list,
    "oneOf": list,
    "const": (str, int, float, bool),
    "default": object,
    "description": str,
    "enum": list,
    "examples": list,
    "exclusiveMaximum": (int, float),
    "exclusiveMinimum": (int, float),
    "items": dict,
    "maxItems": int,
    "maxLength": int,
    "maxProperties": int,
    "maximum": (int, float),
    "minItems": int,
    "minLength": int,
    "minProperties": int,
    "minimum": (int, float),
    "prefixItems": list,
    "properties": dict,
    "propertyNames": dict,
    "required": list,
    "title": str,
    "type": str,
}
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def subschemas(schema):
    yield schema
    for key in ("$defs", "properties"):
        for below in schema.get(key, {}).values():
            yield from subschemas(below)
    for key in ("anyOf", "oneOf"):
        for below in schema.get(key, []):
            yield from subschemas(below)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from subschemas(schema[key])


def errors(value, schema, root, path=""):
    """A validator of these keywords, as the draft defines them."""
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return errors(value, target, root, path)
    for key in ("anyOf", "oneOf"):
        if key in schema and all(errors(value, s, root, path) for s in schema[key]):
            return [path]
    kind = schema.get("type")
    if kind and (
        not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        return [path]
    found = [path] if value not in schema.get("enum", [value]) else []
    found += [path] if value != schema.get("const", value) else []
    if isinstance(value, int | float):
        found += [path] if value < schema.get("minimum", value) else []
        found += [path] if value <= schema.get("exclusiveMinimum", value - 1) else []
        found += [path] if value > schema.get("maximum", value) else []
    if isinstance(value, dict) and kind == "object":
        known = schema.get("properties", {})
        extra = schema.get("additionalProperties", True)
        found += [f"{path}.{key}" for key in schema.get("required", []) if key not in value]
        for key, below in value.items():
            if key in known or isinstance(extra, dict):
                found += errors(below, known.get(key, extra), root, f"{path}.{key}")
            elif extra is False:
                found.append(f"{path}.{key}")
    if isinstance(value, list):
        for index, below in enumerate(value):
            found += errors(below, schema.get("items", {}), root, f"{path}[{index}]")
    return found


def test_the_schema_is_json_schema_2020_12():
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for below in subschemas(schema):
        for key, value in below.items():
            assert isinstance(value, KEYWORDS[key]), (key, value)
        assert below.get("type", "object") in TYPES
        assert set(below.get("required", [])) <= set(below.get("properties", {}))
        if "$ref" in below:
            assert re.fullmatch(r"#/\$defs/\w+", below["$ref"])
            assert below["$ref"].removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configurations_fit_the_schema(name):
    values, _ = parse(shipped_configs()[name].read_text(), name)
    assert errors(values, json_schema(), json_schema()) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("trian: {}", ".trian"),
        ("samples: [{name: a, files: a, clas: b}]", ".samples[0].clas"),
        ("samples: [{name: a}]", ".samples[0].files"),
        ("convert: {split: {trian: 0.5}}", ".convert.split.trian"),
        ("convert: {features: [a, {nam: b}]}", ".convert.features"),
        ("train: {epochs: many}", ".train.epochs"),
        ("train: {lambda: -1}", ".train.lambda"),
        ("train: {normalisation: batch}", ".train.normalisation"),
        ("plots: {style: cms}", ".plots.style"),
    ],
)
def test_what_hepdann_refuses_the_schema_refuses(text, path):
    values, _ = parse(text, "x.yaml")
    assert errors(values, json_schema(), json_schema()) == [path]
