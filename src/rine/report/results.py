"""Sections on what the chosen models score: headline, generators, metrics, curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from rine.evaluation.metrics import METRICS as ALL_METRICS
from rine.evaluation.metrics import metrics_table
from rine.generators import FAMILY_TITLE, title
from rine.plots import curves, grid, studies
from rine.report.labels import LDM
from rine.report.reading import RULE_COLUMNS
from rine.report.section import METRIC_NAMES, Figure, Section, long
from rine.report.study import Study
from rine.scores import ImageScores, test_sets_of
from rine.tables.estimates import METRICS, Intervals, bounds, by_generator
from rine.tables.generators import METRIC_TITLE, generator_table
from rine.tables.headline import (
    RULES,
    across_table,
    headline_table,
    means_table,
    pairs_table,
    rule_name,
    rules_table,
)
from rine.tables.table import Row, Table, percent, text


def headline(study: Study, nested: Intervals) -> Section:
    """The nested estimates with the paper's figure beside them, and every rule."""
    rules, known = study.rules, study.published_rules
    if rules.empty:
        return Section("headline", "Headline", ["No configuration has been chosen yet."])
    tables = [
        headline_table(rules, known, nested),
        rules_table("rules", "Selection rules side by side (%)", rules, nested),
    ]
    if len(known) and not known[[*RULE_COLUMNS]].equals(rules[[*RULE_COLUMNS]]):
        tables.append(
            rules_table("rules_published", "The same rules on the published scores (%)", known, explain=False)
        )
    data = rules.dropna(subset="acc").assign(panel=rules["setting"], rule=rules["rule"].map(rule_name))
    figure = Figure(
        "rules", "What each selection rule reports", "One row a rule, one marker a setting.",
        lambda: studies.rules(rules.dropna(subset="acc"), list(RULES)), long(data, ["panel", "rule"], "series"),
    )  # fmt: skip
    return Section("headline", "Headline", tables=tables, figures=[figure])


def generators(study: Study, ours: pd.DataFrame, known: pd.DataFrame, found: Intervals, nested: Intervals) -> Section:
    """The main tables: models trained on ProGAN, by generator."""
    mine = ours[ours["setting"] != LDM]
    if mine.empty:
        return Section("generators", "Generators", ["No model has been scored on the test sets yet."])
    section = _generator_section(study, "generators", "Generators", mine, known, found, nested)
    settings = list(dict.fromkeys(mine["setting"]))
    extra = [means_table(mine, found, settings)]
    compared = [name for name in settings if found.of(name, "acc")]
    if len(compared) > 1:
        extra.append(pairs_table(mine, found, compared))
    return Section("generators", section.title, tables=[*extra, *section.tables], figures=section.figures)


def latent_diffusion(
    study: Study, ours: pd.DataFrame, everywhere: pd.DataFrame, known: pd.DataFrame, found: Intervals, nested: Intervals
) -> Section:
    """The model trained on latent diffusion, on Synthbuster; and every model on both studies' test sets."""
    name, mine = "Latent diffusion, on Synthbuster", ours[ours["setting"] == LDM]
    if mine.empty:
        return Section("ldm", name, ["No model has been trained on latent diffusion yet."])
    section = _generator_section(study, "ldm", name, mine, known, found, nested)
    extra = [means_table(mine, found, [LDM])]
    synthbuster = pd.Series([study.at_home(LDM, generator) for generator in everywhere["generator"]], everywhere.index)
    if len(everywhere) > len(ours):
        grid_sets, ldm_sets = (study.intervals_on(setting) for setting in ("", LDM))
        extra.append(
            across_table(
                everywhere,
                [("ForenSynths and diffusion", ~synthbuster, grid_sets), ("Synthbuster", synthbuster, ldm_sets)],
            )
        )
    tables = [replace(extra[0], key="means_ldm"), *extra[1:], *section.tables]
    return Section("ldm", name, tables=tables, figures=section.figures)


def _generator_section(
    study: Study, key: str, heading: str, mine: pd.DataFrame, known: pd.DataFrame, found: Intervals, nested: Intervals
) -> Section:
    tricks = shortcut_warnings(study)
    tables = [
        generator_table(
            f"{key}_{metric}",
            f"{METRIC_TITLE[metric]} by generator (%)",
            metric,
            mine,
            known,
            found,
            study.family,
            tricks,
            study.rules,
            study.published_rules,
            nested,
        )
        for metric in METRICS
    ]
    data = beside(mine, known)
    columns = ["panel", "series", "generator", "ours", "published"]
    figure = Figure(
        key, "Ours and published by generator", "One row a generator: a diamond for ours, a circle for published.",
        lambda: grid.beside(data), data.assign(panel=data["setting"], series=data["metric"].map(METRIC_NAMES))[columns],
    )  # fmt: skip
    return Section(key, heading, tables=tables, figures=[figure])


