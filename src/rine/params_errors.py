"""What pydantic says of a params file in plain words: the key, its value, what is allowed, what replaced an old key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from rine.values import did_you_mean

# keys of earlier versions -> what stands in their place
REPLACED = {
    "crops": "pictures are cropped to the size that the encoder takes; drop the section",
    "cache.items": "the feature sets follow from encoder and encoders; drop the key",
    "cache.seed": "it is augmentation.seed now",
    "prepare.align": "it is cache.align now",
    "validate.seed": "it is validate.tsne_seed now",
}
# what pydantic adds to a place in a union, beside names of our `...Config`; no keys of ours
_TAGS = {"str", "int", "constrained-int", "constrained-str"}

# by pydantic's type of error
_PLAIN = {
    "tuple_type": "a list is needed: [{value}]",
    "string_type": "text is needed; put it in quotes where it looks like a number",
    "dict_type": "a table is needed: {{key: value}}",
    "dataclass_type": "a table is needed: {{key: value}}",
    "string_pattern_mismatch": "names are of letters, digits, _ and - (not first): they become keys and folders",
}
# by key: what is neither a name nor one of a few words
_FORMS = {
    "blocks": "allowed: all, or numbers from 1, [6, 12, 24]",
    "cluster": "allowed: null, local, auto or HOST:PORT",
    "device": "allowed: auto, cpu, mps, cuda or cuda:1",
    "python": "allowed: package.module:function",
    "released": "allowed: a date, 2024, 2024-05 or 2024-05-17",
}


def explained(errors: Sequence[Any], schema: type) -> list[str]:
    """One line for each slip that pydantic's `errors` tell of; `schema` is the dataclass of the whole file."""
    # a list whose items are wrong is also reported as too short: one line for one slip
    places = {item["loc"][:-1] for item in errors}
    kept = [error for error in errors if error["type"] != "too_short" or error["loc"] not in places]
    # where a value may be of several kinds, what is wrong within its own kind says more than that it is no other
    within = {tuple(_keys(error)) for error in kept if not error["type"].endswith("_type")}
    kept = [error for error in kept if not error["type"].endswith("_type") or tuple(_keys(error)) not in within]
    around = {keys[:n] for keys in within for n in range(len(keys))}
    kept = [error for error in kept if error["type"] != "literal_error" or tuple(_keys(error)) not in around]
    return list(dict.fromkeys(_explained(error, schema) for error in kept))


def _keys(error: Any) -> list[str]:
    """The keys that lead to what is wrong, without pydantic's own tags."""
    keys = map(str, error["loc"])
    return [key for key in keys if key not in _TAGS and "[" not in key and not key.endswith("Config")]


def _explained(error: Any, schema: type) -> str:
    keys = _keys(error)
    name, value = ".".join(keys) or "the study", error["input"]
    if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        if name in REPLACED:
            return f"{name} is no key any more: {REPLACED[name]}"
        allowed = _allowed(keys[:-1], schema)
        meant = did_you_mean(keys[-1], allowed)
        return f"{name} = {_short(value)}: unknown key; allowed here: {', '.join(allowed)}{meant}"
    if error["type"] in {"missing", "missing_argument"}:
        return f"{name}: missing"
    form = _FORMS.get(keys[-1]) if error["type"] in {"string_pattern_mismatch", "literal_error"} else None
    plain = form or _PLAIN.get(error["type"])
    message = plain.format(value=value) if plain else error["msg"].removeprefix("Value error, ")
    if error["type"] == "literal_error" and not form:
        message += did_you_mean(value, re.findall("'(.*?)'", error["ctx"]["expected"]))
    return f"{name}: {message}" if isinstance(value, dict) else f"{name} = {_short(value)}: {message}"


def _short(value: Any, most: int = 300) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _allowed(keys: list[str], schema: Any) -> list[str]:
    """Field names of the dataclass at a dotted place of the schema."""
    for key in keys:
        if is_dataclass(schema):
            schema = get_type_hints(schema, include_extras=False).get(key, schema)
        schema = next((part for part in _parts(schema) if is_dataclass(part)), schema)
    return [field.name for field in fields(schema)] if is_dataclass(schema) else []


def _parts(hint: Any) -> list[Any]:
    """The types that a hint is made of: itself, a union's or a container's parts, at any depth."""
    return [hint, *(part for arg in get_args(hint) for part in _parts(arg))]
