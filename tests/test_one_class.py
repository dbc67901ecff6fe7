"""Test sets of one class, from the schema to the page: rates of alarms with intervals, and no part in any mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from graph import items
from rine.detectors.config import DetectorConfig
from rine.evaluation.intervals import share
from rine.params import Params
from rine.paths import Paths
from rine.report.methods import methods_of
from rine.report.sections import one_class
from rine.report.study import gather
from rine.report.write import compile_report, write_page
from rine.running import run_stage as run
from rine.scores import ImageScores, read_scores, validation
from rine.scores.test_sets import one_class_of
from small_study import SmallStudy, run_stage, settled, study_of, write_pictures

STAGES = ("prepare", "cache", "grid", "select", "best", "perturb", "validate", "detect")
DATASETS: dict[str, dict[str, Any]] = {
    "shapes": {"real": ["shapes/real"], "fake": ["shapes/fake"], "split": "train", "val_fraction": 0.4},
    "both": {"real": ["both/real"], "fake": ["both/fake"], "split": "test"},
    "photos": {"real": ["photos"], "split": "test"},
    "more": {"real": ["both/real"], "split": "test"},  # those of `both`, with no synthetic ones
    "made": {"fake": ["made"], "split": "test", "family": "Flow", "released": "2024-05-01"},
}
COUNTS = {"shapes/real": 20, "shapes/fake": 20, "both/real": 4, "both/fake": 4, "photos": 7, "made": 5}
DARK = """
import numpy as np

def scores(images):
    return [100 - float(np.asarray(image).mean()) for image in images]
