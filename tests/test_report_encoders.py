"""The section that compares encoders: a small study of three towers, its rule, its differences, its costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rine import params
from rine.checks import check
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.evaluation.selection import generators_table, grid_of
from rine.paths import Paths
from rine.report.section import Content
from rine.report.sections.encoders import make
from rine.report.study import Study, gather
from rine.running import run_stage
from small_study import settled, study_of, write_data

ROOT = Path(__file__).parents[1]
TOWER = TowerConfig(image_size=32, patch_size=16, width=32, layers=2, head_width=16)
ENCODERS = {
    "tiny": EncoderConfig("ViT-tiny", TOWER, "random", 0),
    "registers": EncoderConfig(
        "no CLS", replace(TOWER, image_size=48, cls=False, registers=2), "random", 1, token="mean"
    ),
    "one block": EncoderConfig("one block", TOWER, "random", 2, blocks=(2,)),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("encoders")
    write_data(folder / "data")
    study = replace(study_of(folder / "data"), encoders=ENCODERS)
    paths = Paths(folder / "artifacts", folder / "metrics")
    with settled(folder):
        run_stage("prepare", study, paths)
        for encoder in ENCODERS:
            for feature_set in ("train", "test"):
                run_stage("cache", study, paths, encoder=encoder, feature_set=feature_set)
            run_stage("grid", study, paths, encoder=encoder, setting="shapes")
    timings = folder / "timings.json"
    timings.write_text(json.dumps({"cache@tiny-train": 3.0, "cache@tiny-test": 1.0, "cache@registers-train": 9.0}))
    return gather(study, folder / "artifacts", folder / "none", timings)


@pytest.fixture(scope="module")
def content(made: Study) -> Content:
    found = make(made)
    assert found is not None
    return found


def test_the_rows_are_the_test_blind_rules_and_less_the_encoder_in_force(made: Study, content: Content) -> None:
    table = next(table for table in content.tables if table.key == "encoders_shapes")
    assert [row.cells[0].text for row in table.rows] == [encoder.name for encoder in ENCODERS.values()]
    scores = made.scores("grid")
    means = {}
    for encoder in ENCODERS.values():
        every = generators_table(grid_of(scores[scores["backbone"] == encoder.name], {}))
        rows = every[every["rule"] == "leave_one_generator_out"].dropna(subset="acc")
        means[encoder.name] = rows[["acc", "ap"]].mean()
    for row in table.rows:
        name, values = row.cells[0].text, row.cells[1:]
        for i, metric in enumerate(("acc", "ap")):
            mean, base = means[name][metric], means["ViT-tiny"][metric]
            assert values[2 * i].text == f"{100 * mean:.1f}"
            if name != "ViT-tiny":
                assert values[2 * i + 1].text == f"{100 * (mean - base):+.1f}".replace("-", "−").replace("+0.0", "0.0")
    assert all(row.cells[1].interval for row in table.rows)


def test_what_tokens_cost(content: Content) -> None:
    rows = {row.cells[0].text: [cell.text for cell in row.cells[2:]] for row in content.tables[-1].rows}
    # pixels, blocks x width; bytes of float16; pictures a second where both times are there
    assert rows["ViT-tiny"][:2] == ["32", "2 x 32"]
    assert rows["ViT-tiny"][4] == "128"
    assert rows["ViT-tiny"][5] != "–"
    assert rows["no CLS"][:2] == ["48", "2 x 32"]
    assert rows["no CLS"][5] == "–"
    assert rows["one block"][1] == "1 x 32"
    assert rows["one block"][4] == "64"


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
