"""Data sets as they are distributed, and globs for one's own: each a function from a root to a `Listing`."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rine.dataset.config import DatasetConfig
from rine.dataset.generators import FAMILY, SYNTHBUSTER_GENERATORS
from rine.dataset.labelled import labelled
from rine.dataset.listing import (
    SUFFIXES,
    DatasetError,
    Listing,
    Picture,
    TestSet,
    filled,
    is_picture,
    named,
    pair,
    pictures_in,
    subfolders,
)

# ForenSynths' test generators whose pictures lie in class folders, and those without
WITH_CLASSES = ("progan", "cyclegan", "stylegan", "stylegan2")
WITHOUT_CLASSES = ("biggan", "stargan", "gaugan", "deepfake", "seeingdark", "san", "crn", "imle")
# the real set of each diffusion generator of UniversalFakeDetect
DIFFUSION_REALS = {
    "guided": "imagenet",
    "ldm_200": "laion",
    "ldm_200_cfg": "laion",
    "ldm_100": "laion",
    "glide_100_27": "laion",
    "glide_50_27": "laion",
    "glide_100_10": "laion",
    "dalle": "laion",
}
# (study, is it a test picture) -> table of the index
TABLES = {
    ("grid", False): "train",
    ("grid", True): "test",
    ("ldm", False): "ldm",
    ("ldm", True): "synthbuster",
}
PAIRS = "class folders that hold 0_real and 1_fake"


def forensynths(root: Path, name: str, config: DatasetConfig) -> Listing:
    """ForenSynths (Wang et al., CVPR 2020): `train/<class>`, `val/<class>`, `test/<generator>[/<class>]`."""
    pictures: list[Picture] = []
    for split in ("train", "val"):
        for category in subfolders(root, name, split, PAIRS):
            pictures += pair(root, name, f"{split}/{category}", "progan", category, split)
    wanted = _wanted(name, (*WITH_CLASSES, *WITHOUT_CLASSES), config.only)
    for generator in wanted:
        folder = f"test/{generator}"
        if generator in WITH_CLASSES:
            for category in subfolders(root, name, folder, PAIRS):
                pictures += pair(root, name, f"{folder}/{category}", generator, category, "test")
        else:
            pictures += pair(root, name, folder, generator, "", "test")
    return Listing("grid", tuple(pictures), tuple(TestSet(g, FAMILY[g], "grid", g, g) for g in wanted))


def universal_fake_detect(root: Path, name: str, config: DatasetConfig) -> Listing:
    """The diffusion sets of UniversalFakeDetect (Ojha et al., CVPR 2023): two real sets, eight generators."""
    reals = {f"diffusion_datasets/{short}": real for short, real in DIFFUSION_REALS.items()}
    wanted = _wanted(name, reals, config.only)
    pictures = [
        Picture(path, 0, real, "", "test")
        for real in sorted({reals[generator] for generator in wanted})
        for path in filled(root, name, f"test/diffusion_datasets/{real}/0_real")
    ]
    pictures += [
        Picture(path, 1, generator, "", "test")
        for generator in wanted
        for path in filled(root, name, f"test/{generator}/1_fake")
    ]
    return Listing("grid", tuple(pictures), tuple(TestSet(g, FAMILY[g], "grid", reals[g], g) for g in wanted))


def dmimagedetection(root: Path, name: str, config: DatasetConfig) -> Listing:
    """The latent diffusion training set of DMimageDetection (Corvi et al., ICASSP 2023).

    Fakes lie in `latent_diffusion_trainingset/{train,valid}/<folder>/`. Two lists beside them name the reals:
    `real_lsun.txt` points into ForenSynths' training reals, `real_coco.txt` into MSCOCO 2014.
    """
    if config.only:
        _wanted(name, (), config.only)
    pictures: list[Picture] = []
    for folder, split in (("train", "train"), ("valid", "val")):
        base = f"latent_diffusion_trainingset/{folder}"
        for category in subfolders(root, name, base, "folders of fakes, real_lsun.txt and real_coco.txt"):
            fakes = filled(root, name, f"{base}/{category}")
            pictures += [Picture(path, 1, "latent_diffusion", category, split) for path in fakes]
        for real, place in (("lsun", _lsun), ("coco", _coco)):
            reals = named(root, name, f"{base}/real_{real}.txt", place)
            pictures += [Picture(path, 0, real, category, split) for path, category in reals]
    return Listing("ldm", tuple(pictures))


def _lsun(line: str) -> tuple[list[str], str]:
    """`class_file`: the file's own name may hold underscores too."""
    category, _, file = line.partition("_")
    return [f"train/{category}/0_real/{file}"], category


def _coco(line: str) -> tuple[list[str], str]:
    return [f"coco/{part}2014/COCO_{part}2014_{line}" for part in ("train", "val")], ""


