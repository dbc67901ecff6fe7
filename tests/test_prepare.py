"""The stage as a whole: the four layouts of the paper in, the same tables out whatever is remembered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dataset_folders import (
    Seeds,
    config,
    dmimagedetection,
    forensynths,
    save,
    synthbuster,
    universal_fake_detect,
)
from rine.dataset import index
from rine.dataset.config import PrepareConfig
from rine.dataset.generators import GRID_GENERATORS, SYNTHBUSTER_GENERATORS
from rine.dataset.records import Records
from rine.features.table import read as read_table
from rine.paths import Paths
from rine.pixels.config import AlignConfig
from rine.stages.prepare import prepare


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrepareConfig:
    root, seeds = tmp_path / "data", Seeds()
    for make in (forensynths, universal_fake_detect, dmimagedetection, synthbuster):
        make(root, seeds)
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    layouts = ("forensynths", "universal_fake_detect", "dmimagedetection", "synthbuster")
    return config(root, **{layout: {"layout": layout} for layout in layouts})


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_study_of_the_paper(tmp_path: Path, study: PrepareConfig) -> None:
    line = prepare(study, Paths(tmp_path / "artifacts", tmp_path / "metrics"))
    out = tmp_path / "artifacts" / "index"
    tables = {name: read_table(out / f"{name}.csv") for name in ("train", "test", "ldm", "synthbuster")}
    assert {name: set(table["split"]) for name, table in tables.items()} == {
        "train": {"train", "val"},
        "test": {"test"},
        "ldm": {"train", "val"},
        "synthbuster": {"test"},
    }
    test_sets = pd.read_csv(out / "test_sets.csv")
    assert list(test_sets.columns) == ["generator", "family", "study", "real", "fake", "title", "released"]
    assert set(test_sets["generator"]) == {*GRID_GENERATORS, *SYNTHBUSTER_GENERATORS}
    for test_set in test_sets.itertuples():
        table = tables["test" if test_set.study == "grid" else "synthbuster"]
        assert ((table["source"] == test_set.real) & (table["label"] == 0)).sum() >= 2
        assert ((table["source"] == test_set.fake) & (table["label"] == 1)).sum() >= 2
    metrics = json.loads((tmp_path / "metrics" / "prepare.json").read_text())
    assert metrics["pictures"]["train"] == len(tables["train"])
    assert metrics["pictures"]["sets"]["ldm/val"] == {"real": 4, "fake": 4}
    assert metrics["skipped"] == {"count": 0, "files": []}
    assert "29 test sets" in line
    doctor = pd.read_csv(out / "doctor.csv")
    assert set(doctor["set"]) == {"train", "val", "ldm/train", "ldm/val", *test_sets["generator"]}


def test_same_bytes_whatever_is_remembered(tmp_path: Path, study: PrepareConfig) -> None:
    first = prepare(study, Paths(tmp_path / "a", tmp_path / "a" / "metrics"))
    second = prepare(study, Paths(tmp_path / "b", tmp_path / "b" / "metrics"))
    assert ", 0 known from before" in first
    assert "; 0 files read" in second
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert str(tmp_path).encode() not in b"".join(written(tmp_path / "a").values()), "no path of this machine"


def test_warnings_and_what_was_left_out_are_told(
    tmp_path: Path, study: PrepareConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "train" / "horse" / "1_fake"
    (folder / "broken.jpg").write_text("no picture")
    save(folder / "leak.png", 1000)
    save(tmp_path / "data" / "test" / "san" / "1_fake" / "leak.png", 1000)
    line = prepare(study, Paths(tmp_path / "artifacts", tmp_path / "metrics"))
    assert "1 left out" in line
    told = capsys.readouterr().err
    assert "warning: test/san/1_fake/leak.png (test) and train/horse/1_fake/leak.png (train)" in told
    metrics = json.loads((tmp_path / "metrics" / "prepare.json").read_text())
    assert metrics["skipped"]["count"] == 1
    assert metrics["skipped"]["files"][0]["path"] == "train/horse/1_fake/broken.jpg"
    assert "not a picture" in metrics["skipped"]["files"][0]["reason"]
    assert metrics["copies"]["exact_across"] == 1
    skipped = pd.read_csv(tmp_path / "artifacts" / "index" / "skipped.csv")
    assert list(skipped["path"]) == ["train/horse/1_fake/broken.jpg"]


def test_shortcuts_are_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    seeds = Seeds()
    seeds.folder(tmp_path / "data" / "real", 10, ".jpg")
    seeds.folder(tmp_path / "data" / "fake", 10)
    own = {"real": ["real"], "fake": ["fake"], "split": "test"}
    study = config(tmp_path / "data", mine=own)
    prepare(study, Paths(tmp_path, tmp_path / "metrics"), align=AlignConfig(jpeg_quality=90, size=32))
    metrics = json.loads((tmp_path / "metrics" / "prepare.json").read_text())
    assert metrics["shortcut_ap"] == {
        "raw": {"mean_of_test_sets": 1.0, "mine": 1.0},
        "aligned": {"mean_of_test_sets": 0.5, "mine": 0.5},
        "with_file_size": {"mean_of_test_sets": 1.0, "mine": 1.0},
    }


def test_it_starts_without_torch() -> None:
    code = "import sys, rine.stages.prepare; print(*{'torch', 'sklearn', 'matplotlib'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not found.stdout.split()


def test_a_class_that_no_training_picture_has_is_an_error_before_anything_is_encoded(tmp_path, study):
    with pytest.raises(ValueError, match=r"settings.mine names \['hrose'\].*choose from \[.*'horse'"):
        prepare(study, Paths(tmp_path, tmp_path / "metrics"), {"one": ["horse"], "mine": ["hrose", "horse"]})


def test_what_dvc_or_a_study_would_miss_is_said(tmp_path):
    from rine.stages.prepare import _lacking, _linked

    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [words.split(" is a link")[0] for words in _linked(tmp_path / "root")] == [
        str(tmp_path / "root" / "in" / "link")
    ]
    train = pd.DataFrame({"split": ["train", "val"], "label": [0, 1], "digest": ["a", "b"]})
    none = pd.DataFrame(columns=["real", "fake"])
    made = index.Index({"train": train}, Records([]), none, none, none, 0, 0)
    said = list(_lacking(made))
    assert "no data set has split: test" in said[0]
    assert "0 real and 1 synthetic validation pictures" in said[1]
