"""Pictures that were found, with what is known of each, to a `Listing`: sources and test sets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from rine.dataset import told
from rine.dataset.config import DatasetConfig, LabelConfig
from rine.dataset.listing import DatasetError, ListedTestSet, Listing, Picture, Pictures, TrainingSource

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class Found(NamedTuple):
    path: str  # an address
    label: int
    split: str
    generator: str = ""  # as the data say it
    category: str | None = None
    told: str = ""  # see `rine.dataset.told`


def listing_of(name: str, config: DatasetConfig, found: Iterable[Found]) -> Listing:
    """A source, and a test set, for each generator; where none is named, one for all.

    Reals that are found with a generator's fakes are that generator's own; all others are one source, which the
    generators without reals of their own share.
    """
    rows = _kept(name, config, list(found))
    with_fakes = {row.generator for row in rows if row.label == 1}

    def source(label: int, generator: str) -> str:
        return f"{name}/{generator}" if generator and (label == 1 or generator in with_fakes) else name

    def picture(row: Found) -> Picture:
        given = row.category if row.category is not None else config.category
        category = given if given is not None else "" if row.split == "test" else name
        return Picture(row.path, row.label, source(row.label, row.generator), category, row.split)

    tested = {(row.label, row.generator) for row in rows if row.split == "test"}
    shared = name if any(label == 0 and generator not in with_fakes for label, generator in tested) else ""

    def test_set(called: str, family: str, real: str, fake: str) -> ListedTestSet:
        return ListedTestSet(called, family, config.study, real, fake, released=config.released)

    test_sets = []
    for generator in sorted({generator for label, generator in tested if label == 1}):
        called = f"{name}/{generator}" if generator else config.called or name
        real = source(0, generator) if (0, generator) in tested else shared
        test_sets.append(test_set(called, config.family_of(generator or called), real, source(1, generator)))
    if not test_sets and tested:  # reals alone
        test_sets = [test_set(config.called or name, config.family_of(name), name, "")]
        rows = [row._replace(generator="") for row in rows]
    learnt = sorted({row.generator for row in rows if row.label == 1 and row.split != "test"})
    training = (
        TrainingSource(source(1, each), config.family_of(each or name), config.study, config.released)
        for each in learnt
    )
    said = {row.path: row.told for row in rows if row.told}
    return Listing(config.study, Pictures(map(picture, rows)), tuple(test_sets), tuple(training), said)


def _kept(name: str, config: DatasetConfig, rows: list[Found]) -> list[Found]:
    """The rows of the generators that `only` names, and reals that are no generator's."""
    there = sorted({row.generator for row in rows if row.generator})
    if unknown := sorted(set(config.only) - set(there)):
        raise DatasetError(f"data set {name!r}: only = {unknown} is no generator of it; allowed: {there}")
    if not config.only:
        return rows
    with_fakes = {row.generator for row in rows if row.label == 1}
    return [row for row in rows if row.generator in config.only or (row.label == 0 and row.generator not in with_fakes)]


def label_of(name: str, config: DatasetConfig, value: object, where: str) -> int:
    """0 or 1 for a value of the label's column; raises `DatasetError` for one that is neither."""
    if not isinstance(config.label, LabelConfig):
        return int(config.label == "fake")
    rule, text = config.label, "" if value is None else str(value)
    for label, (given, other) in enumerate(((rule.real, rule.fake), (rule.fake, rule.real))):
        if text in given or (not given and text and text not in other):
            return label
    allowed = f"real: {list(rule.real) or 'all others'}, fake: {list(rule.fake) or 'all others'}"
    raise DatasetError(f"data set {name!r}: {where}: {rule.column} is {text or 'empty'!r}; allowed: {allowed}")


def split_of(name: str, config: DatasetConfig, value: object, where: str) -> str:
    """The split that an entry or a row's column says; raises `DatasetError` for another word."""
    if isinstance(config.split, str):
        return config.split
    if (split := SPLITS.get(str(value).lower())) is None:
        raise DatasetError(f"data set {name!r}: {where}: split is {str(value)!r}; allowed: {', '.join(SPLITS)}")
    return split


def told_of(name: str, config: DatasetConfig, value: object, where: str) -> str:
    """The digest that a row's column says; raises `DatasetError` for what is none."""
    if config.digest is None:
        return ""
    digest, n = str("" if value is None else value).strip().lower(), told.length(config.digest.kind)
    if not re.fullmatch(f"[0-9a-f]{{{n}}}", digest):
        raise DatasetError(
            f"data set {name!r}: {where}: {config.digest.column} is {digest!r}; "
            f"allowed: the {n} hex digits of a {config.digest.kind}"
        )
    return told.told(config.digest.kind, digest, where)


def columns_of(config: DatasetConfig) -> dict[str, str]:
    """Columns of a table that an entry names, by the key that names them."""
    named = {"generator": config.generator}
    named |= {key: getattr(getattr(config, key), "column", None) for key in ("label", "split", "digest")}
    return {key: column for key, column in named.items() if column}