def synthbuster(root: Path, name: str, config: DatasetConfig) -> Listing:
    """Synthbuster (Bammey, OJSP 2023): nine generators against one real set, RAISE as PNG."""
    # the reference keeps RAISEpng beside synthbuster/; inside it will do
    beside, inside = "RAISEpng", "synthbuster/RAISEpng"
    reals = inside if (root / inside).is_dir() and not (root / beside).is_dir() else beside
    wanted = _wanted(name, SYNTHBUSTER_GENERATORS, config.only)
    pictures = [Picture(path, 0, "RAISEpng", "", "test") for path in filled(root, name, reals)]
    pictures += [
        Picture(path, 1, generator, "", "test")
        for generator in wanted
        for path in filled(root, name, f"synthbuster/{generator}")
    ]
    return Listing("ldm", tuple(pictures), tuple(TestSet(g, FAMILY[g], "ldm", "RAISEpng", g) for g in wanted))


def globs(root: Path, name: str, config: DatasetConfig) -> Listing:
    """A data set of one's own: globs or folders for real and fake, or a CSV; `split: test` makes a test set of it."""
    split = str(config.split)
    if config.table:
        real, fake = labelled(root, name, config.table)
    else:
        real, fake = (_globbed(root, name, key, getattr(config, key)) for key in ("real", "fake"))
    both = sorted(set(real) & set(fake))
    if both:
        raise DatasetError(f"data set {name!r}: {len(both)} pictures match real and fake, such as {both[0]}")
    category = config.category or ("" if split == "test" else name)
    pictures = [
        Picture(path, label, name, category, split) for label, paths in enumerate((real, fake)) for path in paths
    ]
    test_sets = (TestSet(name, config.family, config.study, name, name),) if split == "test" else ()
    return Listing(config.study, tuple(pictures), test_sets)


def _globbed(root: Path, name: str, key: str, patterns: tuple[str, ...]) -> list[str]:
    """Pictures that any of the patterns matches, sorted; a pattern that matches nothing is an error."""
    paths: set[str] = set()
    for pattern in patterns:
        # not Path.glob: it refuses absolute patterns, and before Python 3.13 `**` does not follow links
        matches = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
        for match in map(Path, matches):
            if (root / match).is_dir():  # a pattern that ends at a folder means everything in it
                paths.update(pictures_in(root, match.as_posix()))
            elif is_picture(match.name):
                paths.add(match.as_posix())
        if not matches:
            raise DatasetError(
                f"data set {name!r}: {key} = {pattern!r} matches nothing under {root}; "
                f"expected a folder or a glob relative to it, such as 'mine/{key}/**/*.jpg'"
            )
    if not paths:
        raise DatasetError(
            f"data set {name!r}: {key} = {list(patterns)} matches no picture under {root}; "
            f"expected files that end in {', '.join(SUFFIXES)}"
        )
    return sorted(paths)


def _wanted(name: str, generators: Iterable[str], only: tuple[str, ...]) -> list[str]:
    """The generators that `only` keeps, all where it is empty."""
    generators = list(generators)
    unknown = sorted(set(only) - set(generators))
    if unknown:
        raise DatasetError(f"data set {name!r}: only = {unknown} is no test set of it; allowed: {generators}")
    return [generator for generator in generators if not only or generator in only]


@dataclass(frozen=True)
class Layout:
    """How a data set lies in its folder: `pictures` lists it, given the root, the data set's name and its section.

    `tables` are those of the index that it fills (`TABLES`); empty where split and study of the section say it.
    """

    name: str
    pictures: Callable[[Path, str, DatasetConfig], Listing]
    tables: tuple[str, ...]


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("forensynths", forensynths, ("train", "test")),
        Layout("universal_fake_detect", universal_fake_detect, ("test",)),
        Layout("dmimagedetection", dmimagedetection, ("ldm",)),
        Layout("synthbuster", synthbuster, ("synthbuster",)),
        Layout("globs", globs, ()),
    )
}


def tables_of(config: DatasetConfig) -> tuple[str, ...]:
    """The tables of the index that a data set fills, or would fill; no file is looked at."""
    return LAYOUTS[config.layout].tables or (TABLES[config.study, config.split == "test"],)


def list_all(root: Path, datasets: dict[str, DatasetConfig]) -> dict[str, Listing]:
    """List every data set of a study; a source or a generator that two of them bring is an error."""
    listings = {name: LAYOUTS[config.layout].pictures(root, name, config) for name, config in datasets.items()}
    owner: dict[str, str] = {}
    for name, listing in listings.items():
        claims = {picture.source for picture in listing.pictures} | {t.generator for t in listing.test_sets}
        for claim in sorted(claims):
            if owner.setdefault(claim, name) != name:
                raise DatasetError(f"data sets {owner[claim]!r} and {name!r} both bring a source {claim!r}; rename one")
    return shared_reals(listings)


def shared_reals(listings: dict[str, Listing]) -> dict[str, Listing]:
    """Test sets of one study that list the same real files: these are one image set, of the first that brings it."""
    source: dict[tuple[str, tuple[str, ...]], str] = {}
    merged = {}
    for name, listing in listings.items():
        reals = tuple(picture.path for picture in listing.pictures if picture.label == 0)
        [of_set] = listing.test_sets if len(listing.test_sets) == 1 else [None]
        first = source.setdefault((listing.study, reals), of_set.real) if of_set and reals else None
        if of_set and first and first != of_set.real:
            fakes = tuple(picture for picture in listing.pictures if picture.label == 1)
            listing = Listing(listing.study, fakes, (of_set._replace(real=first),))
        merged[name] = listing
    return merged
