"""The JSON schema of plan files: for editors, and for hints at misspelt names."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec

from loadgen.plan.plan import Plan

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DURATION = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h)?$"}
"""A duration as text, which a plan file may have in place of seconds."""
DURATIONS = {
    "Plan": ("hold", "stop_after", "think"),
    "Phase": ("duration", "jitter"),
    "Publish": ("grace",),
    "SetupSpec": ("timeout",),
    "Loop": ("think",),
    "Transport": ("connect_timeout", "receive_timeout", "resolve"),
    "Think": ("seconds", "upto"),
}
"""The durations of a plan file, by the definition of the schema."""
FILLED = {
    "PythonSession": ("source", "sha256", "files"),
    "Feeder": ("table",),
    "SetupSpec": ("source", "sha256", "files"),
}
"""The keys that loadgen fills in itself when it reads the files that a plan names."""
MAX_NAMES = 30
"""The most names that a mistake lists."""


@cache
def plan_schema() -> dict[str, Any]:
    """Returns the schema of plan files, in JSON Schema's dialect of 2020-12."""
    schema = msgspec.json.schema(Plan)
    definitions = schema["$defs"]
    for name, keys in DURATIONS.items():
        properties = definitions[name]["properties"]
        for key in keys:
            seconds = dict(properties[key])
            default = {"default": seconds.pop("default")} if "default" in seconds else {}
            ways = [*seconds.get("anyOf", [seconds]), DURATION]
            properties[key] = {"anyOf": ways, **default}
    for name, keys in FILLED.items():
        for key in keys:
            definitions[name]["properties"].pop(key, None)
    return {"$schema": DIALECT, "title": "A plan of loadgen", **schema}


def names_at(document: Any, keys: Sequence[str | int]) -> list[str]:
    """Returns the legal keys or words of a place in a plan; none where any is.

    `document` is the plan as read from its file, perhaps with mistakes.
    """
    node: Mapping[str, Any] = plan_schema()
    for key in keys:
        found = node.get("discriminator", {})
        if found and key == found["propertyName"]:
            return list(found["mapping"])
        node = _inner(_struct(node, document), key)
        document = _value(document, key)
    node = _struct(node, document)
    words = [word for part in node.get("anyOf", [node]) for word in part.get("enum", ())]
    return words or list(node.get("properties", ()))


def hint(wrong: str, names: Sequence[str]) -> str:
    """Returns the end of a message about a wrong name: the nearest legal one, or all."""
    near = get_close_matches(wrong, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; write one of {', '.join(names)}" if 0 < len(names) <= MAX_NAMES else ""


def _struct(node: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """Returns the definition that a node refers to.

    Of several it is the one that the value names.
    """
    found = node.get("discriminator")
    if found:
        tag = _value(value, found["propertyName"])
        node = {"$ref": found["mapping"].get(tag, "")}
    name = str(node.get("$ref", "")).rpartition("/")[2]
    definition: Mapping[str, Any] = plan_schema()["$defs"].get(name, node)
    return definition


def _inner(node: Mapping[str, Any], key: str | int) -> Mapping[str, Any]:
    """Returns the node of a key or an element; an empty one if there is none."""
    for part in node.get("anyOf", [node]):
        one = _struct(part, None)
        inner = one.get("items") if isinstance(key, int) else one.get("properties", {}).get(key)
        if isinstance(inner, dict):
            return inner
    return {}


def _value(document: Any, key: str | int) -> Any:
    """Returns the value of a key or of a place; None where there is none."""
    if isinstance(document, dict):
        return document.get(key)
    at_place = isinstance(document, list) and isinstance(key, int) and key < len(document)
    return document[key] if at_place else None
