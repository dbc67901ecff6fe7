"""Every data set of the paper is read as it is distributed, and what is not there is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_folders import (
    Seeds,
    dataset,
    dmimagedetection,
    forensynths,
    save,
    synthbuster,
    universal_fake_detect,
)
from rine.dataset.generators import FAMILY, GRID_GENERATORS, SYNTHBUSTER_GENERATORS
from rine.dataset.layouts import LAYOUTS, list_all
from rine.dataset.layouts.published import WITH_CLASSES
from rine.dataset.listing import DatasetError, Listing


def listed(root: Path, layout: str, **keys: object) -> Listing:
    return LAYOUTS[layout].pictures(root, "its name", dataset(layout=layout, **keys))


def test_forensynths(tmp_path: Path) -> None:
    forensynths(tmp_path, Seeds())
    listing = listed(tmp_path, "forensynths")
    by_place = {(p.split, p.source, p.category, p.label) for p in listing.pictures}
    assert {(s, "progan", c, y) for s in ("train", "val") for c in ("car", "horse") for y in (0, 1)} <= by_place
    for test_set in listing.test_sets:
        categories = {"cat", "dog"} if test_set.generator in WITH_CLASSES else {""}
        assert test_set.real == test_set.fake == test_set.generator
        assert {("test", test_set.fake, c, y) for c in categories for y in (0, 1)} <= by_place
    assert len(listing.pictures) == 2 * 2 * (4 + 4 * 2 + 8)
    for picture in listing.pictures:
        assert (tmp_path / picture.path).is_file()
        assert ("/1_fake/" in picture.path) == (picture.label == 1)
        assert picture.path.startswith(f"{picture.split}/")


def test_universal_fake_detect_shares_its_reals(tmp_path: Path) -> None:
    universal_fake_detect(tmp_path, Seeds())
    listing = listed(tmp_path, "universal_fake_detect")
    reals = {t.generator: t.real for t in listing.test_sets}
    assert reals.pop("diffusion_datasets/guided") == "imagenet"
    assert set(reals.values()) == {"laion"}
    assert len(reals) == 7
    assert sum(p.source == "laion" for p in listing.pictures) == 2, "listed once, whoever shares them"
    assert all((p.source in {"imagenet", "laion"}) == (p.label == 0) for p in listing.pictures)


def test_dmimagedetection(tmp_path: Path) -> None:
    dmimagedetection(tmp_path, Seeds())
    listing = listed(tmp_path, "dmimagedetection")
    assert listing.study == "ldm"
    assert not listing.test_sets
    for number, split in enumerate(("train", "val")):
        rows = [p for p in listing.pictures if p.split == split]
        lsun = {p.path: p.category for p in rows if p.source == "lsun"}
        assert lsun == {
            f"train/horse/0_real/a_{number}.png": "horse",
            f"train/horse/0_real/b_c_{number}.png": "horse",  # split at the first underscore only
        }
        assert {p.path for p in rows if p.source == "coco"} == {
            f"coco/train2014/COCO_train2014_{number}train.jpg",
            f"coco/val2014/COCO_val2014_{number}val.jpg",
        }
        assert {p.category for p in rows if p.source == "latent_diffusion"} == {"lsun_beds", "ffhq"}
        assert all((p.source == "latent_diffusion") == (p.label == 1) for p in rows)


@pytest.mark.parametrize("inside", [False, True])
def test_synthbuster_reads_pictures_only(tmp_path: Path, inside: bool) -> None:
    synthbuster(tmp_path, Seeds())
    if inside:
        shutil.move(tmp_path / "RAISEpng", tmp_path / "synthbuster" / "RAISEpng")
    listing = listed(tmp_path, "synthbuster")
    assert [t.generator for t in listing.test_sets] == list(SYNTHBUSTER_GENERATORS)
    assert {(t.study, t.real) for t in listing.test_sets} == {("ldm", "RAISEpng")}
    assert len(listing.pictures) == 2 * (1 + 9)
    assert all(p.path.endswith(".png") for p in listing.pictures)


def test_together_they_are_the_test_sets_of_the_paper(tmp_path: Path) -> None:
    seeds = Seeds()
    for make in (forensynths, universal_fake_detect, dmimagedetection, synthbuster):
        make(tmp_path, seeds)
    listings = list_all(tmp_path, {layout: dataset(layout=layout) for layout in PUBLISHED})
    test_sets = [t for listing in listings.values() for t in listing.test_sets]
    assert {t.generator for t in test_sets if t.study == "grid"} == set(GRID_GENERATORS)
    assert {t.generator for t in test_sets if t.study == "ldm"} == set(SYNTHBUSTER_GENERATORS)
    assert all(t.family == FAMILY[t.generator] for t in test_sets)


def test_only_keeps_the_named_test_sets(tmp_path: Path) -> None:
    seeds = Seeds()
    forensynths(tmp_path, seeds)
    shutil.rmtree(tmp_path / "test" / "stylegan")
    listing = listed(tmp_path, "forensynths", only=["progan", "san"])
    assert [t.generator for t in listing.test_sets] == ["progan", "san"]
    assert {p.source for p in listing.pictures if p.split == "test"} == {"progan", "san"}
    with pytest.raises(DatasetError, match=r"only = \['midjourney'\] is no test set of it; allowed: \['progan'"):
        listed(tmp_path, "forensynths", only=["midjourney"])


def test_links_are_followed_once_and_the_order_is_that_of_names(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("b.png", "a.JPG", "sub/c.png", ".hidden.png", ".dir/d.png", "notes.txt"):
        if name.endswith(".txt"):
            (elsewhere / name).write_text("no picture")
        else:
            save(elsewhere / name, 1, format="PNG")
    root = tmp_path / "root"
    (root / "mine").mkdir(parents=True)
    (root / "mine" / "real").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "sub" / "up").symlink_to(elsewhere, target_is_directory=True)  # a circle
    save(root / "fake" / "f.png", 2)
    listing = listed(root, "globs", real=["mine/real"], fake=["fake/*"], split="test")
    assert [p.path for p in listing.pictures if p.label == 0] == [
        "mine/real/a.JPG",
        "mine/real/b.png",
        "mine/real/sub/c.png",
    ]


def test_own_data(tmp_path: Path) -> None:
    for path in ("mine/r/x/1.jpg", "mine/r/2.jpg", "mine/r/3.png", "mine/f/4.png"):
        save(tmp_path / path, 1)
    keys = {"real": ["mine/r/**/*.jpg", "mine/r/2.*"], "fake": ["mine/f/*"]}
    test = listed(tmp_path, "globs", **keys, split="test", family="diffusion", study="ldm")
    assert [(p.path, p.label, p.source, p.split) for p in test.pictures] == [
        ("mine/r/2.jpg", 0, "its name", "test"),
        ("mine/r/x/1.jpg", 0, "its name", "test"),
        ("mine/f/4.png", 1, "its name", "test"),
    ]
    assert [tuple(t) for t in test.test_sets] == [("its name", "diffusion", "ldm", "its name", "its name", "", "")]
    train = listed(tmp_path, "globs", **keys, split="train")
    assert not train.test_sets
    assert {p.category for p in train.pictures} == {"its name"}
    named = listed(tmp_path, "globs", **keys, split="train", category="horse")
    assert {p.category for p in named.pictures} == {"horse"}


def test_own_data_may_lie_outside_the_root(tmp_path: Path) -> None:
    save(tmp_path / "away" / "r.png", 1)
    save(tmp_path / "root" / "f.png", 2)
    listing = listed(tmp_path / "root", "globs", real=[str(tmp_path / "away" / "*.png")], fake=["*.png"], split="test")
    assert all((tmp_path / "root" / p.path).is_file() for p in listing.pictures)


PUBLISHED = ("forensynths", "universal_fake_detect", "dmimagedetection", "synthbuster")
BROKEN: list[tuple[str, Callable[[Path, Seeds], None], str, str]] = [
    ("forensynths", forensynths, "train", "class folders"),
    ("forensynths", forensynths, "val", "class folders"),
    ("forensynths", forensynths, "test/stylegan2", "class folders"),
    ("forensynths", forensynths, "test/san", "expected pictures"),
    ("universal_fake_detect", universal_fake_detect, "test/diffusion_datasets/laion", "expected pictures"),
    (
        "universal_fake_detect",
        universal_fake_detect,
        "test/diffusion_datasets/dalle/1_fake",
        "expected pictures",
    ),
    ("dmimagedetection", dmimagedetection, "latent_diffusion_trainingset/valid", "real_lsun.txt"),
    ("dmimagedetection", dmimagedetection, "coco/val2014", "of the 2 pictures that .* 1 are missing"),
    ("synthbuster", synthbuster, "RAISEpng", "expected pictures"),
    ("synthbuster", synthbuster, "synthbuster/firefly", "expected pictures"),
]


@pytest.mark.parametrize(("layout", "make", "gone", "expected"), BROKEN, ids=[f"{b[0]}-{b[2]}" for b in BROKEN])
def test_a_missing_folder_is_named(
    tmp_path: Path, layout: str, make: Callable[[Path, Seeds], None], gone: str, expected: str
) -> None:
    make(tmp_path, Seeds())
    shutil.rmtree(tmp_path / gone)
    with pytest.raises(DatasetError, match=expected) as error:
        listed(tmp_path, layout)
    assert "'its name'" in str(error.value)
    assert gone in str(error.value)


def test_one_label_only_and_an_empty_class_are_named(tmp_path: Path) -> None:
    forensynths(tmp_path, Seeds())
    folder = tmp_path / "train" / "horse" / "1_fake"
    for file in folder.iterdir():
        file.unlink()
    (folder / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError, match=r"train/horse/1_fake is an empty class"):
        listed(tmp_path, "forensynths")
    shutil.rmtree(folder)
    with pytest.raises(DatasetError, match=r"train/horse/1_fake.*only 0_real: one label only"):
        listed(tmp_path, "forensynths")


@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_a_list_of_reals_is_needed(tmp_path: Path, text: str | None) -> None:
    dmimagedetection(tmp_path, Seeds())
    file = tmp_path / "latent_diffusion_trainingset/train/real_coco.txt"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(DatasetError, match=r"real_coco.txt"):
        listed(tmp_path, "dmimagedetection")


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        ("nowhere/*.png", "fake = 'nowhere/.*png' matches nothing"),
        ("text/*", "fake = .* matches no picture"),
        ("real/*", "match real and fake, such as real/r.png"),
    ],
)
def test_globs_that_give_no_class(tmp_path: Path, fake: str, message: str) -> None:
    save(tmp_path / "real" / "r.png", 1)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "t.txt").write_text("no picture")
    with pytest.raises(DatasetError, match=message):
        listed(tmp_path, "globs", real=["real/*.png"], fake=[fake], split="test")


def test_two_data_sets_may_not_bring_the_same_source(tmp_path: Path) -> None:
    universal_fake_detect(tmp_path, Seeds())
    own = dataset(real=["test/*/laion/*/*"], fake=["test/*/dalle/*/*"], split="test")
    with pytest.raises(DatasetError, match=r"'diffusion' and 'laion' both bring a source 'laion'"):
        list_all(tmp_path, {"diffusion": dataset(layout="universal_fake_detect"), "laion": own})
