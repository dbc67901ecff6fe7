"""The section that compares encoders: a small study of three towers, its rule, its differences, its costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rine import params
from rine.checks import check
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.evaluation.selection import RULES, grid_of
from rine.paths import Paths
from rine.report.section import Content
from rine.report.sections.encoders import make
from rine.report.study import Study, gather
from rine.report.table import Table
from rine.running import run_stage
from rine.scores import read_scores
from small_study import OWN, settled, study_of, write_pictures

ROOT = Path(__file__).parents[1]
TOWER = TowerConfig(image_size=32, patch_size=16, width=32, layers=2, head_width=16)
NO_CLS = replace(TOWER, image_size=48, cls=False, registers=2)
ENCODERS = {
    "tiny": EncoderConfig("ViT-tiny", TOWER, "random", 0),
    "registers": EncoderConfig("no CLS", NO_CLS, "random", 1, token="mean"),
    "one": EncoderConfig("one block", TOWER, "random", 2, blocks=(2,)),
}
FAMILIES = {"gan": "gan", "first": "diffusion", "second": "diffusion"}
DATASETS = {
    name: {"real": [f"{name}/real/*"], "fake": [f"{name}/fake/*"], "split": "test", "family": family}
    for name, family in FAMILIES.items()
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("encoders")
    for i, name in enumerate(["shapes", "held", *DATASETS]):
        for label, kind in enumerate(("real", "fake")):
            write_pictures(folder / "data" / name / kind, 6, 1000 * i + 100 * label, dark=bool(label))
    datasets = {"shapes": OWN["shapes"], "held": OWN["held"]} | DATASETS
    study = replace(study_of(folder / "data", datasets), encoders=ENCODERS)
    paths = Paths(folder / "artifacts", folder / "metrics")
    with settled(folder):
        run_stage("prepare", study, paths)
        for encoder in ENCODERS:
            for feature_set in ("train", "test"):
                run_stage("cache", study, paths, encoder=encoder, feature_set=feature_set)
            run_stage("grid", study, paths, encoder=encoder, setting="shapes")
        speeds = (folder / paths.encoder_speeds).read_text()
        assert set(json.loads(speeds)) == {f"{name}-{part}" for name in ENCODERS for part in ("train", "test")}
    times = {"tiny-train": {"views": 30, "seconds": 3.0}, "tiny-test": {"views": 10, "seconds": 1.0}}
    (folder / "speeds.json").write_text(json.dumps(times))
    nowhere = folder / "none"
    return gather(study, paths.artifacts, nowhere, nowhere, encoder_speeds=folder / "speeds.json")


@pytest.fixture(scope="module")
def content(made: Study) -> Content:
    found = make(made)
    assert found is not None
    return found


def table(content: Content, key: str) -> Table:
    return next(table for table in content.tables if table.key == key)


def test_the_rows_are_the_test_blind_rules_and_less_the_encoder_in_force(made: Study, content: Content) -> None:
    shown = table(content, "encoders_shapes").rows
    assert [row.section for row in shown if row.section] == ["Mean", "GAN", "Diffusion"]
    means = {}
    for name, encoder in ENCODERS.items():
        scores = read_scores(made.artifacts / "grid" / f"{name}-shapes" / "scores.csv")
        grid = grid_of(scores, FAMILIES)
        outcome = RULES["leave_one_generator_out"].choose(grid)
        for section, wanted in (("Mean", FAMILIES), ("Diffusion", ["first", "second"])):
            of = [grid.generators.index(each) for each in wanted]
            means[section, encoder.name] = np.array([100 * outcome.acc[of].mean(), 100 * outcome.ap[of].mean()])
    for section, rows in (("Mean", shown[:3]), ("Diffusion", shown[6:9])):
        assert [row.cells[0].text for row in rows] == [encoder.name for encoder in ENCODERS.values()]
        for row in rows:
            own, base = means[section, row.cells[0].text], means[section, "ViT-tiny"]
            assert [row.cells[1].text, row.cells[3].text] == [f"{value:.1f}" for value in own]
            assert all(row.cells[i].interval for i in (1, 3))
            if row.cells[0].text == "ViT-tiny":
                assert [row.cells[2].text, row.cells[4].text] == ["", ""]
                continue
            differences = [row.cells[i].text.replace("−", "-") for i in (2, 4)]
            assert [float(value) for value in differences] == [round(value, 1) for value in own - base]
            assert all(row.cells[i].interval for i in (2, 4))  # paired


def test_the_importance_of_every_encoders_blocks_by_their_numbers(content: Content) -> None:
    shown = table(content, "encoder_importance")
    assert shown.columns == ["Block", *(encoder.name for encoder in ENCODERS.values())]
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in shown.rows}
    assert rows["1"][2] == "–"
    assert rows["2"][2] == "100.0"
    for column in (0, 1):
        assert sum(float(rows[block][column]) for block in ("1", "2")) == pytest.approx(100, abs=0.11)


def test_what_tokens_cost(content: Content) -> None:
    shown = table(content, "encoder_cost")
    rows = {row.cells[0].text: dict(zip(shown.columns, row.cells, strict=True)) for row in shown.rows}

    def said(name: str, *columns: str) -> list[str]:
        return [rows[name][column].text for column in columns]

    what = ("Pixels", "Tokens", "Bytes", "Pictures/s")
    assert said("ViT-tiny", *what) == ["32", "2 x 32", "128", "10.0"]
    assert said("no CLS", *what) == ["48", "2 x 32", "128", "–"]
    assert said("one block", *what) == ["32", "1 x 32", "64", "–"]
    assert said("no CLS", "Kept") == ["token mean at norm2 of all blocks"]
    assert said("ViT-tiny", "Parameters (M)") == ["0.04"]


def test_one_encoder_is_compared_with_nothing(made: Study) -> None:
    assert made.params is not None
    alone = replace(made, params=replace(made.params, encoders={"tiny": ENCODERS["tiny"]}))
    assert make(alone) is None


def test_the_study_of_encoders_is_one() -> None:
    study = check(params.read(ROOT / "pipeline" / "encoders.yaml"))
    kept = [(encoder.catalogue, encoder.token) for encoder in study.encoders.values()]
    assert len({source for source, _ in kept}) == 3
    assert {"cls", "mean"} == {token for _, token in kept}
    assert [study.ldm, study.epochs, study.dataset_size, study.ablate, study.perturb] == [None] * 5


def test_two_entries_of_one_name_are_refused(made: Study) -> None:
    assert made.params is not None
    twice = {"tiny": ENCODERS["tiny"], "other": replace(ENCODERS["tiny"], token="mean")}
    with pytest.raises(params.ParamsError, match="encoders: two are called 'ViT-tiny'"):
        check(replace(made.params, encoders=twice))
