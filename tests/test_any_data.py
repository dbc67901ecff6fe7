"""One study with a data set in every form, from `prepare` to the page: each test set is scored, however it lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from containers import encoded, write_parquet, write_tar, write_zip
from rine.running import run_stage as run
from rine.scores import ImageScores
from small_study import SmallStudy, run_stages, settled, study_of, write_pictures

STAGES = ("prepare", "cache", "grid", "select", "best", "perturb", "validate")
DATASETS: dict[str, dict[str, Any]] = {
    "shapes": {"parquet": "shapes/*.parquet", "label": {"column": "label", "real": [0]}, "split": {"column": "split"}},
    "openfake": {
        "parquet": ["openfake/data/test-*"], "label": {"column": "label", "real": ["real"]}, "generator": "model",
        "at_most": 3, "split": "test",
    },
    "aigi": {
        "tree": "aigi/test/{generator}.zip!{generator}/{label}", "real": "0_real", "fake": "1_fake", "split": "test",
        "family": {"Midjourney-V6": "diffusion"}, "crops": "ten",
    },
    "loose": {
        "tree": "loose/{generator}/{label}", "real": "0_real", "fake": "1_fake", "split": "test",
        "exclude": ["**/notes.png"], "family": "GAN",
    },
    "tarred": {"real": ["a.tar!r/*"], "fake": ["a.tar!f/*"], "split": "test", "crops": "grid"},
    "lists": {
        "manifest": ["lists/*.csv", "lists/*.json"], "path": "filename", "folder": "",
        "label": {"column": "typ", "real": ["REAL"]}, "generator": "src", "split": "test", "crops": "resize",
    },
    "raise": {"real": ["raise/*"], "split": "test"},
    "flux": {"fake": ["flux/*"], "reals": "raise", "split": "test"},
    "sora": {"fake": ["sora/*"], "split": "test"},
}  # fmt: skip
TEST_SETS = {
    "openfake/SD 3.5", "openfake/flux.1-dev", "aigi/Midjourney-V6", "aigi/sdv1.4", "tarred", "lists/gan.2",
    "shapes", "raise", "flux", "loose/SD 1.5", "sora",
}  # fmt: skip


def write_data(root: Path) -> None:
    seeds = iter(range(10_000))

    def some(n: int) -> list[bytes]:
        return [encoded(next(seeds), size=(48, 48)) for _ in range(n)]

    splits = ["train"] * 12 + ["val"] * 8 + ["test"] * 4
    write_parquet(root / "shapes/0.parquet", some(24), label=[0, 1] * 12, split=splits)
    models = ["real", "real", "flux.1-dev", "SD 3.5"] * 4
    labels = ["real" if model == "real" else "fake" for model in models]
    write_parquet(root / "openfake/data/test-0.parquet", some(16), label=labels, model=models)
    for generator in ("Midjourney-V6", "sdv1.4"):
        members = {
            f"{generator}/{kind}/{i}.png": each for kind in ("0_real", "1_fake") for i, each in enumerate(some(2))
        }
        write_zip(root / f"aigi/test/{generator}.zip", members)
    write_tar(root / "a.tar", {f"{kind}/{i}.png": each for kind in "rf" for i, each in enumerate(some(2))})
    for number, place in enumerate(("pics", "raise", "flux", "sora", "loose/SD 1.5/0_real", "loose/SD 1.5/1_fake")):
        write_pictures(root / place, 4 if number < 3 else 2, seed=500 * number, dark=number not in (0, 1, 4))
    (root / "loose/SD 1.5/1_fake/1.png").rename(root / "loose/SD 1.5/1_fake/notes.png")
    (root / "lists").mkdir()
    rows = [(f"pics/{i}.png", *(("REAL", "coco") if i < 2 else ("FAKE", "gan.2"))) for i in range(4)]
    (root / "lists/a.csv").write_text("filename,typ,src\n" + "".join(f"{','.join(row)}\n" for row in rows[:3]))
    named = [dict(zip(("filename", "typ", "src"), row, strict=True)) for row in rows[3:]]
    (root / "lists/b.json").write_text(json.dumps(named))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStudy]:
    folder = tmp_path_factory.mktemp("any")
    write_data(folder / "data")
    study = run_stages(SmallStudy(study_of(folder / "data", DATASETS), folder, []), STAGES)
    with settled(folder):
        yield study


def test_every_test_set_is_scored(made: SmallStudy) -> None:
    assert set(pd.read_csv(made.paths.index("test_sets"))["generator"]) == TEST_SETS
    scores = ImageScores.read(made.paths.grid("tiny", "shapes"))
    assert np.isfinite(scores.logits).all()
    test = scores.images[scores.images["split"] == "test"]
    assert not test.duplicated(["source", "label", "path"]).any(), "of several crops one row"
    counts = test.groupby(["source", "label"]).size().to_dict()
    assert counts == {
        ("aigi/Midjourney-V6", 0): 2, ("aigi/Midjourney-V6", 1): 2, ("aigi/sdv1.4", 0): 2, ("aigi/sdv1.4", 1): 2,
        ("flux", 1): 4, ("lists", 0): 2, ("lists/gan.2", 1): 2, ("loose/SD 1.5", 0): 2,
        ("loose/SD 1.5", 1): 1, ("openfake", 0): 3, ("openfake/SD 3.5", 1): 3,
        ("openfake/flux.1-dev", 1): 3, ("raise", 0): 4, ("shapes", 0): 2, ("shapes", 1): 2, ("sora", 1): 2,
        ("tarred", 0): 2, ("tarred", 1): 2,
    }  # fmt: skip


def test_nothing_is_done_twice(made: SmallStudy) -> None:
    lines = {done.stage: run(done.stage, made.study, made.paths) for done in made.runs if done.stage == "prepare"}
    lines |= {
        name: run("cache", made.study, made.paths, encoder="tiny", feature_set=name) for name in ("train", "test")
    }
    assert "encoded 0" in lines["train"]
    assert "encoded 0" in lines["test"]


def test_metrics_and_page_name_each(made: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rine.stages.report.render", lambda report, notice="": {})
    run("report", made.study, made.paths)
    page = (made.folder / "report" / "report.md").read_text()
    for name in TEST_SETS:
        assert name in page, name
    assert json.loads(made.paths.metric("report").read_text())
