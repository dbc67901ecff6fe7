"""Every stage of a small study, called as its command calls it, writes its outs and nothing else, always the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graph import items
from rine.detector import Detector
from rine.features import Features
from rine.models.loaded import stored
from rine.params import BestConfig
from rine.paths import Paths
from rine.report.write import figures_of
from rine.running import run_stage as run_one
from rine.scores import ImageScores
from small_study import STAGES, SmallStudy, files_in, run_stage, settled


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_writes_its_outs_and_nothing_else(small_study: SmallStudy, stage: str) -> None:
    for done in (done for done in small_study.runs if done.stage == stage):
        outs = [Path(out) for out in (*done.item.outs, *done.item.metrics)]
        assert [out for out in outs if not (small_study.folder / out).exists()] == []
        assert {path for path in done.new if not any(path.is_relative_to(out) for out in outs)} == set()
        assert done.new != set()


def test_the_report_writes_its_outs_and_the_page(
    small_study: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With figures that are no pictures: to draw them takes longer than all other stages."""
    monkeypatch.setattr("rine.stages.report.render", lambda report, notice="": {f.key: b"" for f in figures_of(report)})
    shutil.copytree(small_study.paths.artifacts, tmp_path / "artifacts")
    before = files_in(tmp_path)
    places = {name: tmp_path / name for name in ("artifacts", "metrics", "plots", "page")}
    paths = Paths(**places, published=tmp_path / "none", plots_page=tmp_path / "page" / "plots.html")
    with settled(small_study.folder):
        run_one("report", small_study.study, paths)
    [item] = items("report", small_study.study)
    new = files_in(tmp_path) - before
    outs = [Path(out) for out in (*item.outs, *item.metrics)]
    assert [out for out in outs if not (tmp_path / out).exists()] == []
    assert {path for path in new if not any(path.is_relative_to(out) for out in [*outs, "page"])} == set()


@pytest.mark.parametrize("section", ["epochs", "dataset_size", "ablate", "ldm", "perturb"])
def test_a_stage_without_its_section_has_nothing_to_do(small_study: SmallStudy, tmp_path: Path, section: str) -> None:
    study = replace(small_study.study, **{section: None})
    with settled(small_study.folder):
        line = run_one(section, study, Paths(tmp_path / "artifacts", tmp_path / "metrics"))
    assert line == f"{section} is null: nothing to do"
    [item] = items(section, small_study.study)
    for out in (*item.outs, *item.metrics):
        assert (tmp_path / out).exists()
    assert (tmp_path / "artifacts" / section / "none.txt").read_text() == f"{section} is null\n"


def test_a_study_without_its_sections_is_reported(
    small_study: SmallStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rine.stages.report.render", lambda report, notice="": {f.key: b"" for f in figures_of(report)})
    study = replace(small_study.study, epochs=None, dataset_size=None, ablate=None, ldm=None, perturb=None)
    shutil.copytree(small_study.paths.artifacts, tmp_path / "artifacts")
    for name in ("epochs", "dataset_size", "ablate", "ldm", "perturb"):
        shutil.rmtree(tmp_path / "artifacts" / name)
    paths = Paths(**{name: tmp_path / name for name in ("artifacts", "metrics", "plots", "page", "published")})
    with settled(small_study.folder):
        line = run_one("report", study, replace(paths, plots_page=tmp_path / "plots.html"))
    assert "not there yet" not in line  # the params say that they do without
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Ablation" not in page


def test_a_stage_writes_a_file_once(small_study: SmallStudy) -> None:
    for done in small_study.runs:
        assert sorted(done.texts) == sorted(set(done.texts)), done.stage


def test_a_stored_model_scores_a_picture_as_the_detector_does(small_study: SmallStudy) -> None:
    scores = ImageScores.read(small_study.paths.validate())
    test = scores.images[scores.images["source"].str.startswith("gan")]
    assert len(test) == 6
    with settled(small_study.folder):
        for row, model in enumerate(["shapes", "shapes", "ldm", "ldm"]):
            name = "model" if scores.runs["seed"][row] == 0 else f"model-seed{scores.runs['seed'][row]}"
            detector = Detector.load(small_study.paths.best(model) / f"{name}.safetensors", device="cpu")
            verdicts = detector([small_study.folder / "data" / path for path in test["path"]])
            got = [verdict.logit for verdict in verdicts]
            np.testing.assert_allclose(got, scores.logits[row, test.index], rtol=0, atol=1e-5)


def test_a_model_of_other_tokens_than_the_encoders_is_refused_with_both(small_study: SmallStudy) -> None:
    encoder = Features.open(small_study.paths.features("tiny", "test")).about["encoder"]
    [head, *_], _ = stored([small_study.paths.best("shapes")], encoder | {"blocks": [1, 2]})  # which are all
    assert head.config.n_blocks == 2
    for other in ({"token": "mean"}, {"weights": "0" * 32}, {"blocks": [2, 3]}, {"image_size": 64}):
        [key] = other
        with pytest.raises(ValueError, match=rf"shapes.*other tokens.*weights {encoder['weights']}.*{key} "):
            stored([small_study.paths.best("shapes")], encoder | other)


def test_a_rerun_gives_the_same_bytes(small_study: SmallStudy, tmp_path: Path) -> None:
    again = SmallStudy(small_study.study, tmp_path, [])
    for name in ("data", "store", "cache"):
        if (small_study.folder / name).exists():
            shutil.copytree(small_study.folder / name, tmp_path / name)
    with settled(tmp_path):
        for done in small_study.runs:
            run_stage(again, done.stage, done.item)
    assert files_in(tmp_path) == files_in(small_study.folder)
    changed = [
        path
        for path in sorted(files_in(tmp_path))
        if (tmp_path / path).read_bytes() != (small_study.folder / path).read_bytes()
    ]
    assert changed == []


def test_the_embeddings_are_those_of_the_default_model(small_study: SmallStudy, tmp_path: Path) -> None:
    """Which model's are drawn is `best.default`: a section that `validate` tracks."""
    study = replace(small_study.study, best=BestConfig(small_study.study.best.models, default="ldm"))
    shutil.copytree(small_study.paths.artifacts, tmp_path / "artifacts")
    with settled(small_study.folder):
        run_one("validate", study, Paths(tmp_path / "artifacts", tmp_path / "metrics"))
    places = (small_study.paths.artifacts, tmp_path / "artifacts")
    drawn = [pd.read_csv(place / "validate" / "embeddings.csv") for place in places]
    assert len(drawn[0]) == len(drawn[1]) > 0
    assert not drawn[0].equals(drawn[1])
