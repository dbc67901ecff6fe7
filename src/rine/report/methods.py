"""Every method that was scored on the study's pictures: our models, the baselines, detectors, other studies' runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.features.table import PICTURE
from rine.files import noted
from rine.report.labels import label_settings, settings_of
from rine.report.rules import UNSEEN, rule_value
from rine.report.study import Study
from rine.scores import ImageScores, ScoresError, summarise, test_sets_of, validation
from rine.scores.calibration import Calibration, fit
from rine.scores.of_runs import roc_auc_of_runs
from rine.scores.test_sets import with_both_classes

BASELINE = "baseline:"
TEST_BLIND = UNSEEN[0]  # the rule whose figure stands for a model that was chosen on these test sets


@dataclass(frozen=True, eq=False)
class Method:
    """One method: scores of pictures (its runs are seeds), or means alone, a row a run and generator.

    `no_threshold` says why its accuracy cannot be had. `chosen` has what the test-blind rule reports of a model that
    was chosen among others by these test sets: (study, metric) -> value.
    """

    name: str
    kind: str
    scores: ImageScores | None = None
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    no_threshold: str = ""
    seconds: float | None = None
    stored: Calibration | None = None
    chosen: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def by_generator(self, test_sets: pd.DataFrame) -> pd.DataFrame:
        """Means over runs by generator of some test sets: acc and ap; no acc without a threshold."""
        table = self.table
        if self.scores is not None:
            table = summarise(self.scores, with_both_classes(self.scores.images, test_sets))
        table = table[table["generator"].isin(test_sets["generator"])]
        means = table.groupby("generator", sort=False)[["acc", "ap"]].mean().astype(float)
        return means.assign(acc=np.nan) if self.no_threshold else means

    @cached_property
    def calibration(self) -> Calibration:
        """Fitted on the validation pictures of the first run, where it was not stored with the model."""
        if self.stored is not None:
            return self.stored
        if self.scores is None:
            return Calibration(reason="means alone, no scores of pictures")
        labels, logits = validation(self.scores)
        return fit(labels, logits[0])

    def auc(self, test_sets: pd.DataFrame) -> float:
        """Mean over generators and runs of the area under the ROC curve."""
        areas = [roc_auc_of_runs(each.labels, self._logits[:, each.rows]) for each in self.sets(test_sets)]
        return float(np.mean(areas)) if areas else float("nan")

    def at_threshold(self, test_sets: pd.DataFrame) -> tuple[float, float]:
        """Synthetic pictures found, and false alarms, at the threshold for 5 % of the real validation pictures."""
        threshold, sets = self.calibration.threshold_fpr5, self.sets(test_sets)
        if threshold is None or not sets:
            return float("nan"), float("nan")
        above = [(self._logits[0][each.rows] > threshold, each.labels) for each in sets]
        shares = [(alarm[labels].mean(), alarm[~labels].mean()) for alarm, labels in above]
        found, false = np.mean(shares, axis=0)
        return float(found), float(false)

    def sets(self, test_sets: pd.DataFrame) -> list[Any]:
        if self.scores is None:
            return []
        return test_sets_of(self.scores.images, with_both_classes(self.scores.images, test_sets))

    @property
    def _logits(self) -> np.ndarray:
        assert self.scores is not None
        return self.scores.logits


def methods_of(study: Study) -> list[Method]:
    """Ours, the baselines, the detectors of the study, and the folders that were laid beside it."""
    if study.params is None:
        return [*_of_means(study)]
    return [*_ours(study), *_baselines(study), *_detectors(study), *_others(study)]


def _ours(study: Study) -> Iterator[Method]:
    for setting, scores in study.images("validate").items():
        chosen = {
            (name, metric): rule_value(study.rules, setting, TEST_BLIND, metric)
            for name in study.sets_of(setting)["study"].unique()
            for metric in ("acc", "ap")
        }
        yield Method(setting, "ours", scores, stored=study.calibrations.get(setting), chosen=chosen)


def _baselines(study: Study) -> Iterator[Method]:
    for scores in study.images("validate/baselines").values():
        for run, variant in enumerate(scores.runs["variant"]):
            name = variant.removeprefix(BASELINE).replace("_", " ")
            yield Method(name, "baseline", scores.take(np.array([run])))


def _detectors(study: Study) -> Iterator[Method]:
    times = noted(study.detector_times)
    assert study.params is not None
    for name in study.params.detectors or {}:
        folder = study.artifacts / "detect" / name
        if (folder / "detector.json").is_file():
            about = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
            scores, seconds = ImageScores.read(folder), times.get(name)
            yield Method(name, about["kind"], scores, pd.DataFrame(), about["no_threshold"], seconds)


def _others(study: Study) -> Iterator[Method]:
    """Runs of other studies' folders, those that differ by seed alone as one; raises where no picture is ours."""
    for folder in study.others:
        scores = ImageScores.read(folder)
        scores = scores.take(np.flatnonzero(~scores.runs["variant"].str.contains(":").to_numpy()))
        here = _common(study.test_pictures, scores.images)[1]
        if not len(here):
            first = ", ".join(scores.images["path"].head(2))
            raise ScoresError(f"{folder}: none of its test pictures, such as {first}, is one of this study's")
        validation_rows = np.flatnonzero((scores.images["split"] != "test").to_numpy())
        scores = _rows(scores, np.sort(np.concatenate([here, validation_rows])))
        labels = label_settings(scores.runs, study.class_labels)["setting"]
        names = labels + scores.runs["variant"].map(lambda variant: f", {variant}" if variant else "")
        about = folder / "detector.json"
        reason = json.loads(about.read_text(encoding="utf-8"))["no_threshold"] if about.is_file() else ""
        for name in names.unique():
            runs = scores.take((names == name).to_numpy())
            yield Method(f"{name} ({_short(folder)})", "other study", runs, no_threshold=reason)


