"""Which views a feature set has, and what is in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rine.caching import views
from rine.caching.views import FEATURE_SETS, Recipe, crops, describe, expand
from rine.pixels import perturbations
from rine.pixels.config import AlignConfig, AugmentationConfig, DegradeConfig, PerturbConfig
from rine.pixels.crops import crops_of
from rine.pixels.degradations import degrade
from rine.pixels.perturbations import align, drawn, draws, perturb
from rine.pixels.transforms import augment, centre_crop, enlarged, rng_for, ten_crop
from rine.values import CropRule

AUGMENTATION = AugmentationConfig(
    mode="paper", views=3, blur_p=0.5, blur_sigma=(0.0, 3.0), jpeg_p=0.5, jpeg_quality=(30, 100), seed=7
)
PERTURB = PerturbConfig(
    mode="paper",
    kinds=("blur", "noise"),
    seed=4,
    degrade=DegradeConfig(pictures=1, strengths={"jpeg": (90.0, 50.0), "blur": (0.5,)}),
)
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)


def recipe(which: str = "test", **changes: object) -> Recipe:
    return Recipe(which, 32, **{"augmentation": AUGMENTATION, "perturb": PERTURB} | changes)


def pictures(*rows: tuple[str, int, str, str], crops: str = "centre") -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["source", "label", "path", "split"])
    table["digest"] = [f"{i:032x}" for i in range(len(table))]
    return table.assign(crops=crops, height=50, width=60)


def test_small_pictures_fill_the_crop_where_they_are_enlarged() -> None:
    bright = np.full((20, 30, 3), 200, dtype=np.uint8)
    views = [("centre", "centre"), ("augment", "1"), ("perturb", "noise"), ("degrade", "jpeg:90")]
    assert (crops(bright, "d", views, recipe())[:, 0] == 0).all()  # black borders, as the paper has them
    assert (crops(bright, "d", views, recipe(small="resize")) > 100).all()
    for image in (bright, IMAGE):
        assert enlarged(image, 32).shape[:2] == ((32, 48) if image is bright else (50, 60))
    assert describe("centre", recipe()) == describe("centre", recipe(small="pad"))  # what is in stores keeps its name
    assert describe("centre", recipe(small="resize"))["small"] == "resize"


def test_rows_are_in_canonical_order_whatever_order_the_index_has() -> None:
    table = pictures(("b", 1, "z", "train"), ("a", 1, "y", "val"), ("a", 0, "x", "train"), ("b", 1, "w", "train"))
    rows = expand(table, recipe("train"))
    assert rows[["path", "family", "view"]].to_numpy().tolist() == [
        *(["x", "augment", str(view)] for view in range(3)),
        ["y", "centre", "centre"],
        *(["w", "augment", str(view)] for view in range(3)),
        *(["z", "augment", str(view)] for view in range(3)),
    ]
    pd.testing.assert_frame_equal(rows, expand(table.iloc[::-1], recipe("train")))


@pytest.mark.parametrize("which", ["test", "synthbuster"])
@pytest.mark.parametrize(
    ("rule", "views"),
    [("centre", ["centre"]), ("resize", ["resize"]), ("ten", [*map(str, range(10))]), ("grid", [*map(str, range(4))])],
)
def test_a_test_picture_has_the_crops_of_its_data_set(which: str, rule: CropRule, views: list[str]) -> None:
    table = pictures(("a", 0, "x", "test"), ("a", 1, "y", "test"), crops=rule)
    rows = expand(table, recipe(which))
    assert rows["view"].tolist() == views * 2
    pairs = list(zip(rows["family"], rows["view"], strict=True))[: len(views)]
    assert (crops(IMAGE, "d", pairs, recipe(which)) == crops_of(IMAGE, rule, 32)).all()


@pytest.mark.parametrize("align", [AlignConfig(None, 100), AlignConfig(None, 20), None])
@pytest.mark.parametrize("small", ["pad", "resize"])
def test_a_grid_has_as_many_crops_as_the_picture_then_has(align: AlignConfig | None, small: str) -> None:
    table = pictures(("a", 0, "x", "test"), crops="grid")
    how = recipe(align=align, small=small)
    rows = expand(table, how)
    seen = IMAGE if align is None else perturbations.align(IMAGE, None, align.size)
    assert len(rows) == len(crops_of(seen, "grid", 32, small))
    assert len(crops(IMAGE, "d", list(zip(rows["family"], rows["view"], strict=True)), how)) == len(rows)


def test_perturbed_rows_are_those_that_are_drawn() -> None:
    table = pictures(*(("a", i % 2, f"{i:03d}", "test") for i in range(40)))
    rows = expand(table, recipe("perturb", perturb=PerturbConfig("paper", PERTURB.kinds, 4, None)))
    pairs = {(row.digest, row.view) for row in rows.itertuples()}
    assert pairs == {(d, kind) for d in table["digest"] for kind in PERTURB.kinds if drawn(kind, 4, d)}


def test_sweeps_are_on_the_same_few_pictures_of_each_source_and_label() -> None:
    table = pictures(*(("a", i % 2, f"{9 - i}", "test") for i in range(10)))
    rows = expand(table, recipe("perturb"))
    swept = rows[rows["family"] == "degrade"]
    assert swept.groupby("digest")["view"].agg(list).to_dict() == {
        f"{i:032x}": ["jpeg:90", "jpeg:50", "blur:0.5"] for i in (0, 1)
    }


def test_an_empty_index_has_no_views() -> None:
    for which in FEATURE_SETS:
        rows = expand(pictures(), recipe(which))
        assert len(rows) == 0
        assert {"family", "view"} <= set(rows.columns)


def test_pixels_are_those_of_the_transforms() -> None:
    made = crops(
        IMAGE,
        "d",
        [("augment", "1"), ("centre", "centre"), ("perturb", "noise"), ("degrade", "jpeg:50")],
        recipe(),
    )
    expected = [
        augment(IMAGE, rng_for(7, "d", 1), AUGMENTATION, 32),
        centre_crop(IMAGE, 32),
        centre_crop(perturb(IMAGE, "noise", "paper", draws("noise", 4, "d")), 32),
        centre_crop(degrade(IMAGE, "jpeg", 50, 4, "d"), 32),
    ]
    np.testing.assert_array_equal(made, np.stack(expected))
    np.testing.assert_array_equal(
        crops(IMAGE, "d", [("ten", "3"), ("ten", "9")], recipe()), ten_crop(IMAGE, 32)[[3, 9]]
    )


def test_views_differ_and_depend_on_seed_and_picture_alone() -> None:
    names = [("augment", str(view)) for view in range(3)]
    whole = crops(IMAGE, "d", names, recipe())
    assert len({view.tobytes() for view in whole}) == 3
    for number, name in enumerate(names):  # alone or with others
        np.testing.assert_array_equal(crops(IMAGE, "d", [name], recipe())[0], whole[number])
    assert not np.array_equal(crops(IMAGE, "e", names, recipe()), whole)


def test_alignment_comes_first() -> None:
    aligned = recipe(align=AlignConfig(jpeg_quality=80, size=40))
    image = align(IMAGE, 80, 40)
    for name in (("centre", "centre"), ("augment", "0"), ("perturb", "blur")):
        np.testing.assert_array_equal(crops(IMAGE, "d", [name], aligned), crops(image, "d", [name], recipe()))


def test_a_description_holds_what_decides_the_pixels_and_no_more() -> None:
    from dataclasses import replace

    plain = recipe()
    assert describe("augment", plain) == describe("augment", recipe(augmentation=replace(AUGMENTATION, views=9)))
    assert describe("augment", plain) != describe("augment", recipe(augmentation=replace(AUGMENTATION, blur_p=0.1)))
    assert describe("augment", plain) != describe("augment", recipe(augmentation=replace(AUGMENTATION, seed=8)))
    assert describe("centre", plain) == describe(
        "centre", recipe(augmentation=replace(AUGMENTATION, seed=8), perturb=None)
    )
    assert describe("perturb", plain) == describe(
        "perturb", recipe(perturb=replace(PERTURB, kinds=("crop",), degrade=None))
    )
    assert describe("perturb", plain) != describe("perturb", recipe(perturb=replace(PERTURB, mode="reference")))
    for family in ("augment", "centre", "ten", "perturb", "degrade"):
        aligned = recipe(align=AlignConfig(jpeg_quality=80, size=None))
        assert describe(family, plain) != describe(family, aligned)
        assert describe(family, plain) != describe(family, replace(plain, size=64))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown perturbation 'sharpen'"):
        crops(IMAGE, "d", [("perturb", "sharpen")], recipe())
    with pytest.raises(ValueError, match="unknown degradation 'sharpen'"):
        crops(IMAGE, "d", [("degrade", "sharpen:1")], recipe())
    assert set(views._PIXELS) | {"ten"} == {"augment", "centre", "resize", "ten", "perturb", "degrade"}
