"""The section `detectors` of the params file: other methods, each scored on the study's pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from rine.values import STRICT, Count, Integer, Name, Positive, Real

KINDS = ("onnx", "python", "command", "scores", "model", "baseline")
_OF_ONNX = ("size", "fit", "mean", "std", "layout", "output", "column")  # keys that no other kind has


@dataclass(frozen=True, config=STRICT)
class DetectorConfig:
    """A method of one of `KINDS`, and what its scores are; a higher score is always more synthetic.

    How a graph is fed: what is None is read from it, or refused where it does not tell.
    """

    onnx: str | None = None  # a file
    python: Annotated[str, Field(pattern=r"^\w+(\.\w+)*:\w+$")] | None = None  # "package.module:function"
    command: Annotated[str, Field(min_length=1)] | None = None  # paths on its standard input, CSV on its output
    scores: str | None = None  # a CSV file: path or digest, score
    model: str | None = None  # a model file, such as `rine import` writes

    baseline: Literal["spectrum"] | None = None  # trained on the study's training pictures

    gives: Literal["logit", "probability", "unbounded"] | None = None  # needed, but for a model file and a baseline
    perturbed: bool = True  # whether it is asked about perturbed and degraded pictures too
    batch: Count = 16  # pictures that it is given at once
    seconds: Positive = 20.0  # that a picture may take
    start_seconds: Positive = 300.0  # that it may take to start

    size: Count | None = None  # pixels a side
    fit: Literal["crop", "resize"] | None = None  # the crops that the study's heads see; the whole picture squashed
    mean: tuple[Real, Real, Real] | None = None  # of red, green and blue in 0..1, for a graph that takes floats
    std: tuple[Positive, Positive, Positive] | None = None
    layout: Literal["NCHW", "NHWC"] | None = None
    output: str | None = None  # its name, where the graph has several
    column: Annotated[Integer, Field(ge=0)] | None = None  # of an output (batch, classes): the synthetic class

    @model_validator(mode="after")
    def _one_kind(self) -> DetectorConfig:
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a detector is one of {', '.join(KINDS)}; got {' and '.join(kinds) or 'none of them'}")
        ours = self.model is not None or self.baseline is not None
        if self.gives is None and not ours:
            raise ValueError("gives: missing; say what its scores are: logit, probability or unbounded")
        if ours and self.gives not in {None, "logit"}:
            raise ValueError(f"gives = {self.gives!r}: a model file and a baseline give logits")
        if self.onnx is None and (others := [name for name in _OF_ONNX if getattr(self, name) is not None]):
            raise ValueError(f"{', '.join(others)}: for onnx alone; this detector is a {kinds[0]}")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def target(self) -> str:
        """What the kind's own key says: a file, a function, a command."""
        return getattr(self, self.kind)


Detectors = Annotated[dict[Name, DetectorConfig], Field(min_length=1)]
