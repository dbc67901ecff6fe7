"""Pictures that were found, with what is known of each, to a `Listing`: sources and test sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rine.dataset import told
from rine.dataset.compact import Pictures
from rine.dataset.config import DatasetConfig, LabelConfig
from rine.dataset.listing import DatasetError, ListedTestSet, Listing, Picture, TrainingSource

# the words by which lists and folders say a split
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


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
    said = told.Told() if config.digest else None
    listed = Pictures(found if said is None else _without_told(found, said))
    kinds = _kept(name, config, listed.kinds)
    with_fakes = {kind.generator for kind in kinds if kind.label == 1}

    def source(label: int, generator: str) -> str:
        return f"{name}/{generator}" if generator and (label == 1 or generator in with_fakes) else name

    def picture(kind: Found) -> Picture | None:
        if kind not in kinds:
            return None
        given = kind.category if kind.category is not None else config.category
        category = given if given is not None else "" if kind.split == "test" else name
        return Picture("", kind.label, source(kind.label, "" if alone else kind.generator), category, kind.split)

    tested = {(kind.label, kind.generator) for kind in kinds if kind.split == "test"}
    alone = bool(tested) and not any(label for label, _ in tested)  # reals without fakes are one test set
    shared = name if any(label == 0 and generator not in with_fakes for label, generator in tested) else ""

    def test_set(called: str, family: str, real: str, fake: str) -> ListedTestSet:
        return ListedTestSet(called, family, config.study, real, fake, released=config.released)

    test_sets = []
    for generator in sorted({generator for label, generator in tested if label == 1}):
        called = f"{name}/{generator}" if generator else config.called or name
        real = source(0, generator) if (0, generator) in tested else shared
        test_sets.append(test_set(called, config.family_of(generator or called), real, source(1, generator)))
    if alone:
        test_sets = [test_set(config.called or name, config.family_of(name), name, "")]
    learnt = sorted({"" if alone else kind.generator for kind in kinds if kind.label == 1 and kind.split != "test"})
    training = (
        TrainingSource(source(1, each), config.family_of(each or name), config.study, config.released)
        for each in learnt
    )
    return Listing(config.study, listed.changed(picture), tuple(test_sets), tuple(training), said or {})


def _without_told(found: Iterable[Found], said: told.Told) -> Iterator[Found]:
    """Put what is told of each picture into `said`: with it, each would be a kind of its own."""
    for row in found:
        said.add(row.path, row.told)
        yield row._replace(told="")


def _kept(name: str, config: DatasetConfig, kinds: list[Found]) -> list[Found]:
    """The kinds of the generators that `only` names, and reals that are no generator's."""
    there = sorted({kind.generator for kind in kinds if kind.generator})
    if unknown := sorted(set(config.only) - set(there)):
        raise DatasetError(f"data set {name!r}: only = {unknown} is no generator of it; allowed: {there}")
    if not config.only:
        return kinds
    with_fakes = {kind.generator for kind in kinds if kind.label == 1}
    return [
        kind
        for kind in kinds
        if kind.generator in config.only or (kind.label == 0 and kind.generator not in with_fakes)
    ]


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
