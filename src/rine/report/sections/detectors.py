"""Every method side by side: ours, the baselines, other detectors, other studies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.drawing import EDGE, canvas, percent_axis
from rine.pixels.perturbations import PERTURBATIONS
from rine.report.labels import PAPER_METRICS
from rine.report.methods import Method, methods_of
from rine.report.section import Content, Figure, Section, long
from rine.report.standings import (
    by_expectation,
    calibrated_error,
    differences_from,
    interval_of,
    intervals_of,
    n_pictures,
    reasons,
    sets_of_methods,
    unseen,
)
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import CHANCE_NOTE, MISSING, Cell, Row, Table, difference, number, percent, text
from rine.scores import ImageScores

DASH = "no threshold or calibration (reasons above), means alone without pictures, or seconds that were not measured"
STUDIES = {"grid": "the test sets", "ldm": "Synthbuster"}  # the paper never averages the two together
COLUMNS = ["Method", "unseen", "Acc.", "AP", "AUC", "Acc.", "AP", "found", "false", "ECE", "pictures", "s"]
GROUPS = [("", 1), ("AP", 1), ("On these test sets", 3), ("Less the first of ours", 2), ("By validation pictures", 3),
          ("Scored", 2)]  # fmt: skip


def make(study: Study) -> Content | None:
    if study.params is not None and not study.params.detectors and not study.others:
        return None
    methods = methods_of(study)
    if not methods:
        return None
    tables, figures = [], []
    for name, words in STUDIES.items():
        sets = sets_of_methods(study, methods, name)
        shown = by_expectation([each for each in methods if len(each.by_generator(sets))], sets, name)
        if not shown:
            continue
        tables.append(methods_table(study, name, words, shown, sets))
        tables += [
            _generators(study, f"methods_{name}_{metric}", metric, words, shown, sets) for metric in PAPER_METRICS
        ]
        figures.append(_figure(study, name, words, shown, sets))
    perturbed = _perturbed(study, methods)
    return Content(_left_out(study, methods), [*tables, *perturbed], figures)


def methods_table(study: Study, name: str, words: str, methods: Sequence[Method], sets: pd.DataFrame) -> Table:
    """A row for each method, in the order of what to expect on an unseen generator."""
    base = next((each for each in methods if each.kind == "ours"), None)
    of_methods = intervals_of(study, methods, sets)
    rows = []
    for method in methods:
        means = method.by_generator(sets).mean()
        cells = [text(method.name), percent(unseen(method, sets, name))]
        cells += [percent(means[metric], interval_of(method, metric, of_methods)) for metric in PAPER_METRICS]
        cells += [percent(method.auc(sets)), *_against(study, method, base, sets)]
        cells += [percent(value) for value in method.at_threshold(sets)]
        scored = text(_counted(study, method, sets))
        cells += [percent(calibrated_error(method, sets)), scored, number(method.seconds, 3)]
        rows.append(Row(cells, strong=method is base))
    notes = [
        "Sorted by AP to expect on an unseen generator: of ours what leaving each generator out of the choice reports; "
        "nothing was chosen on these test sets for the others. Differences: on the pictures that both have scored, in "
        "points. Found and false: synthetic and real test pictures above the threshold that 5 % of the real validation "
        "pictures pass; ECE: expected calibration error after calibration on them; both of the first run. "
        "Pictures: of these test sets. s: seconds a picture on this machine, of ours not measured apart.",
        CHANCE_NOTE,
        *dict.fromkeys(reasons(methods)),
    ]
    return Table(f"methods_{name}", f"Methods on {words} (%)", COLUMNS, rows, GROUPS, notes, DASH)


def _against(study: Study, method: Method, base: Method | None, sets: pd.DataFrame) -> list[Cell]:
    """Differences of accuracy and AP from the first of ours."""
    if method is base or base is None or (differences := differences_from(base, method, study, sets)) is None:
        return [Cell("" if method is base else MISSING)] * len(PAPER_METRICS)
    return [difference(*differences[metric], bounds=True) for metric in PAPER_METRICS]


def _counted(study: Study, method: Method, sets: pd.DataFrame) -> str:
    """How many pictures of the test sets it has scored, and of how many where that is not all."""
    if method.scores is None:
        return MISSING
    n, n_all = (n_pictures(images, sets) for images in (method.scores.images, study.test_pictures))
    return str(n) if n == n_all else f"{n} of {n_all}"


def _generators(
    study: Study, key: str, metric: str, words: str, methods: Sequence[Method], sets: pd.DataFrame
) -> Table:
    """A row for each generator, a column for each method."""
    means = pd.DataFrame({each.name: each.by_generator(sets)[metric] for each in methods})
    there = [name for name in sets["generator"] if name in means.index]
    rows = [Row([text(study.title(name)), *map(percent, means.loc[name])]) for name in there]
    rows.append(Row([text("Mean"), *map(percent, means.mean())], strong=True))
    return Table(key, f"{PAPER_METRICS[metric]} of every method by generator, {words} (%)", ["Generator", *means], rows,
                 dash="no threshold (see above), or not enough of its pictures scored")  # fmt: skip


def _perturbed(study: Study, methods: Sequence[Method]) -> list[Table]:
    """AP of ours and the detectors on perturbed test pictures."""
    if study.params is None or study.params.perturb is None:
        return []
    sets = study.test_sets[study.test_sets["study"] == "grid"]
    parts = {each.name: study.images("perturb").get(each.name) for each in methods if each.kind == "ours"}
    for name in study.params.detectors or {}:
        folder = study.artifacts / "detect" / name / "perturb"
        parts[name] = ImageScores.read(folder) if (folder / "runs.csv").is_file() else None
    kinds = [f"perturb:{kind}" for kind in study.params.perturb.kinds]
    untouched = {each.name: each.by_generator(sets)["ap"].mean() for each in methods}
    rows = []
    for name, scores in parts.items():
        if scores is None:
            continue
        runs = [scores.take((scores.runs["variant"] == kind).to_numpy()) for kind in kinds]
        means = [Method(name, "", run).by_generator(sets)["ap"].mean() for run in runs]
        rows.append(Row([text(name), percent(untouched[name]), *map(percent, means)]))
    titles = [PERTURBATIONS[kind].title if kind in PERTURBATIONS else kind for kind in study.params.perturb.kinds]
    columns = ["Method", "Untouched", *titles]
    return (
        [Table("methods_perturb", "AP of every method on perturbed test pictures (%)", columns, rows)] if rows else []
    )


def _left_out(study: Study, methods: Sequence[Method]) -> list[str]:
    """What was not scored, and the commonest reason for it."""
    lines = []
    for method in methods:
        file = study.artifacts / "detect" / method.name / "faults.csv"
        faults = pd.read_csv(file, keep_default_na=False) if file.is_file() else pd.DataFrame()
        if len(faults):
            reason, n = faults["reason"].value_counts().index[0], faults["reason"].value_counts().iloc[0]
            rest = f" and {faults['reason'].nunique() - 1} other reasons" if faults["reason"].nunique() > 1 else ""
            lines.append(f"{method.name} left out {len(faults)} pictures and views of them: {reason} ({n}){rest}.")
    return lines


def _figure(study: Study, name: str, words: str, methods: Sequence[Method], sets: pd.DataFrame) -> Figure:
    of_methods = intervals_of(study, methods, sets)
    rows = []
    for method in methods:
        means = method.by_generator(sets).mean()
        bounds = {metric: interval_of(method, metric, of_methods) for metric in PAPER_METRICS}
        ends = {
            f"{metric}_{end}": getattr(interval, end) if interval else math.nan
            for metric, interval in bounds.items()
            for end in ("low", "high")
        }
        rows.append({"method": method.name, "ours": method.kind == "ours", **means, **ends})
    table = pd.DataFrame(rows)
    says = "One row a method, in the order of the table: its mean over the test sets and, as a line, its interval."
    data = long(table.assign(panel="methods"), ["panel", "method"], "series")
    key = "methods" if name == "grid" else f"methods_{name}"
    return Figure(key, f"Every method on {words}", says, lambda: draw_methods(table), data)


def draw_methods(table: pd.DataFrame) -> Drawing:
    """Accuracy and AP side by side; `table` has method, ours, acc, ap, and acc_low, acc_high, ... (0..1)."""
    places = np.arange(len(table))[::-1]
    figure, axes = canvas(1, 2, 9, 1.0 + 0.32 * len(table), sharey=True)
    colours = np.where(table["ours"], "#2c77b0", "#e8a33d")
    for (metric, label), panel in zip(PAPER_METRICS.items(), axes[0], strict=True):
        panel.hlines(places, table[f"{metric}_low"], table[f"{metric}_high"], color="#777777", linewidth=1.4)
        panel.scatter(table[metric], places, c=colours, edgecolors=EDGE, linewidths=0.5, s=34, zorder=3)
        panel.axvline(0.5, color="#b00020", linewidth=0.8, linestyle=(0, (4, 3)))  # chance
        panel.set_yticks(places, table["method"])
        panel.grid(axis="x")
        panel.set_xlabel(f"{label} (%)")
        percent_axis(panel, "x")
    return figure


SECTION = Section("detectors", "Methods", ("detect", *REPORTED_FROM, "select", "perturb"), make)
