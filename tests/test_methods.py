"""Methods side by side on the page: their order, what they left out, and scores of other studies and of a file."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from made_study import PICTURES, SMALL, TEST_SETS, scored, write_stage, write_study
from made_study import run as made_run
from rine.detectors.config import DetectorConfig
from rine.paths import Paths
from rine.report.section import Content
from rine.report.sections import detectors
from rine.report.study import Study, gather
from rine.report.table import Table
from rine.scores import ImageScores, test_sets_of
from rine.scores.table import ScoresError
from rine.stages.report import report_scores

MANY = {f"method{i}": 0.3 + 0.2 * i for i in range(9)}  # name -> how well it tells the classes apart
NONE = dict.fromkeys(("xi", "q", "d", "batch_size", "lr", "epochs"))


def write_detector(
    artifacts: Path, name: str, strength: float, left_out: int = 0, no_threshold: str = ""
) -> ImageScores:
    """What `detect` leaves of a detector that did not score so many pictures of each source and class."""
    whole = scored([made_run("detect", (), 0, training_set=name, backbone="onnx", **NONE)], strength)
    noise = np.random.default_rng(len(name) + int(10 * strength)).normal(size=whole.logits.shape)
    kept = whole.images.groupby(["source", "label", "split"]).cumcount().to_numpy() >= left_out
    logits = (whole.logits + noise).astype(np.float32)[:, kept]
    scores = ImageScores(whole.runs, whole.images[kept].reset_index(drop=True), logits)
    scores.write(artifacts / "detect" / name)
    about = {"kind": "onnx", "gives": "logit"}
    (artifacts / "detect" / name / "detector.json").write_text(json.dumps(about | {"no_threshold": no_threshold}))
    faults = whole.images.loc[~kept, ["path", "source", "label"]].assign(view="", reason="no answer in 20 s")
    faults.to_csv(artifacts / "detect" / name / "faults.csv", index=False)
    return scores


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "artifacts"
    write_study(folder)
    for name, strength in MANY.items():
        write_detector(folder, name, strength)
    write_detector(folder, "shy", 1.0, left_out=5)
    write_detector(folder, "unbounded", 1.0, no_threshold="unbounded scores, and no threshold: no validation set")
    return folder


def study_of(
    artifacts: Path, others: tuple[Path, ...] = (), names: Collection[str] = (*MANY, "shy", "unbounded")
) -> Study:
    times = artifacts.parent / "times.json"
    times.write_text(json.dumps({"shy": 0.25}))
    section = {name: DetectorConfig(onnx="a.onnx", gives="logit") for name in names}
    return gather(replace(SMALL, detectors=section), artifacts, artifacts / "none", artifacts / "none", times, others)


def made(artifacts: Path, others: tuple[Path, ...] = ()) -> Content:
    content = detectors.make(study_of(artifacts, others))
    assert content is not None
    return content


@pytest.fixture(scope="module")
def content(artifacts: Path) -> Content:
    return made(artifacts)


def table_of(content: Content, key: str) -> Table:
    return next(table for table in content.tables if table.key == key)


def cells(table: Table) -> pd.DataFrame:
    columns = [f"{name}{i}" for i, name in enumerate(table.columns)]
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    return pd.DataFrame(rows, columns=columns).set_index("Method0")


def test_every_method_has_a_row_in_the_order_of_the_test_blind_rule(content: Content) -> None:
    table = cells(table_of(content, "methods_grid"))
    ours = {"1-class", "2-class", "4-class", "LDM"}
    assert {*MANY, "shy", "unbounded", *ours, "linear last", "linear all", "nearest"} == set(table.index)
    order = table["unseen1"].astype(float)
    assert (order.diff().dropna() <= 0).all()
    # of ours what leaving a generator out reports (made_study.RULES), which is not the mean of the chosen model
    assert table.loc["4-class", "unseen1"] == "93.0"
    assert table.loc["4-class", "AP3"] != "93.0"
    assert {figure.key for figure in content.figures} == {"methods", "methods_ldm"}
    for figure in content.figures:
        figure.draw()
        assert not figure.data.empty
    by_generator = table_of(content, "methods_grid_ap")
    assert len(by_generator.columns) == 1 + len(table)


def test_a_methods_numbers_are_those_of_its_pictures(artifacts: Path, content: Content) -> None:
    table = cells(table_of(content, "methods_grid"))
    scores = ImageScores.read(artifacts / "detect" / "method3")
    sets = test_sets_of(scores.images, TEST_SETS[TEST_SETS["study"] == "grid"])
    pairs = [(each.labels, scores.logits[0, each.rows]) for each in sets]
    expected = [np.mean([((z > 0) == y).mean() for y, z in pairs])]
    expected += [np.mean([metric(y, z) for y, z in pairs]) for metric in (average_precision_score, roc_auc_score)]
    assert [*table.loc["method3", ["Acc.2", "AP3", "AUC4"]]] == [f"{100 * value:.1f}" for value in expected]


def test_what_was_not_scored_is_counted_and_a_dash_has_its_reason(artifacts: Path, content: Content) -> None:
    table = table_of(content, "methods_grid")
    shown = cells(table)
    # pictures of the table's test sets, of ours and of any other: no validation picture, none of the other study
    sources = TEST_SETS.loc[TEST_SETS["study"] == "grid", ["real", "fake"]].nunique().sum()
    assert shown.loc["shy", "pictures10"] == f"{sources * (PICTURES - 5)} of {sources * PICTURES}"
    assert shown.loc["method0", "pictures10"] == shown.loc["4-class", "pictures10"] == str(sources * PICTURES)
    assert shown.loc["shy", "s11"] == "0.250"
    left_out = [line for line in content.text if line.startswith("shy left out")]
    assert "no answer in 20 s" in left_out[0], content.text
    assert shown.loc["unbounded", "Acc.2"] == "–"
    assert shown.loc["unbounded", "AP3"] != "–"
    assert any("unbounded has no accuracy: unbounded scores" in note for note in table.notes), [
        n[:150] for n in table.notes if "validation set" in n
    ]


def test_differences_are_on_the_pictures_that_both_have_scored(artifacts: Path) -> None:
    """A detector that is the first of ours differs by nothing from it, whichever pictures it left out."""
    ours = ImageScores.read(artifacts / "validate")
    one_class = ours.take((ours.runs["classes"] == "horse").to_numpy())
    some = np.arange(len(one_class.images)) % 3 > 0
    runs = one_class.runs.assign(study="detect", training_set="twin", classes="", n_classes=None)
    images = one_class.images[some].reset_index(drop=True)
    folder = artifacts.parent / "theirs"
    ImageScores(runs, images, one_class.logits[:, some]).write(folder)
    content = detectors.make(study_of(artifacts, (folder,), ["shy"]))
    assert content is not None
    table = table_of(content, "methods_grid")
    base = next(row.cells[0].text for row in table.rows if row.strong)
    row = cells(table).loc["twin (theirs)"]
    if base == "1-class":
        assert (row["Acc.5"], row["AP6"]) == ("0.0", "0.0")
    of_grid = pd.unique(TEST_SETS.loc[TEST_SETS["study"] == "grid", ["real", "fake"]].to_numpy().ravel())
    here = (images["split"] == "test") & images["source"].isin(of_grid)
    assert row["pictures10"].startswith(f"{here.sum()} of ")

    images["path"] = "elsewhere/" + images["path"]
    ImageScores(runs, images, one_class.logits[:, some]).write(folder)
    with pytest.raises(ScoresError, match=r"theirs: none of its test pictures, such as elsewhere/.*, is one of this"):
        detectors.make(study_of(artifacts, (folder,), ["shy"]))


def test_without_detectors_the_page_is_as_it_was(artifacts: Path) -> None:
    assert detectors.make(gather(SMALL, artifacts, artifacts / "none", artifacts / "none")) is None


@pytest.mark.parametrize("documented", [{"study": "detect"}, {"study": "validate", "variant": ["MyDetector", "Other"]}])
def test_means_alone_are_drawn_as_documented_in_a_folder_of_their_own(tmp_path: Path, documented: dict) -> None:
    empty = dict.fromkeys(("n_classes", "classes", *NONE, "fraction", "val_acc", "val_loss", "variant"), "")
    rows = [
        {"training_set": name, "backbone": "theirs", "generator": generator, "acc": acc, "ap": acc + 0.05}
        for name, acc in (("MyDetector", 0.6), ("Other", 0.7))
        for generator in ("crn", "imle", "dalle2")
    ]
    table = pd.DataFrame(rows).assign(**empty)
    for column, value in documented.items():
        table[column] = np.repeat(value, 3) if isinstance(value, list) else value
    table.to_csv(tmp_path / "mine.csv", index=False)
    paths = Paths(page=tmp_path / "page", published=tmp_path / "none")
    report_scores(tmp_path / "mine.csv", paths)
    page = (tmp_path / "page" / "report.md").read_text()
    assert "| Other | 75.0 | 70.0 | 75.0 |" in page
    assert page.index("| Other |") < page.index("| MyDetector |")  # the better first
    assert "Methods on Synthbuster" in page


def test_a_row_that_nothing_draws_and_the_studys_own_page_are_refused(tmp_path: Path, monkeypatch) -> None:
    write_stage(tmp_path / "ours", [made_run("perturb", ("horse",), 0, variant="perturb:rain")], "grid")
    paths = Paths(page=tmp_path / "page", published=tmp_path / "none")
    with pytest.raises(ScoresError, match=r"line 2 \(and 4 more rows\): nothing draws a row of study 'perturb'"):
        report_scores(tmp_path / "ours" / "scores.csv", paths)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is the page of the study: give another folder"):
        report_scores(tmp_path / "ours" / "scores.csv", Paths())
    with pytest.raises(ScoresError, match="is a folder"):
        report_scores(tmp_path / "ours", paths)
