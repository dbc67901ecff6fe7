"""Data sets to lists of pictures: layouts as they are distributed, and the forms of an entry for all others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from rine.dataset import patterns
from rine.dataset.compact import Pictures
from rine.dataset.config import DatasetConfig, SplitConfig
from rine.dataset.layouts.own import globs, tree
from rine.dataset.layouts.published import dmimagedetection, forensynths, synthbuster, universal_fake_detect
from rine.dataset.layouts.tables import manifest, parquet
from rine.dataset.listing import DatasetError, Listing

# (study, is it a test picture) -> table of the index
TABLES = {
    ("grid", False): "train",
    ("grid", True): "test",
    ("ldm", False): "ldm",
    ("ldm", True): "synthbuster",
}


@dataclass(frozen=True)
class Layout:
    """How a data set lies in its folder: `pictures` lists it, given the root, the data set's name and its section.

    `tables` are those of the index that it fills (`TABLES`); empty where split and study of the section say it.
    """

    name: str
    pictures: Callable[[Path, str, DatasetConfig], Listing]
    tables: tuple[str, ...] = ()


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("forensynths", forensynths, ("train", "test")),
        Layout("universal_fake_detect", universal_fake_detect, ("test",)),
        Layout("dmimagedetection", dmimagedetection, ("ldm",)),
        Layout("synthbuster", synthbuster, ("synthbuster",)),
        Layout("globs", globs),
        Layout("tree", tree),
        Layout("manifest", manifest),
        Layout("parquet", parquet),
    )
}


def tables_of(config: DatasetConfig) -> tuple[str, ...]:
    """The tables of the index that a data set fills, or would fill; no file is looked at."""
    if isinstance(config.split, SplitConfig):
        return TABLES[config.study, False], TABLES[config.study, True]
    return LAYOUTS[config.form].tables or (TABLES[config.study, config.split == "test"],)


def list_all(root: Path, datasets: dict[str, DatasetConfig]) -> dict[str, Listing]:
    """List every data set of a study; a source or a generator that two of them bring is an error."""
    listings = {
        name: _without(root, name, config, LAYOUTS[config.form].pictures(root, name, config))
        for name, config in datasets.items()
    }
    owner: dict[str, str] = {}
    for name, listing in listings.items():
        claims = {kind.source for kind in listing.pictures.kinds} | {t.generator for t in listing.test_sets}
        for claim in sorted(claims):
            if owner.setdefault(claim, name) != name:
                raise DatasetError(f"data sets {owner[claim]!r} and {name!r} both bring a source {claim!r}; rename one")
    of_others = {name: _with_reals(name, config.reals, listings) for name, config in datasets.items() if config.reals}
    return shared_reals(listings | of_others)


def _without(root: Path, name: str, config: DatasetConfig, listing: Listing) -> Listing:
    """A listing without the pictures that an entry excludes; a pattern that excludes none is an error."""
    if not config.exclude:
        return listing
    pictures = listing.pictures
    for pattern in config.exclude:
        matches = patterns.matcher(pattern).fullmatch
        kept = Pictures(picture for picture in pictures if not matches(picture.path))
        if len(kept) == len(pictures):
            raise DatasetError(
                f"data set {name!r}: exclude = {pattern!r} matches none of its pictures under {root}; "
                f"expected a glob of such as {pictures[0].path if pictures else 'its own'}"
            )
        pictures = kept
    there = {(kind.source, kind.label) for kind in pictures.kinds}
    sets = (
        each._replace(
            real=each.real if (each.real, 0) in there else "", fake=each.fake if (each.fake, 1) in there else ""
        )
        for each in listing.test_sets
    )
    return replace(listing, pictures=pictures, test_sets=tuple(each for each in sets if each.real or each.fake))


def _with_reals(name: str, other: str, listings: dict[str, Listing]) -> Listing:
    """Fakes with the reals of another data set: a test set names its source; for training they are its own too."""
    listing = listings[name]
    if other not in listings or other == name:
        choices = [each for each in listings if each != name]
        raise DatasetError(f"data set {name!r}: reals = {other!r} is no other data set; choose from {choices}")
    if (studies := {listing.study, listings[other].study}) != {listing.study}:
        raise DatasetError(
            f"data set {name!r}: reals = {other!r} is of another study ({sorted(studies)}); allowed: one"
        )
    splits = {kind.split for kind in listing.pictures.kinds}
    reals = [kind for kind in listings[other].pictures.kinds if kind.label == 0 and kind.split in splits]
    sources = sorted({kind.source for kind in reals if kind.split == "test"})
    if not reals or len(sources) > 1:
        has = f"real pictures of several sources, {sources}" if reals else f"no real pictures of split {sorted(splits)}"
        raise DatasetError(f"data set {name!r}: reals = {other!r} has {has}; allowed: one source of them")
    category = next((kind.category for kind in listing.pictures.kinds if kind.split != "test"), "")
    own = listings[other].pictures.changed(
        lambda kind: kind._replace(source=name, category=category) if kind in reals and kind.split != "test" else None
    )
    test_sets = tuple(each._replace(real=sources[0]) for each in listing.test_sets)
    return replace(listing, pictures=chain(own, listing.pictures), test_sets=test_sets)


def shared_reals(listings: dict[str, Listing]) -> dict[str, Listing]:
    """Test sets of one study that list the same real files: these are one image set, of the first that brings it."""
    source: dict[tuple[str, str], str] = {}
    merged = {}
    for name, listing in listings.items():
        reals = _told(listing.pictures.changed(lambda kind: None if kind.label else kind).paths)
        [of_set] = listing.test_sets if len(listing.test_sets) == 1 else [None]
        first = source.setdefault((listing.study, reals), of_set.real) if of_set and reals else None
        if of_set and first and first != of_set.real:
            fakes = listing.pictures.changed(lambda kind: kind if kind.label else None)
            listing = replace(listing, pictures=fakes, test_sets=(of_set._replace(real=first),))
        merged[name] = listing
    return merged


def _told(paths: Iterable[str]) -> str:
    """A digest of paths in their order; "" of none."""
    total, empty = hashlib.blake2b(digest_size=16), True
    for path in paths:
        total.update(path.encode("utf-8", "surrogateescape") + b"\0")
        empty = False
    return "" if empty else total.hexdigest()
