"""What the encoder is shown of a picture: which views a feature set has, and the pixels of each.

A view is named by its family and a name within it. `augment` views "0", "1", … are draws of the training
augmentation; `centre` is the crop of validation and, unless the data set says another rule, of test; `ten` has the ten
crops "0" to "9", `grid` those that lie over the picture, `resize` the whole picture made small; `perturb` views are
called by their kind ("blur") and `degrade` views by name and strength ("jpeg:50"). The pixels of a view
depend on the picture's content and the recipe alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from rine.encoder.facts import remembered
from rine.features.table import pictures as numbers_of_pictures
from rine.features.table import values_of
from rine.params import Params
from rine.pixels.config import AlignConfig, AugmentationConfig, PerturbConfig, Small
from rine.pixels.crops import crops_of, n_crops
from rine.pixels.degradations import degrade
from rine.pixels.perturbations import align, drawn, draws, perturb
from rine.pixels.transforms import augment, centre_crop, enlarged, rng_for, scaled_to
from rine.values import CropRule

_SEVERAL: tuple[CropRule, ...] = ("ten", "grid")  # rules that cut several crops of a picture
# Raised whenever a view's pixels change, so that no store mixes two kinds
PIXELS = 1


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which views a feature set has and what is in them."""

    set: str  # one of FEATURE_SETS
    size: int  # pixels a side
    augmentation: AugmentationConfig
    perturb: PerturbConfig | None = None
    align: AlignConfig | None = None
    small: Small = "pad"  # what is done to pictures under `size`


def recipe(feature_set: str, params: Params, encoder: str) -> Recipe:
    """The recipe of one feature set of a study: crops of the encoder's own size."""
    size, *_ = remembered(params.encoders[encoder])
    cache = params.cache
    return Recipe(feature_set, size, params.augmentation, params.perturb, cache.align, cache.small)


