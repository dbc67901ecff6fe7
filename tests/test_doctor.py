"""Copies are found, also those that only look alike; so are files that give their class away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dataset_folders import Seeds, config, save
from rine.dataset import duplicates, facts, index, shortcuts
from rine.dataset.config import PrepareConfig
from rine.dataset.doctor import Diagnosis, examine
from rine.dataset.findings import NAMED
from rine.pixels.config import AlignConfig


def diagnose(study: PrepareConfig, align: AlignConfig | None = None) -> Diagnosis:
    return examine(index.build(study), align)


def warnings(diagnosis: Diagnosis) -> list[str]:
    table = diagnosis.findings
    return list(table.loc[table["severity"] == "warning", "finding"])


def own(folder: str, split: str, **keys: object) -> dict[str, object]:
    return {"real": [f"{folder}/real"], "fake": [f"{folder}/fake"], "split": split, **keys}


# --- near copies ---


def test_near_pairs_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (60, 128), dtype=np.uint8)
    planted = bits[:40].copy()
    for row, n in enumerate(rng.integers(1, 2 * duplicates.NEAR_BITS, 40)):
        planted[row, rng.choice(128, n, replace=False)] ^= 1
    bits = np.concatenate([bits, planted])
    distance = (bits[:, None] != bits[None]).sum(axis=2)
    a, b = np.nonzero(np.triu(distance <= duplicates.NEAR_BITS, 1))
    found = {tuple(sorted(p)) for batch in duplicates.near_pairs(np.packbits(bits, axis=1)) for p in batch.tolist()}
    assert len(a) > 10
    assert found == set(zip(a.tolist(), b.tolist(), strict=True))


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def test_the_hash_outlives_coding_and_scaling_and_tells_pictures_apart(tmp_path: Path) -> None:
    images = [Image.open(save(tmp_path / f"{seed}.png", seed, size=(160, 120))) for seed in range(20)]
    for image in images:
        small = image.resize((80, 60), Image.Resampling.LANCZOS)
        small.save(tmp_path / "again.jpg", quality=70)
        again = Image.open(tmp_path / "again.jpg")
        assert distance(facts.dhash(image), facts.dhash(again)) <= duplicates.NEAR_BITS
    hashes = [facts.dhash(image) for image in images]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 2 * duplicates.NEAR_BITS
    assert facts.dhash(Image.new("RGB", (50, 50), "grey")) == "", "flat pictures are all alike"


def row(path: str, digest: str, split: str = "train", study: str = "grid", label: int = 0, dhash: str = "") -> dict:
    return {
        **{"path": path, "label": label, "source": "s", "split": split, "study": study},
        **{"digest": digest, "dhash": dhash},
    }


@pytest.mark.parametrize(
    ("one", "other", "across"),
    [
        (("train", "grid"), ("test", "grid"), True),
        (("val", "ldm"), ("test", "grid"), True),  # the LDM models are tested on them too
        (("train", "grid"), ("val", "grid"), True),
        (("train", "grid"), ("val", "ldm"), False),  # two studies share their training reals
        (("train", "grid"), ("train", "grid"), False),
        (("test", "grid"), ("test", "ldm"), False),
    ],
)
def test_which_splits_must_not_meet(one: tuple[str, str], other: tuple[str, str], across: bool) -> None:
    table = pd.DataFrame([row("a", "x", *one), row("b", "x", *other), row("c", "y", *one)])
    found = duplicates.find(table)
    assert list(found["path"]) == ["a", "b"]
    assert set(found["across"]) == {across}
    assert set(found["kind"]) == {"exact"}


def test_one_file_in_two_places_is_a_copy_only_where_they_must_not_meet() -> None:
    shared = pd.DataFrame([row("a", "x", "train", "grid"), row("a", "x", "train", "ldm")])
    assert duplicates.find(shared).empty
    leak = pd.DataFrame([row("a", "x", "train"), row("a", "x", "test")])
    assert list(duplicates.find(leak)["across"]) == [True, True]


def test_exact_copies_are_no_near_ones_and_nearness_is_chained() -> None:
    zero, few, more = (f"{(1 << n) - 1:032x}" for n in (0, 5, 10))
    table = pd.DataFrame(
        [
            *(row(path, "x", dhash="f" * 32) for path in ("a", "b")),
            *(row(path, path, dhash=h) for path, h in (("c", zero), ("d", more), ("e", few))),
            row("f", "f", dhash="0f" * 16),
        ]
    )
    found = duplicates.find(table)
    assert list(found.loc[found["kind"] == "exact", "path"]) == ["a", "b"]
    assert list(found.loc[found["kind"] == "near", "path"]) == ["c", "d", "e"]
    assert found.groupby("kind")["group"].nunique().to_dict() == {"exact": 1, "near": 1}
    shuffled = duplicates.find(table.sample(frac=1, random_state=0))
    assert shuffled.to_dict("records") == found.to_dict("records")


def test_a_copy_in_train_and_test_is_named(tmp_path: Path) -> None:
    seeds = Seeds()
    for folder in ("train", "test"):
        seeds.folder(tmp_path / folder / "real", 3)
        seeds.folder(tmp_path / folder / "fake", 3)
    save(tmp_path / "test/real/copy.png", 1)  # the seed of train/real/000.png
    save(tmp_path / "test/fake/near.jpg", 4)  # of train/fake/000.png
    save(tmp_path / "test/fake/torn.png", 7)  # of test/real/000.png
    diagnosis = diagnose(config(tmp_path, mine=own("train", "train"), other=own("test", "test")))
    texts = "\n".join(warnings(diagnosis))
    assert "test/real/copy.png (test) and train/real/000.png (train) are the same file" in texts
    assert "test/fake/near.jpg (test) and train/fake/000.png (train) are nearly the same picture" in texts
    assert "test/real/000.png (real) and test/fake/torn.png (fake) are the same file" in texts
    files = diagnosis.files.set_index(["set", "label"])
    assert files.loc[("train", 0), ["exact", "exact_across", "near_across"]].tolist() == [1, 1, 0]
    assert files.loc[("other", 1), ["exact", "exact_across", "near_across"]].tolist() == [1, 0, 1]


def test_many_copies_are_summed_up(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        seeds = Seeds()
        seeds.folder(tmp_path / folder / "real", NAMED)
        seeds.folder(tmp_path / folder / "fake", NAMED)
    diagnosis = diagnose(config(tmp_path, mine=own("train", "train"), other=own("test", "test")))
    texts = [text for text in warnings(diagnosis) if "same file" in text or "copies" in text]
    assert len(texts) == NAMED + 1
    assert texts[-1] == f"{NAMED} more groups of copies across splits; see artifacts/index/duplicates.csv"


# --- the table of files ---


def test_files_are_described_by_class(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    for i, (width, quality) in enumerate([(30, 60), (40, 70), (80, 95)]):
        with_exif = {"exif": exif} if i else {}
        save(tmp_path / f"real/{i}.jpg", i, size=(width, 20), quality=quality, **with_exif)
    save(tmp_path / "real/3.png", 3, size=(60, 20), mode="L")
    save(tmp_path / "fake/4.png", 4)
    diagnosis = diagnose(config(tmp_path, mine=own(".", "test")))
    real, fake = diagnosis.files.to_dict("records")
    assert (real["set"], real["label"], real["pictures"]) == ("mine", 0, 4)
    assert (real["formats"], real["modes"]) == ("JPEG 75%, PNG 25%", "RGB 75%, L 25%")
    assert [real[f"width_{of}"] for of in ("min", "median", "max")] == [30, 50, 80]
    assert [real[f"jpeg_quality_{of}"] for of in ("min", "median", "max")] == [60, 70, 95]
    assert (real["exif"], real["jpeg_standard"]) == (0.5, 1.0)
    assert (fake["pictures"], fake["formats"]) == (1, "PNG")
    assert np.isnan(fake["jpeg_quality_min"])


# --- the shortcut baseline ---


def shortcut_study(tmp_path: Path, real: dict, fake: dict, n: int = 20, **align: int | None) -> Diagnosis:
    """`n` real and `n` fake pictures, each kind saved with options of its own."""
    seeds = Seeds()
    seeds.folder(tmp_path / "real", n, **real)
    seeds.folder(tmp_path / "fake", n, **fake)
    aligned = AlignConfig(**{"jpeg_quality": None, "size": None} | align) if align else None
    return diagnose(config(tmp_path, mine=own(".", "test")), aligned)


def test_formats_that_differ_give_the_class_away(tmp_path: Path) -> None:
    diagnosis = shortcut_study(tmp_path, {"suffix": ".jpg", "quality": 80}, {})
    found = diagnosis.shortcuts.iloc[0]
    assert (found["ap"], found["chance"]) == (1.0, 0.5)
    (text,) = warnings(diagnosis)
    assert "reals are JPEG of quality 80, 40 x 32" in text
    assert "fakes are PNG, 40 x 32" in text
    assert "told apart without looking" in text
    assert "shortcut AP 1.00, chance 0.50" in text


@pytest.mark.parametrize(
    ("real", "fake", "strongest"),
    [
        ({}, {"size": (41, 32)}, "width"),
        ({}, {"mode": "L"}, "colour mode L"),
        ({"suffix": ".jpg", "quality": 90}, {"suffix": ".jpg", "quality": 91}, "JPEG quality"),
        ({"suffix": ".jpg", "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}, {"suffix": ".jpg"}, "EXIF"),
    ],
)
def test_each_fact_can_give_the_class_away(tmp_path: Path, real: dict, fake: dict, strongest: str) -> None:
    found = shortcut_study(tmp_path, real, fake).shortcuts.iloc[0]
    assert found["ap"] > 0.95
    assert found["strongest"] == strongest


def test_files_that_do_not_differ_score_chance(tmp_path: Path) -> None:
    diagnosis = shortcut_study(tmp_path, {"suffix": ".bmp"}, {"suffix": ".bmp"})
    found = diagnosis.shortcuts.iloc[0]
    assert found["ap"] == found["chance"] == 0.5
    assert not warnings(diagnosis)


def test_file_size_is_near_chance_where_pictures_are_of_one_kind(tmp_path: Path) -> None:
    found = shortcut_study(tmp_path, {}, {}, n=60)
    assert found.shortcuts["ap"].iloc[0] == 0.5
    assert 0.3 < found.shortcuts["ap_file_size"].iloc[0] < 0.7
    assert found.findings.empty


def test_file_size_is_a_figure_and_a_note_of_its_own(tmp_path: Path) -> None:
    found = shortcut_study(tmp_path, {"compress_level": 9}, {"compress_level": 0})
    assert found.shortcuts[["ap", "ap_file_size"]].iloc[0].tolist() == [0.5, 1.0]
    assert not warnings(found)
    assert "file size tells the classes of 1 sets apart (AP: mine 1.00)" in found.findings["finding"].iloc[0]


def test_alignment_takes_the_shortcut_away(tmp_path: Path) -> None:
    options = {"suffix": ".jpg", "quality": 80, "size": (60, 44)}
    diagnosis = shortcut_study(tmp_path, options, {}, jpeg_quality=90, size=32)
    found = diagnosis.shortcuts.iloc[0]
    assert (found["ap"], found["ap_aligned"]) == (1.0, 0.5)
    assert "aligned 0.50" in warnings(diagnosis)[0]


def test_half_an_alignment_leaves_the_other_half() -> None:
    rows = pd.DataFrame(
        {
            **{"width": [40, 80], "height": [30, 30], "bytes": [500, 900], "mode": ["RGB", "L"]},
            **{"format": ["JPEG", "PNG"], "jpeg_quality": [80, None], "jpeg_standard": [True, None]},
            "exif": [True, False],
        }
    )
    size_only = shortcuts.fact_columns(shortcuts.aligned(rows, AlignConfig(None, 32)), file_size=False)
    assert size_only[["width", "height", "aspect"]].nunique().eq(1).all()
    assert size_only["jpeg_quality"].nunique() == 2
    coding_only = shortcuts.fact_columns(shortcuts.aligned(rows, AlignConfig(90, None)), file_size=False)
    assert coding_only["width"].nunique() == 2
    left = coding_only.drop(columns=["width", "height", "aspect"])
    assert left.nunique().eq(1).all()


def test_why_there_is_no_baseline(tmp_path: Path) -> None:
    few = shortcut_study(tmp_path, {}, {}, n=4)
    assert few.shortcuts["reason"].iloc[0] == "8 pictures, fewer than 10"
    assert np.isnan(few.shortcuts["ap"].iloc[0])
    assert shortcuts.why_not(np.ones(20)) == "one class only"
    assert shortcuts.why_not(np.arange(20) == 0) == "one picture of a class"
    assert shortcuts.why_not(np.arange(20) < 2) == ""


def test_a_class_that_cannot_be_read_is_named_and_nothing_stops(tmp_path: Path) -> None:
    Seeds().folder(tmp_path / "real", 12)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "a.png").write_bytes(b"")
    diagnosis = diagnose(config(tmp_path, mine=own(".", "test")))
    assert warnings(diagnosis) == ["no fake picture of mine can be read"]
    assert diagnosis.shortcuts["reason"].iloc[0] == "one class only"
    assert "1 file could not be read and is left out" in "\n".join(diagnosis.findings["finding"])


def test_large_sets_are_sampled_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "MOST", 3)
    rows = pd.DataFrame({"digest": list("hgfedcba"), "path": list("12345678"), "label": [0] * 5 + [1] * 3})
    kept = shortcuts.looked_at(rows)
    assert sorted(kept["digest"]) == list("abcdef")
    assert shortcuts.looked_at(rows.sample(frac=1, random_state=0)).equals(kept)
