"""What of a study a stage may read: the sections of the params file that `dvc.yaml` lists for it, and no other.

A stage's file names them in `TRACKED`, as `dvc.yaml` does under `params`: a change to one of them makes DVC run the
stage again. A stage that read another would keep its old results when that one changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from rine.params import Params

ALWAYS = "runtime"  # changes speed alone, but for its arithmetic, which `cache` tracks


class UntrackedError(AttributeError):
    """A stage read a section of the params file that DVC does not track for it."""


def view(study: Params, stage: str, tracked: Sequence[str], **item: str) -> Params:
    """`study` with the sections in `tracked` alone (dotted: "best.models"), and `runtime`.

    `{name}` stands for the item of the stage, `{study.encoder}` for a value of the study itself. Of a section that the
    study leaves out nothing can be tracked: it is None. Reading anything else raises `UntrackedError`, which names the
    stage and the section.
    """
    keys = [key.format(study=study, **item).split(".") for key in (*tracked, ALWAYS)]
    return cast(Params, _narrowed(study, stage, "", keys))


def _narrowed(value: Any, stage: str, place: str, keys: list[list[str]]) -> Any:
    """`value`, which stands at `place` of the study, with what is left of the keys below it."""
    if [] in keys or (is_dataclass(value) and all([field.name] in keys for field in fields(value))):
        return value
    if value is None:
        return None
    return _Section(value, stage, place, keys) if is_dataclass(value) else _Table(value, stage, place, keys)


class _Section:
    """A section of which some fields are tracked."""

    def __init__(self, value: Any, stage: str, place: str, keys: list[list[str]]) -> None:
        self._all = (value, stage, place, keys)

    def __getattr__(self, name: str) -> Any:
        value, stage, place, keys = self._all
        if name not in {field.name for field in fields(value)}:
            raise AttributeError(f"the params file has no key {place}{name}")
        below = _below(stage, place, keys, name)
        return _narrowed(getattr(value, name), stage, f"{place}{name}.", below)


class _Table(Mapping[str, Any]):
    """A table by name (`encoders`, `settings`, ...) of which some entries are tracked."""

    def __init__(self, value: Mapping[str, Any], stage: str, place: str, keys: list[list[str]]) -> None:
        self._all = (value, stage, place, keys)

    def __getitem__(self, name: str) -> Any:
        value, stage, place, keys = self._all
        below = _below(stage, place, keys, name)
        return _narrowed(value[name], stage, f"{place}{name}.", below)

    def __iter__(self) -> Iterator[str]:
        _, stage, place, _ = self._all
        raise UntrackedError(f"{_message(stage, place.rstrip('.'))}: all of it is read")

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _below(stage: str, place: str, keys: list[list[str]], name: str) -> list[list[str]]:
    """What is left of the keys below `name`; raises where none begins with it."""
    below = [rest for first, *rest in keys if first == name]
    if not below:
        raise UntrackedError(_message(stage, place + name))
    return below


def _message(stage: str, section: str) -> str:
    return (
        f"the stage {stage} reads {section}, which DVC does not track for it: "
        "list it under its params in dvc.yaml, and in TRACKED of its file"
    )
