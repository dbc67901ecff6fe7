"""The paper's perturbations, and how detection fades as pictures are degraded more and more."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from rine.drawing import canvas, legend_below, line_style, percent_axis
from rine.features.table import places
from rine.pixels.degradations import DEGRADATIONS
from rine.pixels.perturbations import PERTURBATIONS
from rine.report.compared import compared_figure, compared_table
from rine.report.section import Content, Figure, Section
from rine.report.study import REPORTED_FROM, Study
from rine.scores import ImageScores, TestSet, test_sets_of
from rine.scores.of_runs import roc_auc_of_runs

MODES = {
    "paper": "as the paper describes them",
    "reference": "as the published code makes them, which is not what the paper says: its JPEG quality is "
    "always 95, its blur does not follow its kernel, its noise takes a variance as a standard deviation",
}
CURVES = {"auc": "ROC AUC (%)", "tpr": "Found at the threshold (%)", "fpr": "False alarms at it (%)"}


def make(study: Study) -> Content | None:
    scores, sweeps = study.scores("perturb"), degradation(study)
    text, tables, figures = [], [], []
    if study.params is not None and study.params.perturb is not None:
        mode = study.params.perturb.mode
        text = [f"Mode: {mode} ({MODES[mode]}). Each picture is perturbed with probability 0.5."]
    if len(scores):
        names = {f"perturb:{kind.name}": kind.title for kind in PERTURBATIONS.values()}
        heading, title = "Perturbed test pictures (%)", "Accuracy and AP on perturbed pictures"
        intervals = study.intervals(study.images("perturb"), "variant")
        tables = [compared_table(study, "perturb", heading, scores, intervals, names, "Untouched")]
        figures = [compared_figure(study, "perturb", title, scores, intervals, names, "untouched")]
    if len(sweeps):
        data = sweeps.rename(columns={"kind": "panel", "setting": "series"})
        says = (
            "ROC AUC, and what the threshold finds that lets 5 % of the real validation pictures through: the share of "
            "synthetic test pictures, and that of real ones. Means over generators, one column a degradation."
        )
        text += _without_threshold(study, list(dict.fromkeys(sweeps["setting"])))
        figures.append(Figure("degradation", "Degradation", says, lambda: draw_degradation(sweeps), data))
    return Content(text, tables, figures) if figures else None


def degradation(study: Study) -> pd.DataFrame:
    """AUC, TPR and FPR at a fixed threshold by setting, degradation and strength: means over generators, first seed.

    The threshold is the one that `best` fitted for 5 % false alarms on validation pictures; NaN where there is none.
    The first row of a kind, strength "none", is the same pictures untouched.
    """
    rows = []
    for setting, scores in study.images("perturb/degrade").items():
        threshold = _threshold(study, setting)
        sets = test_sets_of(scores.images, study.sets_of(setting))
        clean = _untouched(scores, study.images("validate").get(setting))
        for kind, runs in _sweeps(scores).items():
            name = DEGRADATIONS[kind].label if kind in DEGRADATIONS else kind
            strengths, logits = [*runs], scores.logits[[*runs.values()]]
            if clean is not None:
                strengths, logits = ["none", *strengths], np.vstack([clean, logits])
            means = _means(sets, logits, threshold)
            rows += [(setting, name, strength, *row) for strength, row in zip(strengths, means, strict=True)]
    return pd.DataFrame(rows, columns=["setting", "kind", "strength", *CURVES])


def _sweeps(scores: ImageScores) -> dict[str, dict[str, int]]:
    """Degradation -> strength -> first run with it, from variants such as `degrade:jpeg:50`."""
    sweeps: dict[str, dict[str, int]] = {}
    for run, variant in enumerate(scores.runs["variant"]):
        _, kind, strength = variant.split(":")
        sweeps.setdefault(kind, {}).setdefault(strength, run)
    return sweeps


def _untouched(scores: ImageScores, model: ImageScores | None) -> np.ndarray | None:
    """The first seed's logits of the same pictures, untouched; None where they are not all there."""
    if model is None:
        return None
    at = places(scores.images, model.images)
    return None if (at < 0).any() else model.logits[0, at]


def _threshold(study: Study, setting: str) -> float | None:
    fitted = study.calibrations.get(setting)
    return fitted.threshold_fpr5 if fitted else None


def _without_threshold(study: Study, settings: list[str]) -> list[str]:
    """Why a setting has no line in the panels of the threshold."""
    reasons: dict[str, list[str]] = {}
    for setting in settings:
        if _threshold(study, setting) is None:
            fitted = study.calibrations.get(setting)
            reasons.setdefault(fitted.reason if fitted else "no stored model", []).append(setting)
    return [
        f"{', '.join(names)}: no threshold was fitted ({reason}), so nothing is drawn of what one finds."
        for reason, names in reasons.items()
    ]


def _means(sets: list[TestSet], logits: np.ndarray, threshold: float | None) -> np.ndarray:
    """AUC, and shares of synthetic and of real pictures above the threshold, of runs (K, N): means over sets (K, 3)."""
    means = np.full((len(logits), len(CURVES)), np.nan)
    if sets:
        means[:, 0] = np.mean([roc_auc_of_runs(each.labels, logits[:, each.rows]) for each in sets], axis=0)
    if sets and threshold is not None:
        for column, label in ((1, True), (2, False)):
            found = [(logits[:, s.rows[s.labels == label]] > threshold).mean(axis=1) for s in sets]
            means[:, column] = np.mean(found, axis=0)
    return means


def draw_degradation(table: pd.DataFrame) -> Drawing:
    """AUC, and TPR and FPR at a threshold that was fixed beforehand, against strength: a column for each degradation.

    `table` has setting, kind, strength (a string; in the order of the rows), auc, tpr, fpr (0..1; NaN: no threshold).
    """
    kinds = list(dict.fromkeys(table["kind"]))
    columns = min(4, len(kinds))
    rows = -(-len(kinds) // columns)
    n = len(CURVES)
    figure, axes = canvas(n * rows, columns, 2.5 * columns + 0.6, 1.95 * n * rows + 0.5)
    for number, kind in enumerate(kinds):
        for part, (metric, label) in enumerate(CURVES.items()):
            panel = axes[n * (number // columns) + part, number % columns]
            _draw_sweep(panel, table[table["kind"] == kind], metric)
            panel.set_xlabel(kind if part == n - 1 else "")
            panel.set_ylabel(label if number % columns == 0 else "")
    for spare in axes.flat:
        if not spare.has_data():
            spare.set_axis_off()
    legend_below(figure, axes[0, 0])
    return figure


def _draw_sweep(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    strengths = list(dict.fromkeys(table["strength"]))
    for i, (setting, rows) in enumerate(table.groupby("setting", sort=False)):
        places = [strengths.index(strength) for strength in rows["strength"]]
        axes.plot(places, rows[metric], label=setting, **line_style(i))
    # by rank: qualities, sigmas and factors have scales of their own, and a chain of steps has none
    axes.set_xticks(range(len(strengths)), [str(strength) for strength in strengths])
    if table[metric].isna().all():
        axes.text(0.5, 0.5, "no threshold\nwas fitted", ha="center", va="center", transform=axes.transAxes)
    axes.set_ylim(-0.03, 1.03)
    percent_axis(axes)


SECTION = Section(
    "perturb", "Perturbations", ("perturb", *REPORTED_FROM), make, "No perturbed picture has been scored yet."
)
