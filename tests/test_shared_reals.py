"""Data sets of one's own that share a folder of reals: one image set, from `prepare` to the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graph import items
from rine.dataset.listing import DatasetError
from rine.features import Features
from rine.features.sets import open_sets
from rine.running import run_stage as run
from rine.scores import ImageScores
from small_study import SmallStudy, run_stage, settled, study_of, write_pictures

STAGES = ("prepare", "cache", "grid", "select")
REAL = ["photos/train/*"]
DATASETS: dict[str, dict[str, Any]] = {
    "first": {"real": REAL, "fake": ["first/*"], "split": "train", "val_fraction": 0.3},
    "second": {"real": REAL, "fake": ["second/*"], "split": "train", "val_fraction": 0.3},
    "crn": {"real": ["photos/test/*"], "fake": ["crn/*"], "split": "test", "family": "perceptual"},
    "imle": {"real": ["photos/test/*"], "fake": ["imle/*"], "split": "test", "family": "perceptual"},
    # the same photographs and one more: a set of its own, whose pictures are still the same ones
    "san": {"real": ["photos/test/*", "photos/one.png"], "fake": ["san/*"], "split": "test", "family": "low_level"},
}
COUNTS = {"photos/train": 12, "photos/test": 5, "first": 12, "second": 12, "crn": 4, "imle": 4, "san": 4}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    folder = tmp_path_factory.mktemp("shared")
    for number, (place, n) in enumerate(COUNTS.items()):
        write_pictures(folder / "data" / place, n, seed=1000 * number, dark=not place.startswith("photos"))
    write_pictures(folder / "more", 1, seed=9000, dark=False)
    (folder / "more" / "0.png").rename(folder / "data" / "photos" / "one.png")
    study = study_of(folder / "data", DATASETS, {"first": ["first"], "both": ["first", "second"]})
    made = SmallStudy(study, folder, [])
    with settled(folder):
        for stage in STAGES:
            for item in items(stage, study):
                if item.arguments[-1:] not in (["ldm"], ["synthbuster"], ["perturb"]):
                    made.runs.append(run_stage(made, stage, item))
    return made


def test_identical_lists_of_reals_are_one_source(shared: SmallStudy) -> None:
    sets = pd.read_csv(shared.paths.index("test_sets")).set_index("generator")
    assert sets["real"].to_dict() == {"crn": "crn", "imle": "crn", "san": "san"}
    test = pd.read_csv(shared.paths.index("test"))
    assert test.groupby(["source", "label"]).size().to_dict() == {
        ("crn", 0): 5, ("crn", 1): 4, ("imle", 1): 4, ("san", 0): 6, ("san", 1): 4,
    }  # fmt: skip


def test_shared_reals_are_encoded_once(shared: SmallStudy) -> None:
    lines = {done.item.arguments[-1]: done.line for done in shared.runs if done.stage == "cache"}
    files = 5 + 1 + 3 * 4
    rows = len(Features.open(shared.paths.features("tiny", "test")))
    assert rows == files + 5  # the five of `san` are another source's rows of the same pictures
    assert f"encoded {files}, reused 5" in lines["test"]


def test_shared_reals_train_and_validate_once(shared: SmallStudy) -> None:
    sets = open_sets(shared.paths.features("tiny"))
    for classes in (["first"], ["second"], ["first", "second"]):
        part = sets.of_classes(classes)
        rows = pd.concat([part.train.rows, part.val.rows])
        pictures = rows[["label", "digest"]].drop_duplicates()
        assert (pictures["label"] == 0).sum() == 12
        assert (pictures["label"] == 1).sum() == 12 * len(classes)
        assert not rows.duplicated(["label", "digest", "view"]).any()


def test_what_prepare_says_counts_pictures_once(shared: SmallStudy) -> None:
    line = next(done.line for done in shared.runs if done.stage == "prepare")
    assert line.startswith(f"{sum(COUNTS.values()) + 1} pictures, 3 test sets")


def test_the_report_has_every_test_set(shared: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rine.stages.report.render", lambda report, notice="": {})
    with settled(shared.folder):
        run("report", shared.study, shared.paths)
    page = (shared.folder / "report" / "report.md").read_text()
    for name in ("crn", "imle", "san"):  # one's own data sets keep their names
        assert f"| {name} " in page.split("## Generators")[1]
    scores = ImageScores.read(shared.paths.grid("tiny", "both"))
    assert np.isfinite(scores.logits).all()


def test_two_data_sets_that_share_reals_and_have_other_splits_keep_their_own(tmp_path: Path) -> None:
    from rine.dataset.config import DatasetConfig
    from rine.dataset.layouts import list_all

    for place in ("photos", "a", "b"):
        write_pictures(tmp_path / place, 2, seed=len(place), dark=False)
    configs = {
        name: DatasetConfig(real=("photos/*",), fake=(f"{name}/*",), split=split)
        for name, split in (("a", "train"), ("b", "test"))
    }
    listings = list_all(tmp_path, configs)
    assert {picture.source for picture in listings["b"].pictures} == {"b"}
    with pytest.raises(DatasetError, match="match real and fake"):
        list_all(tmp_path, {"a": DatasetConfig(real=("a/*",), fake=("a/*",), split="test")})
