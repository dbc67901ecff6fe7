"""The section `prepare` of the params file: where the data sets lie, and how each is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from rine.values import STRICT, Count, CropRule, Name, Pixels, Real

Split = Literal["train", "val", "test"]
FORMS = {"parquet": "parquet", "tree": "tree", "manifest": "manifest"}  # key of an entry -> its layout


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


def _as_texts(value: Any) -> Any:
    """Labels of a table may be numbers or true and false there: they are compared by their text."""
    value = _as_list(value)
    return [str(each) for each in value] if isinstance(value, list | tuple) else value


Globs = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Labels = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]


@dataclass(frozen=True, config=STRICT)
class LabelConfig:
    """The column that tells real from synthetic, and its values for each; an empty list stands for all others."""

    column: str
    real: Labels = ()
    fake: Labels = ()

    @model_validator(mode="after")
    def _told_apart(self) -> LabelConfig:
        if not (self.real or self.fake) or set(self.real) & set(self.fake):
            raise ValueError(
                f"label needs real: [values] or fake: [values], none in both; got {self.real}, {self.fake}"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class SplitConfig:
    """The column that says the split of each row, in words of `rine.dataset.layouts.found.SPLITS`."""

    column: str


@dataclass(frozen=True, config=STRICT)
class DigestConfig:
    """The column that holds a digest of each picture's file, as hex, and its kind."""

    column: str
    kind: Literal["md5", "sha1", "sha256", "sha512"]


# YAML reads 2022-08-22 as a date; a month alone, 2022-08, is text
Date = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, date) else value),
                 Field(pattern=r"^(\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?)?$")]  # fmt: skip


@dataclass(frozen=True, config=STRICT)
class DatasetConfig:
    """A data set: one of `rine.dataset.layouts.LAYOUTS`, or of one's own as globs, a tree, a manifest or parquet files.

    All paths are relative to `prepare.root` and may lead into archives: `a.zip!folder/*`.
    """

    layout: Name = "globs"
    real: Globs = ()  # globs; in a tree, values of {label}
    fake: Globs = ()
    reals: Name | None = None  # the data set whose reals these fakes are tested against
    tree: str | None = None  # folders, such as "aigi/test/{generator}/{label}"
    manifest: Globs = ()  # CSV, TSV, JSON or JSON lines
    path: str = "path"  # of a manifest: the column that names a picture
    folder: str | None = None  # of a manifest: what its paths are relative to, if not to where it lies
    parquet: Globs = ()
    image: str = "image"  # of parquet files: the column that holds pictures
    label: Literal["real", "fake"] | LabelConfig | None = None
    digest: DigestConfig | None = None  # of a table: what is trusted to say which picture a row's is
    generator: str | None = None  # of a table: its column; else what the test set is called
    split: Split | SplitConfig | None = None
    study: Literal["grid", "ldm"] = "grid"
    family: Name | dict[str, Name] = "own"  # of all, or by generator
    category: str | None = None  # the class that `settings` names; default: the data set's name
    val_fraction: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    released: Date = ""  # of the generator of a test set
    only: tuple[str, ...] = ()  # generators to keep; all of them where empty
    exclude: Globs = ()  # pictures to leave out
    at_most: Count | None = None  # pictures of each generator and class: the first by digest
    crops: CropRule | None = None  # what of a test picture is judged; default: ten in the study ldm, else the centre

    @model_validator(mode="after")
    def _complete(self) -> DatasetConfig:
        forms = [key for key in FORMS if getattr(self, key)] + (["layout"] if self.layout != "globs" else [])
        if len(forms) > 1:
            raise ValueError(f"a data set has one form; got {' and '.join(forms)}")
        form = forms[0] if forms else "globs"
        problem = {"layout": self._known, "globs": self._globs}.get(form, self._tables)(form)
        if not problem and self.digest and form not in ("manifest", "parquet"):
            problem = "digest belongs to manifest and parquet: it is a column"
        if problem:
            raise ValueError(problem)
        return self

    def _known(self, form: str) -> str:
        if self.real or self.fake or self.reals or self.split:
            return f"layout {self.layout!r} knows its folders: real, fake and split belong to globs"
        return ""

    def _globs(self, form: str) -> str:
        if not (self.real or self.fake) or not isinstance(self.split, str):
            return (
                "a data set of one's own needs split: train | val | test and real: [globs] or fake: [globs], "
                "or one of tree, manifest, parquet"
            )
        if self.label:
            return "label belongs to tree, manifest and parquet; globs are real: [...] and fake: [...]"
        return "" if not (self.real and self.reals) else "real and reals: a data set has reals of its own or another's"

    def _tables(self, form: str) -> str:
        if not self.split:
            return f"{form} needs split: train | val | test{'' if form == 'tree' else ', or split: {column: its name}'}"
        if form == "tree":
            if isinstance(self.split, SplitConfig) or isinstance(self.label, LabelConfig):
                return "a tree has no columns; split is train, val or test, label is real or fake"
            if (self.label is None) != ("{label}" in str(self.tree)):
                return "a tree has {label} in its pattern, or label: real or label: fake"
            if self.label is None and not (self.real or self.fake):
                return "a tree with {label} needs real: or fake: the folders' names"
        elif self.label is None:
            return f"{form} needs label: {{column: its name, real: [values]}}, or label: real or fake"
        return ""

    @property
    def form(self) -> str:
        """The record of `LAYOUTS` that lists it."""
        return next((FORMS[key] for key in FORMS if getattr(self, key)), self.layout)

    @property
    def judged(self) -> CropRule:
        return self.crops or ("ten" if self.study == "ldm" or self.layout == "synthbuster" else "centre")

    @property
    def called(self) -> str | None:
        """What the test set is called; of a table, `generator` is a column."""
        return self.generator if self.form in {"globs", "tree"} else None

    def family_of(self, generator: str) -> str:
        return self.family.get(generator, "own") if isinstance(self.family, Mapping) else self.family


@dataclass(frozen=True, config=STRICT)
class PrepareConfig:
    """The data sets by name; a picture of more than `max_pixels` is left out."""

    root: str
    max_pixels: Pixels
    datasets: dict[Name, DatasetConfig]
