"""A verdict's evidence as data, and in the words that it is told in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, computed_field
from pydantic.dataclasses import dataclass as described

from rine.detector.origin import Origin
from rine.detector.verdict import Verdict


@dataclass(frozen=True)
class Cell:
    """One crop of the map, in pixels of the picture, and its score."""

    left: int
    top: int
    size: int
    logit: float
    probability: float


@dataclass(frozen=True)
class Square:
    """A square that the verdict rests on, in pixels of the picture."""

    left: int
    top: int
    size: int


@dataclass(frozen=True)
class Block:
    """One block of the encoder, by its number in the tower, from 1.

    `weight` is its mean one in the importance estimator; all sum to one.

    `change` is the logit minus the logit with the block's token at its mean over the training pictures: above zero, the
    block speaks for synthetic. None where the model file holds no mean.
    """

    block: int
    weight: float
    change: float | None


@dataclass(frozen=True)
class Change:
    """The verdict after one mild change of the picture."""

    name: str
    verdict: str
    probability: float
    logit: float


@described(frozen=True)
class Explanation:
    """A verdict with its evidence, as `rine explain` writes it and the server answers it.

    `judged` squares made the verdict, those of `map` show what it would have been elsewhere; `same` of the changes left
    the verdict as it was; `origin` says what the evidence is of and how far it goes.
    """

    verdict: Verdict
    width: int
    height: int
    judged: list[Square]
    map: list[Cell]
    blocks: list[Block]
    changes: list[Change]
    origin: Origin

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def same(self) -> int:
        return sum(change.verdict == self.verdict.verdict for change in self.changes)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stability(self) -> str:
        return f"stable in {self.same} of {len(self.changes)}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def headline(self) -> str:
        """The verdict in plain words."""
        looks = {"real": "Looks real", "synthetic": "Looks synthetic", "inconclusive": "Inconclusive"}
        kept = f"kept after {self.same} of {len(self.changes)} mild changes"
        probability = f"probability of being synthetic {self.verdict.probability:.3f}"
        return f"{looks[str(self.verdict.verdict)]}: {probability}; {kept}"

    @property
    def seen(self) -> float:
        """Share of the picture that lies in the squares of the map."""
        shown = np.zeros((self.height, self.width), bool)
        for cell in self.map:
            shown[cell.top : cell.top + cell.size, cell.left : cell.left + cell.size] = True
        return float(shown.mean())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def looked_at(self) -> str:
        """What of the picture was looked at, in plain words."""
        squares = "1 square" if len(self.map) == 1 else f"{len(self.map)} squares"
        rest = "" if self.seen > 0.9999 else "; what is not coloured was not looked at"
        own = "outlined square" if len(self.judged) == 1 else f"{len(self.judged)} outlined squares"
        side = self.map[0].size
        return (
            f"Coloured: {squares} of {side} x {side} pixels, {self.seen:.0%} of the picture{rest}. "
            f"The verdict itself rests on the {own} alone."
        )

    def said(self) -> Iterator[str]:
        """All that a reader has to know who was not there, line by line."""
        verdict, origin = self.verdict, self.origin
        yield f"File: {os.path.basename(verdict.path)}, {self.width} x {self.height} pixels" + (  # noqa: PTH119  a name
            f", SHA-256 {origin.sha256}" if origin.sha256 else ""
        )
        by = f"rine {origin.version}, model {verdict.model} on {origin.encoder}"
        yield f"Judged on {origin.date} by {by}; crop rule {verdict.crops}, logit {verdict.logit:.2f}"
        yield f"The model learnt from: {origin.trained_on}"
        if verdict.provenance:
            yield f"The file itself, which is no part of the verdict: {verdict.provenance.words}"
        remarks = [verdict.remark] if verdict.remark else []
        yield from (f"Caution: {caution}" for caution in [*remarks, *origin.cautions])

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return TypeAdapter(Explanation).dump_python(self)
