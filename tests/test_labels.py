"""Runs that differ by more than their seed are never averaged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from made_study import run
from rine.report.labels import label_settings, labels_of
from rine.report.methods import methods_of
from rine.report.reading import refuse_undrawn
from rine.report.study import from_scores
from rine.report.table import Table
from rine.report.write import compile_report
from rine.scores.table import COLUMNS, ScoresError, read_scores, write_scores


def rows(**columns: object) -> list[dict[str, object]]:
    """Scores of one run on two generators."""
    base = run("validate", ("horse", "chair"), 0, val_acc=0.9, val_loss=0.1)
    return [base | {"generator": g, "acc": 0.6, "ap": 0.7} | columns for g in ("crn", "imle")]


def written(path: Path, *parts: list[dict[str, object]]) -> Path:
    table = pd.DataFrame([row for part in parts for row in part])
    table[[*COLUMNS, "seed"]].to_csv(path, index=False)
    return path


def means(path: Path) -> Table:
    study = from_scores(path, path.parent / "published")
    tables = [table for content in compile_report(study).values() for table in content.tables]
    return next(table for table in tables if table.key == "means")


@pytest.mark.parametrize(
    ("one", "other", "labels"),
    [
        ({"backbone": "A"}, {"backbone": "B", "acc": 0.9}, ["2-class, A", "2-class, B"]),
        ({"xi": 0.1}, {"xi": 0.2, "acc": 0.9}, ["2-class, xi 0.1", "2-class, xi 0.2"]),
        ({"training_set": "a"}, {"training_set": "b"}, ["2-class, a", "2-class, b"]),
        ({"classes": "", "n_classes": 2}, {"classes": "", "n_classes": 4}, ["progan, 2-class", "progan, 4-class"]),
        ({"classes": "", "n_classes": None}, {}, ["progan", "2-class"]),
    ],
)
def test_runs_that_differ_have_columns_of_their_own(
    tmp_path: Path, one: dict[str, object], other: dict[str, object], labels: list[str]
) -> None:
    table = means(written(tmp_path / "scores.csv", rows(**one), rows(**other)))
    assert [row.cells[0].text for row in table.rows] == labels
    assert [row.cells[1].text for row in table.rows] == [f"{100 * part.get('acc', 0.6):.1f}" for part in (one, other)]


def test_seeds_are_averaged_and_counted(tmp_path: Path) -> None:
    table = means(written(tmp_path / "scores.csv", rows(), rows(seed=1, acc=0.8)))
    [row] = table.rows
    assert row.cells[1].text == "70.0"
    assert row.cells[list(table.columns).index("Seeds")].text == "2"


def test_a_number_of_classes_that_contradicts_their_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match=r"line 4, column n_classes: 4.*how many classes the column classes names"):
        read_scores(written(tmp_path / "scores.csv", rows(), rows(n_classes=4, seed=1)))


def test_the_order_of_classes_makes_no_other_run(tmp_path: Path) -> None:
    path = written(tmp_path / "scores.csv", rows(classes="horse chair"), rows(classes="chair horse"))
    with pytest.raises(ScoresError, match="crn stands at line 2 already"):
        read_scores(path)


def test_a_number_of_classes_that_is_left_out_is_that_of_their_names(tmp_path: Path) -> None:
    path = written(tmp_path / "scores.csv", rows(), rows(n_classes=None, acc=0.9))
    with pytest.raises(ScoresError, match="crn stands at line 2 already"):
        read_scores(path)


@pytest.mark.parametrize("own", [{"study": "detect"}, {"study": "validate", "variant": "MyDetector"}])
def test_runs_of_a_method_that_differ_have_rows_of_their_own(tmp_path: Path, own: dict[str, object]) -> None:
    """By their means alone: a method is told apart as our models are, and its name stands there once."""
    alike = {"training_set": "mine", "classes": "", "n_classes": None, **own}
    study = from_scores(written(tmp_path / "s.csv", rows(**alike), rows(**alike | {"epochs": 9}, acc=0.8)), tmp_path)
    names = [method.name for method in methods_of(study)]
    name = str(own.get("variant", "mine"))
    before = f"{name}, " if "variant" in own else ""
    assert names == [f"{before}mine, epochs {n}" for n in (5, 9)]


@pytest.mark.parametrize("study", ["detect", "validate"])
def test_a_methods_perturbed_pictures_are_no_method(tmp_path: Path, study: str) -> None:
    path = written(tmp_path / "scores.csv", rows(study=study, variant="perturb:blur"))
    with pytest.raises(ScoresError, match="nothing draws a row of study"):
        refuse_undrawn(from_scores(path, tmp_path).all_scores, str(path))


def test_a_grid_keeps_its_configurations_under_one_setting(tmp_path: Path) -> None:
    path = written(tmp_path / "scores.csv", rows(study="grid", xi=0.1), rows(study="grid", xi=0.2, backbone="B"))
    table = read_scores(path)
    assert set(label_settings(table, labels_of(table))["setting"]) == {"2-class"}
    write_scores(table, tmp_path / "again.csv")
