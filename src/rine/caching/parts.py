"""A share of a feature set's units, for processes that know nothing of each other but share the store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

AUTO = "auto"
COUNT = "RINE_PARTS"  # how many parts there are, where what starts them does not say


@dataclass(frozen=True)
class Part:
    """The `number`th (from 1) of `of` shares: every `of`th unit, so that no share is all of the largest source."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, units: Sequence[T]) -> list[T]:
        return list(units[self.number - 1 :: self.of])


def read(text: str, environ: Mapping[str, str] = os.environ) -> Part:
    """The part that `3/16` names, or with `auto` the one that Slurm, torchrun or Kubernetes started this process for.

    Raises `ValueError` that says what was expected.
    """
    if text == AUTO:
        return _started(environ)
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None:
        raise ValueError(f"--part {text!r}; expected 3/16 for the third of sixteen parts, or auto")
    return _checked(int(match[1]), int(match[2]), f"--part {text}")


def _checked(number: int, of: int, said: str) -> Part:
    if not 1 <= number <= of:
        raise ValueError(f"{said}: there is no part {number} of {of}; parts are numbered from 1/{of} to {of}/{of}")
    return Part(number, of)


def _started(environ: Mapping[str, str]) -> Part:
    """The part of this process by its environment; where two launchers have left theirs, neither is guessed."""
    found = [name for name in _LAUNCHERS if name in environ]
    if len(found) != 1:
        several = f"{' and '.join(found)} are set, and each says another part" if found else "none of them is set"
        raise ValueError(f"--part auto looks at {', '.join(_LAUNCHERS)}, and {several}; say --part 3/16")
    [name] = found
    first, counted = _LAUNCHERS[name]
    of = environ.get(COUNT) or environ.get(counted)
    if name == "SLURM_ARRAY_TASK_ID" and COUNT not in environ and environ.get("SLURM_ARRAY_TASK_MIN") != "1":
        of = None  # `sbatch --array=3` to do one part again: its count says 1
    if of is None:
        raise ValueError(f"--part auto: {name} does not say how many parts there are; export {COUNT}=16")
    try:
        return _checked(int(environ[name]) - first + 1, int(of), f"{name}={environ[name]}")
    except ValueError as error:
        raise ValueError(f"--part auto: {error}") from error


# The variable that says which part a process is, the number of the first, and the variable that says of how many
_LAUNCHERS = {
    "SLURM_ARRAY_TASK_ID": (1, "SLURM_ARRAY_TASK_COUNT"),
    "RANK": (0, "WORLD_SIZE"),  # torchrun
    "JOB_COMPLETION_INDEX": (0, ""),  # Kubernetes, which keeps the count to itself
}
