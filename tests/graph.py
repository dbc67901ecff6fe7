"""`dvc.yaml` as data: its stages, the items of each, and its lists with every `${...}` filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rine.params import Params

ROOT = Path(__file__).parents[1]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


class Item(NamedTuple):
    """One run of a stage: what follows its name on the command line, and its lists."""

    arguments: list[str]
    deps: list[str]
    params: list[str]
    outs: list[str]
    metrics: list[str]


def items(stage: str, study: Params) -> list[Item]:
    """Every run of a stage in a study, as DVC expands `matrix` and `foreach`."""
    body = STAGES[stage]
    if "foreach" in body:
        table = _value(body["foreach"], study, {})
        return [_item(body["do"], study, {"key": key, "item": item}) for key, item in table.items()]
    axes = {name: list(_value(values, study, {})) for name, values in body.get("matrix", {}).items()}
    return [_item(body, study, {"item": dict(zip(axes, values, strict=True))}) for values in product(*axes.values())]


def _item(body: Mapping[str, Any], study: Params, names: Mapping[str, Any]) -> Item:
    def filled(entries: list[Any]) -> list[str]:
        keys = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
        return [re.sub(r"\$\{([^}]+)\}", lambda match: str(_value(match[0], study, names)), key) for key in keys]

    command = filled([body["cmd"]])[0].split()
    lists = [filled(body.get(name, [])) for name in ("deps", "params", "outs", "metrics")]
    return Item(command[2:], *lists)


def _value(place: str | list[str], study: Params, names: Mapping[str, Any]) -> Any:
    """What `${a.b}` stands for: a name of the item, else a value of the study; a list stands for itself."""
    if isinstance(place, list):
        return place
    first, *rest = place.removeprefix("${").removesuffix("}").split(".")
    value = names[first] if first in names else getattr(study, first)
    for key in rest:
        value = value[key] if isinstance(value, Mapping) else getattr(value, key)
    return value
