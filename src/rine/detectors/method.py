"""What a detector is asked and what it answers, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rine.pixels.crops import CropRule

Answer = float | str  # a score, or the reason why there is none


class DetectorError(ValueError):
    """A detector that cannot be used at all; the message says why."""


@dataclass(frozen=True)
class Shown:
    """A picture as a detector is shown it: `file` holds its pixels, which are those of `path` in a view.

    `view` is "" for the picture as it is, else "perturb:blur", "degrade:jpeg:60"; `crops` is how the study's own heads
    look at it.
    """

    path: str
    digest: str
    view: str
    crops: CropRule
    file: Path

    @property
    def key(self) -> str:
        """What decides its score."""
        return f"{self.digest}/{self.crops}/{self.view}"


@dataclass(frozen=True)
class Answers:
    """Answers by the number of the picture in the batch; `failure` says why the others have none.

    `hung`: it was waiting for one of them that used up the time of all, which is therefore not to be given them again.
    """

    by_number: dict[int, Answer]
    failure: str = ""
    hung: bool = False


class Method(Protocol):
    """A detector that is ready, and at last closed.

    `score` raises nothing for a picture that it cannot score: see `Answers`.
    """

    def asks(self, view: str) -> bool: ...  # whether it can say anything of pictures in a view

    def score(self, pictures: Sequence[Shown]) -> Answers: ...

    def close(self) -> None: ...
