"""The data sets of the paper as they are distributed: each a function from a root to a `Listing`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rine.dataset.config import DatasetConfig
from rine.dataset.generators import FAMILY, RELEASED, SYNTHBUSTER_GENERATORS, TITLE
from rine.dataset.listing import (
    DatasetError,
    ListedTestSet,
    Listing,
    Picture,
    TrainingSource,
    filled,
    named,
    pair,
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
    learnt = TrainingSource("progan", FAMILY["progan"], "grid", RELEASED["progan"])
    return Listing("grid", tuple(pictures), tuple(_of_the_paper(g, "grid", g) for g in wanted), (learnt,))


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
    return Listing("grid", tuple(pictures), tuple(_of_the_paper(g, "grid", reals[g]) for g in wanted))


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
    learnt = TrainingSource("latent_diffusion", "diffusion", "ldm", RELEASED["diffusion_datasets/ldm_200"])
    return Listing("ldm", tuple(pictures), training=(learnt,))


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
    return Listing("ldm", tuple(pictures), tuple(_of_the_paper(g, "ldm", "RAISEpng") for g in wanted))


def _wanted(name: str, generators: Iterable[str], only: tuple[str, ...]) -> list[str]:
    """The generators that `only` keeps, all where it is empty."""
    generators = list(generators)
    unknown = sorted(set(only) - set(generators))
    if unknown:
        raise DatasetError(f"data set {name!r}: only = {unknown} is no test set of it; allowed: {generators}")
    return [generator for generator in generators if not only or generator in only]


def _of_the_paper(generator: str, study: str, real: str) -> ListedTestSet:
    return ListedTestSet(generator, FAMILY[generator], study, real, generator, TITLE[generator], RELEASED[generator])