def _short(folder: Path) -> str:
    """A folder's name for people: the study's, where it lies in its artifacts."""
    parts = folder.absolute().parts
    return parts[parts.index("artifacts") - 1] if "artifacts" in parts[1:] else folder.name


def _of_means(study: Study) -> Iterator[Method]:
    """Methods of a scores file, which are told by their names; see docs/scores.md."""
    scores = study.all_scores
    rows = scores[(scores["study"] == "detect") | ((scores["study"] == "validate") & (scores["variant"] != ""))]
    if rows.empty:
        return
    names = rows["variant"].where(rows["variant"] != "", rows["training_set"])
    # a setting without classes has the method's name already
    told = rows["setting"].where(rows["variant"] == "", names + ", " + rows["setting"])
    several = rows["setting"].groupby(names).transform("nunique") > 1
    for name, table in rows.groupby(told.where(several, names), sort=False):
        yield Method(str(name).removeprefix(BASELINE), "scores file", table=table)
    for setting in settings_of(study.everywhere):
        yield Method(setting, "scores file", table=study.everywhere[study.everywhere["setting"] == setting])


def on_common(first: ImageScores, second: ImageScores) -> tuple[ImageScores, ImageScores]:
    """The test pictures that both have scored, in one order."""
    here, there = _common(first.images, second.images)
    return _rows(first, here), _rows(second, there)


def _common(first: pd.DataFrame, second: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the test pictures of both tables, in the order of the first."""
    key = [*PICTURE, "digest"]
    one, two = (
        table.assign(row=range(len(table)))[table["split"] == "test"][[*key, "row"]] for table in (first, second)
    )
    both = one.merge(two, on=key, suffixes=("_first", "_second"))
    return both["row_first"].to_numpy(), both["row_second"].to_numpy()


def _rows(scores: ImageScores, rows: np.ndarray) -> ImageScores:
    return ImageScores(scores.runs, scores.images.iloc[rows].reset_index(drop=True), scores.logits[:, rows])
