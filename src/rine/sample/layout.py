"""Which files the sample has: folder by folder in the layouts in which the real data sets are distributed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SIDE = (256, 256)
# RAISE and Synthbuster are photographs of many sizes; ten crops need room. Multiples of 8, for three doublings
LARGE = (288, 320)

TRAINING_CLASSES = ("car", "cat", "chair", "horse")
# test sets with class folders, and the class folders of each; the others lie flat and show one kind of scene
CLASS_FOLDERS = {
    "progan": TRAINING_CLASSES,
    "cyclegan": ("fruit", "horse"),
    "stylegan": ("bedroom", "car", "cat"),
    "stylegan2": ("car", "cat", "church", "horse"),
}
FLAT = {
    "biggan": "anything",
    "stargan": "face",
    "gaugan": "anything",
    "deepfake": "face",
    "seeingdark": "night",
    "san": "street",
    "crn": "street",
    "imle": "street",
}
DIFFUSION_REAL = {
    "imagenet": ("guided",),
    "laion": ("ldm_200", "ldm_200_cfg", "ldm_100", "glide_100_27", "glide_50_27", "glide_100_10", "dalle"),
}
SYNTHBUSTER = (
    "dalle2",
    "dalle3",
    "firefly",
    "glide",
    "midjourney-v5",
    "stable-diffusion-1-3",
    "stable-diffusion-1-4",
    "stable-diffusion-2",
    "stable-diffusion-xl",
)
LATENT_FOLDERS = ("latent_diffusion_text2img_set0", "latent_diffusion_noise2img_LSUNchurches")


@dataclass(frozen=True)
class Sizes:
    """How many pictures the sample has of each label, per class folder or per set. Zero leaves a set out."""

    train: int = 64  # for each of the four classes
    val: int = 16  # for each of the four classes
    test: int = 16  # for each test set
    latent_train: int = 160
    latent_valid: int = 16
    synthbuster: int = 20  # for each of the nine sets, and of RAISE


@dataclass(frozen=True)
class Item:
    """One file: a picture of a scene by a source's camera, or by the generator that learned from that source."""

    path: str  # relative to the root, with slashes
    source: str
    scene: str
    generator: str = ""  # "" for a photograph
    shape: tuple[int, int] = SIDE  # height, width


def pictures(sizes: Sizes) -> list[Item]:
    """Every picture of the sample, sorted by path."""
    items = [*_forensynths(sizes), *_diffusion(sizes), *_latent(sizes), *_synthbuster(sizes)]
    return sorted(items, key=lambda item: item.path)


def lists(sizes: Sizes) -> dict[str, str]:
    """The text files of the sample: those which name the real pictures of the latent diffusion training set."""
    files = {}
    for split, lsun, coco in _latent_reals(sizes):
        folder = f"latent_diffusion_trainingset/{split}"
        files[f"{folder}/real_lsun.txt"] = "".join(f"{line}\n" for line in lsun)
        files[f"{folder}/real_coco.txt"] = "".join(f"{line}\n" for _, line in coco)
    return files


def _pairs(folder: str, source: str, scenes: str, generator: str, n: int, first: int = 0) -> Iterator[Item]:
    for i in range(first, first + n):
        yield Item(f"{folder}/0_real/{i:05d}.png", source, scenes)
        yield Item(f"{folder}/1_fake/{i:05d}.png", source, scenes, generator)


def _forensynths(sizes: Sizes) -> Iterator[Item]:
    for scene in TRAINING_CLASSES:
        yield from _pairs(f"train/{scene}", "lsun", scene, "progan", sizes.train)
        yield from _pairs(f"val/{scene}", "lsun", scene, "progan", sizes.val)
    for name, folders in CLASS_FOLDERS.items():
        source = "lsun" if name == "progan" else name
        for folder, n in zip(folders, _shares(sizes.test, len(folders)), strict=True):
            yield from _pairs(f"test/{name}/{folder}", source, folder, name, n)
    for name, scene in FLAT.items():
        yield from _pairs(f"test/{name}", name, scene, name, sizes.test)


def _diffusion(sizes: Sizes) -> Iterator[Item]:
    """The one set with a leak: as in the real one, LAION's photographs are JPEG files and the generated ones PNG.

    It is left in on purpose, so that a check of the data sets has something to find. Every other set
    has one format and one size for both labels.
    """
    root = "test/diffusion_datasets"
    for source, names in DIFFUSION_REAL.items():
        suffix = "jpg" if source == "laion" else "png"
        for i in range(sizes.test):
            yield Item(f"{root}/{source}/0_real/{i:05d}.{suffix}", source, "anything")
            for name in names:
                yield Item(f"{root}/{name}/1_fake/{i:05d}.png", source, "anything", f"diffusion_datasets/{name}")


def _latent(sizes: Sizes) -> Iterator[Item]:
    for split, n in (("train", sizes.latent_train), ("valid", sizes.latent_valid)):
        for folder, share in zip(LATENT_FOLDERS, _shares(n, len(LATENT_FOLDERS)), strict=True):
            for i in range(share):
                source, scene = ("coco", "anything") if "text2img" in folder else ("lsun", TRAINING_CLASSES[i % 4])
                path = f"latent_diffusion_trainingset/{split}/{folder}/{i:05d}.png"
                yield Item(path, source, scene, "latent_diffusion")
    for _, _, coco in _latent_reals(sizes):
        for folder, line in coco:
            # the real COCO is JPEG; here as the fakes are, for one format in both labels
            yield Item(f"coco/{folder}/COCO_{folder}_{line}", "coco", "anything")


def _latent_reals(sizes: Sizes) -> Iterator[tuple[str, list[str], list[tuple[str, str]]]]:
    """For each split the lines of real_lsun.txt, and (folder of COCO, line of real_coco.txt).

    Half of the reals are LSUN pictures of the ForenSynths training set, none in both splits; the other half is from
    COCO, most from train2014 and some from val2014, as the lists do not say which.
    """
    lsun = [f"{scene}_{i:05d}.png" for i in range(sizes.train) for scene in TRAINING_CLASSES]
    used = number = 0
    for split, n in (("train", sizes.latent_train), ("valid", sizes.latent_valid)):
        from_lsun = min(n // 2, len(lsun) - used)
        coco = [
            ("val2014" if i % 4 == 3 else "train2014", f"{12 * i + 9:012d}.png")
            for i in range(number, number + n - from_lsun)
        ]
        yield split, lsun[used : used + from_lsun], coco
        used, number = used + from_lsun, number + n - from_lsun


def _synthbuster(sizes: Sizes) -> Iterator[Item]:
    for i in range(sizes.synthbuster):
        yield Item(f"RAISEpng/r{i:05d}.png", "raise", "anything", shape=LARGE)
        for name in SYNTHBUSTER:
            yield Item(f"synthbuster/{name}/{i:05d}.png", "raise", "anything", name, LARGE)


def _shares(n: int, parts: int) -> Sequence[int]:
    """n in whole numbers, as even as can be."""
    return [n // parts + (i < n % parts) for i in range(parts)]