def expand(pictures: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """The rows of a feature set: the index's columns, `family` and `view`, a row for each view, in canonical order.

    Training pictures get every draw of the augmentation, test pictures the crops of their data set's rule, validation
    pictures the centre crop; of a perturbed set only the (picture, kind) pairs that are drawn as perturbed are there,
    and the pictures of the sweeps.
    """
    pictures = pictures.reset_index(drop=True)
    lists = FEATURE_SETS[recipe.set].views(pictures, recipe)  # for each picture its (family, view) pairs
    order = np.argsort(numbers_of_pictures(pictures), kind="stable")
    number: dict[tuple[str, str], int] = {}  # of each pair
    pairs = np.fromiter((number.setdefault(pair, len(number)) for i in order for pair in lists[i]), np.int16)
    order = np.repeat(order, np.fromiter((len(lists[i]) for i in order), np.int64))
    del lists
    whole = len(order) == len(pictures) and bool((order[1:] > order[:-1]).all())  # then there is no second table
    rows = pictures if whole else pictures.iloc[order].reset_index(drop=True)
    for at, column in enumerate(("family", "view")):
        names = pd.Categorical([pair[at] for pair in number])
        rows[column] = pd.Categorical.from_codes(names.codes[pairs], dtype=names.dtype)
    return rows


Pairs = Sequence[tuple[str, str]]


def _augmented(pictures: pd.DataFrame, recipe: Recipe) -> list[Pairs]:
    training = [("augment", str(view)) for view in range(recipe.augmentation.views)]
    others = [("centre", "centre")]
    return [training if learns else others for learns in (pictures["split"] == "train").to_numpy()]


def _cropped(pictures: pd.DataFrame, recipe: Recipe) -> list[Pairs]:
    sides = zip(*(values_of(pictures[column]) for column in ("crops", "height", "width")), strict=True)
    return [_crops_of(rule, _shape((height, width), recipe), recipe.size) for rule, height, width in sides]


@lru_cache(maxsize=4096)  # one list for all pictures of a shape
def _crops_of(rule: CropRule, shape: tuple[int, int], size: int) -> Pairs:
    n = n_crops(shape, rule, size)
    return [(rule, str(crop)) for crop in range(n)] if rule in _SEVERAL else [(rule, rule)]


def _shape(shape: tuple[int, int], recipe: Recipe) -> tuple[int, int]:
    """Height and width of a picture when its crops are cut."""
    if recipe.align is not None and recipe.align.size is not None:
        shape = scaled_to(shape, recipe.align.size)
    return scaled_to(shape, recipe.size) if recipe.small == "resize" and min(shape) < recipe.size else shape


def _perturbed(pictures: pd.DataFrame, recipe: Recipe) -> list[Pairs]:
    config = recipe.perturb
    if config is None:
        return [[]] * len(pictures)
    kinds, sweeps = config.kinds, []
    chosen: set[int] = set()
    if config.degrade is not None:
        # the first by digest: the same pictures whatever else is in the set, and for every strength
        by_digest = pictures[["digest", "source", "label"]].sort_values("digest", kind="stable")
        groups = by_digest.groupby(["source", "label"], observed=True)
        chosen = set(groups.head(config.degrade.pictures).index)
        strengths = config.degrade.strengths.items()
        sweeps = [("degrade", f"{name}:{strength:g}") for name, values in strengths for strength in values]

    @cache
    def pairs(drawn: tuple[str, ...], sweep: bool) -> Pairs:  # one list for all pictures that have the same
        return [("perturb", kind) for kind in drawn] + (sweeps if sweep else [])

    return [
        pairs(tuple(kind for kind in kinds if drawn(kind, config.seed, digest)), i in chosen)
        for i, digest in enumerate(values_of(pictures["digest"]))
    ]


@dataclass(frozen=True)
class FeatureSet:
    """A feature set that stages read: a table of the index, and which views each of its pictures has.

    Of those that are not of `every_encoder`, only the tokens of the encoder that the study goes on with are read.
    """

    pictures: str
    views: Callable[[pd.DataFrame, Recipe], list[Pairs]]
    every_encoder: bool = False


FEATURE_SETS: dict[str, FeatureSet] = {
    "train": FeatureSet("train", _augmented, every_encoder=True),
    "test": FeatureSet("test", _cropped, every_encoder=True),
    "ldm": FeatureSet("ldm", _augmented),
    "synthbuster": FeatureSet("synthbuster", _cropped),
    "perturb": FeatureSet("test", _perturbed),
}


def describe(family: str, recipe: Recipe) -> dict[str, Any]:
    """All that decides the pixels of a family's views but the picture and the view's name, as plain data.

    How many views are drawn or which kinds are asked for is not in it: more of them leave those that there
    are as they are.
    """
    about: dict[str, Any] = {"family": family, "size": recipe.size, "pixels": PIXELS}
    about["align"] = None if recipe.align is None else asdict(recipe.align)
    if recipe.small != "pad":
        about["small"] = recipe.small
    if family == "augment":
        about |= {key: value for key, value in asdict(recipe.augmentation).items() if key != "views"}
    if family in {"perturb", "degrade"}:
        assert recipe.perturb is not None
        about["seed"] = recipe.perturb.seed
    if family == "perturb":
        assert recipe.perturb is not None
        about["mode"] = recipe.perturb.mode
    return about


def crops(image: np.ndarray, digest: str, views: Sequence[tuple[str, str]], recipe: Recipe) -> np.ndarray:
    """The pixels of a picture's (family, view) pairs: uint8 (H, W, 3) to (V, size, size, 3)."""
    if recipe.align is not None:
        image = align(image, recipe.align.jpeg_quality, recipe.align.size)
    image = _large_enough(image, recipe)
    several: dict[str, np.ndarray] = {
        rule: crops_of(image, rule, recipe.size) for rule in _SEVERAL if any(f == rule for f, _ in views)
    }
    pixels = np.empty((len(views), recipe.size, recipe.size, 3), dtype=np.uint8)
    for i, (family, view) in enumerate(views):
        whole = several.get(family)
        pixels[i] = _PIXELS[family](image, digest, view, recipe) if whole is None else whole[int(view)]
    return pixels


def _large_enough(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The picture itself, whose crop is padded where it is small, unless the recipe has it enlarged."""
    return enlarged(image, recipe.size) if recipe.small == "resize" else image


def _augment(image: np.ndarray, digest: str, view: str, recipe: Recipe) -> np.ndarray:
    return augment(image, rng_for(recipe.augmentation.seed, digest, view), recipe.augmentation, recipe.size)


def _centre(image: np.ndarray, digest: str, view: str, recipe: Recipe) -> np.ndarray:
    return centre_crop(_large_enough(image, recipe), recipe.size)


def _resize(image: np.ndarray, digest: str, view: str, recipe: Recipe) -> np.ndarray:
    return crops_of(image, "resize", recipe.size)[0]


def _perturb(image: np.ndarray, digest: str, view: str, recipe: Recipe) -> np.ndarray:
    assert recipe.perturb is not None
    rng = draws(view, recipe.perturb.seed, digest)
    return _centre(perturb(image, view, recipe.perturb.mode, rng), digest, view, recipe)


def _degrade(image: np.ndarray, digest: str, view: str, recipe: Recipe) -> np.ndarray:
    assert recipe.perturb is not None
    name, _, strength = view.rpartition(":")
    return _centre(degrade(image, name, float(strength), recipe.perturb.seed, digest), digest, view, recipe)


_PIXELS: dict[str, Callable[[np.ndarray, str, str, Recipe], np.ndarray]] = {
    "augment": _augment,
    "centre": _centre,
    "resize": _resize,
    "perturb": _perturb,
    "degrade": _degrade,
}