def beside(ours: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows of setting, generator (label), metric, ours, published."""
    keys = ["setting", "generator", "metric"]
    mine, theirs = (by_generator(scores).stack().rename_axis(keys) for scores in (ours, known))
    table = pd.DataFrame({"ours": mine}).join(pd.DataFrame({"published": theirs})).reset_index()
    return table.assign(generator=table["generator"].map(title))


def shortcut_warnings(study: Study) -> dict[str, float]:
    """Generator -> AP that its files reach without a pixel, where the doctor warns of it."""
    if study.findings.empty or study.shortcuts.empty:
        return {}
    loud = study.findings.loc[study.findings["severity"] == "warning", "set"]
    found = study.shortcuts[study.shortcuts["set"].isin(loud)].dropna(subset="ap")
    return dict(zip(found["set"], found["ap"], strict=True))


def metrics(study: Study, ours: pd.DataFrame, found: Intervals) -> Section:
    """Every metric, overall and by family, of the first seed's model."""
    if not study.models or study.test_sets.empty:
        return Section("metrics", "More metrics")
    tables = {name: _metrics_of(study, name, scores) for name, scores in study.models.items()}
    overall = {name: table[table["level"] == "overall"].set_index("metric")["value"] for name, table in tables.items()}
    rows = [
        Row([text(metric.title), *(percent(values.get(name)) for values in overall.values())])
        for name, metric in ALL_METRICS.items()
        if name not in {"nll", "calibrated_nll"}
    ]
    notes = ["Means over generators, in per cent; the first seed's model; calibrated on validation pictures only."]
    table = Table("metrics", "Means over generators of every metric (%)", ["Metric", *overall], rows, notes=notes)
    return Section("metrics", "More metrics", tables=[table, _family_table(study, tables, ours, found)])


def _metrics_of(study: Study, setting: str, scores: ImageScores) -> pd.DataFrame:
    """Metrics of a setting's first seed on the test sets of its study."""
    sets = test_sets_of(scores.images, study.home_sets(setting))
    return metrics_table(
        [(each.generator, each.family, each.labels, scores.logits[0, each.rows]) for each in sets],
        study.calibrations.get(setting),
    )


def _family_table(study: Study, tables: Mapping[str, pd.DataFrame], ours: pd.DataFrame, found: Intervals) -> Table:
    """Accuracy and AP (means over seeds), AUC and TPR (the first seed's) by family and setting."""
    more = {"roc_auc": "AUC", "tpr_at_fpr5": "TPR5"}
    families = ours["generator"].map(study.family)
    rows = []
    for family in dict.fromkeys(families):
        cells = [text(FAMILY_TITLE.get(family, family))]
        for setting, table in tables.items():
            mine = ours[(families == family) & (ours["setting"] == setting)]
            names = list(dict.fromkeys(mine["generator"]))
            for metric in METRICS:
                band = bounds(found.of(setting, metric, names)) if names else ()
                cells.append(percent(mine[metric].mean() if names else None, *band))
            values = table[(table["level"] == "family") & (table["name"] == family)].set_index("metric")["value"]
            cells += [percent(values.get(metric)) for metric in more]
        rows.append(Row(cells))
    groups = [("", 1), *((name, 4) for name in tables)]
    notes = ["AUC and TPR5, the synthetic pictures found at 5 % false alarms: of the first seed's model."]
    columns = ["Family", *["Acc.", "AP", *more.values()] * len(tables)]
    return Table("families", "By family of generators (%)", columns, rows, groups, notes)


def curve_section(study: Study) -> Section:
    """ROC and precision-recall curves by family."""
    if not study.models or study.test_sets.empty:
        return Section("curves", "Curves")
    figures = []
    for kind, name in (("roc", "ROC curves by family"), ("pr", "Precision-recall curves by family")):
        points = pd.DataFrame(_points(study, kind), columns=["setting", "family", "x", "y"])
        if len(points):
            figures.append(_curve_figure(kind, name, points))
    return Section("curves", "Curves", figures=figures)


def _curve_figure(kind: str, name: str, points: pd.DataFrame) -> Figure:
    data = points.rename(columns={"setting": "panel", "family": "series"})
    says = "One line a family of generators, one panel a setting; the pictures of a family's generators taken together."
    return Figure(kind, name, says, lambda: curves.curves(points, kind), data)


def _points(study: Study, kind: str) -> Iterator[tuple[str, str, float, float]]:
    for setting, scores in study.models.items():
        logits = scores.logits[0]  # the first seed's model
        rows: dict[str, set[int]] = {}
        for each in test_sets_of(scores.images, study.home_sets(setting)):
            rows.setdefault(each.family, set()).update(each.rows.tolist())  # reals that sets share count once
        for family, those in rows.items():
            index = np.array(sorted(those))
            x, y = curves.curve_points(kind, scores.images["label"].to_numpy()[index], logits[index])
            name = FAMILY_TITLE.get(family, family)
            yield from ((setting, name, round(a, 4), round(b, 5)) for a, b in zip(x.tolist(), y.tolist(), strict=True))