"""


def study(root: Path) -> Params:
    made = study_of(root, DATASETS, {"shapes": ["shapes"]})
    return replace(made, detectors={"dark": DetectorConfig(python="dark:scores", gives="unbounded")})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    folder = tmp_path_factory.mktemp("one_class")
    for number, (place, n) in enumerate(COUNTS.items()):
        write_pictures(folder / "data" / place, n, 1000 * number, dark=place.endswith(("fake", "made")))
    (folder / "data" / "photos" / "copy.png").write_bytes((folder / "data" / "photos" / "0.png").read_bytes())
    (folder / "dark.py").write_text(DARK)
    result = SmallStudy(study(folder / "data"), folder, [])
    with settled(folder):
        for stage in STAGES:
            for item in items(stage, result.study):
                if item.arguments[-1:] not in (["ldm"], ["synthbuster"]) or stage == "cache":
                    result.runs.append(run_stage(result, stage, item))
    return result


def test_they_are_in_no_table_of_accuracy_or_ap(made: SmallStudy) -> None:
    for folder in (made.paths.grid("tiny", "shapes"), made.paths.validate(), made.paths.perturb()):
        assert set(read_scores(folder / "scores.csv")["generator"]) == {"both"}
        images = ImageScores.read(folder).images
        assert {"photos", "made"} <= set(images["source"])  # their pictures are scored all the same
    assert set(read_scores(made.paths.detect("dark") / "scores.csv")["generator"]) == {"both"}


def test_a_class_that_is_not_wanted_is_not_missing(made: SmallStudy) -> None:
    findings = pd.read_csv(made.paths.index("findings"))
    assert not findings["finding"].str.contains("can be read").any()
    files = pd.read_csv(made.paths.index("doctor"))
    assert files[files["set"] == "photos"]["label"].to_list() == [0]


def test_the_page_has_rates_of_every_method_with_intervals(made: SmallStudy) -> None:
    none = made.folder / "none"
    study = gather(made.study, made.paths.artifacts, none, none)
    write_page("", "", [], compile_report(study, [one_class.SECTION]), {}, made.folder / "report")
    page = (made.folder / "report" / "report.md").read_text()
    alarms, found = page.split("False alarms on sets of real pictures")[1].split("Found on sets of synthetic pictures")
    assert alarms.index("*photos*") < alarms.index("*more*")
    assert "*made*" in found.split("##")[0]
    content = one_class.make(study)
    assert content is not None
    by_side = {table.key: table for table in content.tables}
    # the pictures are told apart by their brightness alone, which is what this detector looks at
    rows = [[cell.text for cell in row.cells] for row in by_side["one_class_fake"].rows]
    dark = next(cells for cells in rows if cells[0] == "dark")
    assert dark[1:3] == ["5", "100.0"]
    scores = ImageScores.read(made.paths.validate())
    [photos] = one_class_of(scores.images, pd.DataFrame({"generator": ["photos"], "family": [""], "real": ["photos"],
                                                         "fake": [""]}))  # fmt: skip
    assert len(photos.rows) == 7  # and not the copy
    alarm = (scores.logits[0, photos.rows] > 0).mean()
    assert [cell.text for cell in by_side["one_class_real"].rows[0].cells][1:3] == ["7", f"{100 * alarm:.1f}"]
    assert all(cell.interval for cell in by_side["one_class_real"].rows[0].cells[2:3])


def test_the_baselines_are_calibrated_on_validation_pictures(made: SmallStudy) -> None:
    none = made.folder / "none"
    methods = {each.name: each for each in methods_of(gather(made.study, made.paths.artifacts, none, none))}
    for name in ("linear last", "linear all", "nearest"):
        labels, logits = validation(methods[name].scores)
        assert len(labels) == 2 * 8
        assert methods[name].calibration.n == 16 or methods[name].calibration.reason.startswith("on the validation")
        assert logits.shape == (1, 16)


def test_reals_that_another_set_has_are_encoded_once(made: SmallStudy) -> None:
    sets = pd.read_csv(made.paths.index("test_sets"), keep_default_na=False).set_index("generator")
    assert sets.loc["more", ["real", "fake"]].to_list() == ["both", ""]
    assert sets.loc["made", ["real", "fake", "family", "released"]].to_list() == ["", "made", "Flow", "2024-05-01"]


@pytest.mark.parametrize(("count", "n"), [(0, 20), (3, 20), (20, 20), (117, 1000)])
def test_the_interval_of_a_share_lies_about_the_exact_one(count: int, n: int) -> None:
    found = share(count, n, 0.95)
    exact = (
        beta.ppf(0.025, count, n - count + 1) if count else 0,
        beta.ppf(0.975, count + 1, n - count) if count < n else 1,
    )
    assert found.low <= count / n <= found.high
    assert np.allclose((found.low, found.high), exact, atol=0.6 / np.sqrt(n) * 0.3 + 0.5 / n)
    assert found.high - found.low <= exact[1] - exact[0] + 1e-12


@pytest.fixture(scope="module")
def alone(made: SmallStudy) -> SmallStudy:
    """The same without the one test set of both classes; what is encoded is there."""
    sets = {name: each for name, each in DATASETS.items() if name not in ("both", "more")}
    whole = study_of(made.folder / "data", sets, {"shapes": ["shapes"]})
    result = SmallStudy(replace(whole, perturb=None, detectors=None), made.folder / "alone", [])
    with settled(made.folder):
        for stage in ("prepare", "cache", "grid", "select", "epochs", "best", "validate"):
            for item in items(stage, result.study):
                result.runs.append(run_stage(result, stage, item))
    return result


def test_where_all_test_sets_are_of_one_class_validation_chooses(alone: SmallStudy) -> None:
    [line] = [done.line for done in alone.runs if done.stage == "select"]
    assert "by the rule validation: no test set has pictures of both classes" in line
    choice = json.loads(alone.paths.choice("shapes").read_text())
    assert [choice[key] for key in ("rule", "acc", "ap")] == ["validation", None, None]
    runs = pd.read_csv(alone.paths.grid("tiny", "shapes") / "runs.csv")
    losses = runs.groupby(["xi", "q", "d"])["val_loss"].mean()
    assert losses.idxmin() == (choice["xi"], choice["q"], choice["proj_dim"])
    assert "lowest cross-entropy on the validation pictures" in (alone.paths.best("shapes") / "model.md").read_text()


def test_its_page_has_the_rates_and_says_why_there_is_no_mean(alone: SmallStudy) -> None:
    none = alone.folder / "none"
    report = compile_report(gather(alone.study, alone.paths.artifacts, none, none))
    by_key = {section.key: content for section, content in report.items()}
    assert "lowest loss on the validation pictures" in by_key["headline"].text[0]
    assert [table.key for table in by_key["one_class"].tables] == ["one_class_real", "one_class_fake"]
    assert not {"generators", "metrics", "epochs", "grid", "ablate"} & by_key.keys()


def test_where_nothing_could_choose_it_ends_before_anything_is_encoded(made: SmallStudy, tmp_path: Path) -> None:
    sets = {"shapes": DATASETS["shapes"] | {"val_fraction": 0.0}, "photos": DATASETS["photos"]}
    study = study_of(made.folder / "data", sets, {"shapes": ["shapes"]})
    with (
        settled(made.folder),
        pytest.raises(ValueError, match=r"0 are real and 0 synthetic: .*val_fraction: 0.2, or one"),
    ):
        run("prepare", study, Paths(tmp_path / "artifacts", tmp_path / "metrics"))
