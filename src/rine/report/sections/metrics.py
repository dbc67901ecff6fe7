"""Every metric, overall and by family, of the first seed's model."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from rine.dataset.generators import family_title
from rine.evaluation.means import metrics_table
from rine.evaluation.metrics import METRICS
from rine.report.labels import PAPER_METRICS
from rine.report.section import Content, Section
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import Row, Table, percent, text
from rine.scores import ImageScores, test_sets_of

MORE = {"roc_auc": "AUC", "tpr_at_fpr5": "TPR5"}  # by family, beside accuracy and AP


def make(study: Study) -> Content | None:
    models = study.images("validate")
    if not models or study.test_sets.empty or study.one_class:
        return None
    tables = {setting: _metrics_of(study, setting, scores) for setting, scores in models.items()}
    overall = {name: table[table["level"] == "overall"].set_index("metric")["value"] for name, table in tables.items()}
    rows = [
        Row([text(metric.title), *(percent(values.get(name)) for values in overall.values())])
        for name, metric in METRICS.items()
        if name not in {"nll", "calibrated_nll"}
    ]
    notes = ["Means over generators, in per cent; the first seed's model; calibrated on validation pictures only."]
    notes += _reasons(tables)
    table = Table("metrics", "Means over generators of every metric (%)", ["Metric", *overall], rows, notes=notes)
    return Content(tables=[table, _family_table(study, tables)])


def _metrics_of(study: Study, setting: str, scores: ImageScores) -> pd.DataFrame:
    """Metrics of a setting's first seed on the test sets of its study."""
    sets = test_sets_of(scores.images, study.sets_of(setting))
    return metrics_table(
        [(each.generator, each.family, each.labels, scores.logits[0, each.rows]) for each in sets],
        study.calibrations.get(setting),
    )


def _reasons(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Why a metric is missing for a setting on every test set, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for setting, table in tables.items():
        overall = table[(table["level"] == "overall") & table["value"].isna()].set_index("metric")
        by_metric = table[table["level"] == "generator"].groupby("metric")["reason"].first()
        for name in overall.index.intersection([name for name in METRICS if "nll" not in name]):
            reasons.setdefault((setting, str(by_metric[name])), []).append(METRICS[str(name)].title)
    return [f"– in {setting}: {', '.join(titles)}: {reason}." for (setting, reason), titles in reasons.items()]


def _family_table(study: Study, tables: Mapping[str, pd.DataFrame]) -> Table:
    """Accuracy and AP (means over seeds), AUC and TPR (the first seed's) by family and setting."""
    families = study.reported["generator"].map(study.family)
    rows = []
    for family in dict.fromkeys(families):
        cells = [text(family_title(family))]
        for setting, table in tables.items():
            scores = study.reported[(families == family) & (study.reported["setting"] == setting)]
            names = list(dict.fromkeys(scores["generator"]))
            for metric in PAPER_METRICS:
                interval = study.model_intervals.of(setting, metric, names) if names else None
                cells.append(percent(scores[metric].mean() if names else None, interval))
            values = table[(table["level"] == "family") & (table["name"] == family)].set_index("metric")["value"]
            cells += [percent(values.get(metric)) for metric in MORE]
        rows.append(Row(cells))
    notes = ["AUC and TPR5, the synthetic pictures found at 5 % false alarms: of the first seed's model."]
    groups = [("", 1), *((setting, 4) for setting in tables)]
    columns = ["Family", *["Acc.", "AP", *MORE.values()] * len(tables)]
    return Table(
        "families",
        "By family of generators (%)",
        columns,
        rows,
        groups,
        notes,
        "no generator of the family in that setting, or as in the table above",
    )


SECTION = Section("metrics", "More metrics", REPORTED_FROM, make)
