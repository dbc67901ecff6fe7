"""The section `prepare` of the params file: where the data sets lie, and how each is laid out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from rine.values import STRICT, Count, Name, Real


@dataclass(frozen=True, config=STRICT)
class DatasetConfig:
    """A data set in one of `rine.dataset.layouts.LAYOUTS`, or globs of one's own (relative to `prepare.root`)."""

    layout: Name = "globs"
    real: tuple[str, ...] = ()
    fake: tuple[str, ...] = ()
    table: str | None = None  # in place of globs: a CSV of `rine predict` with truths filled in
    split: Literal["train", "val", "test"] | None = None
    study: Literal["grid", "ldm"] = "grid"
    family: Name = "own"
    category: Name | None = None  # the class that `settings` names; default: the data set's name
    val_fraction: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    only: tuple[str, ...] = ()  # test generators of a known layout to keep; all of them where empty

    @model_validator(mode="after")
    def _complete(self) -> DatasetConfig:
        globs = bool(self.real and self.fake)
        if self.layout == "globs" and not (self.split and (globs or self.table)):
            raise ValueError(
                "a data set of one's own needs real: [globs], fake: [globs] and split: train | val | test "
                "(or table: a CSV with truths, and split)"
            )
        if self.table and (self.real or self.fake):
            raise ValueError("table names the pictures of both kinds: without real and fake")
        if self.layout != "globs" and (self.real or self.fake or self.split or self.table):
            raise ValueError(f"layout {self.layout!r} knows its folders: real, fake and split belong to globs")
        return self


@dataclass(frozen=True, config=STRICT)
class PrepareConfig:
    """The data sets by name; a picture of more than `max_pixels` is left out."""

    root: str
    max_pixels: Count
    datasets: dict[Name, DatasetConfig]
