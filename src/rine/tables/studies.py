"""The tables of the single experiments, each from a scores table with the column `setting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from rine.tables.estimates import CONFIGURATION, METRICS, Intervals, bounds, run_means
from rine.tables.head_size import n_parameters
from rine.tables.table import CHANCE_NOTE, Cell, Row, Table, difference, number, percent, text

VARIANTS = {
    "contrastive": "without the contrastive loss",
    "importance": "without the importance estimator (mean over blocks)",
    "intermediate": "without intermediate blocks (last block only)",
}
SHORT = {
    "contrastive": "no contrastive loss",
    "importance": "no importance estimator",
    "intermediate": "last block only",
}
KINDS = {
    "blur": "Blur", "crop": "Crop", "compress": "JPEG compression", "noise": "Noise", "combined": "Combined",
}  # fmt: skip


def settings_of(scores: pd.DataFrame) -> list[str]:
    """Settings in the order in which they stand there."""
    return list(dict.fromkeys(scores["setting"]))


def _groups(settings: Sequence[str], each: int) -> list[tuple[str, int]]:
    return [("", 1), *((setting, each) for setting in settings)]


def compared_table(
    key: str,
    heading: str,
    scores: pd.DataFrame,
    full: pd.DataFrame,
    names: Mapping[str, str],
    own: Intervals,
    found: Intervals,
    whole: str = "Whole method",
) -> Table:
    """Variants beside the chosen models: accuracy and AP of each, and the difference.

    `names` maps a value of the column `variant` to words. `own` are the intervals of the chosen models, `found` those
    of the variants.
    """
    settings = settings_of(scores)
    means, base = _means(scores, "variant"), full.groupby("setting", sort=False)[list(METRICS)].mean()
    rows = [Row([text(whole), *_whole_cells(base, settings, own)], strong=True)]
    for variant, words in names.items():
        if variant not in set(scores["variant"]):
            continue
        cells = [text(words)]
        for setting in settings:
            for metric in METRICS:
                value = means[metric].get((setting, variant))
                before = base[metric].get(setting)
                apart = value - before if value is not None and before is not None else None
                paired = found.less(setting, metric, own, setting, variant)
                cells.append(percent(value, *bounds(found.of(setting, metric, value=variant))))
                cells.append(difference(apart, bool(paired and paired.chance)))
        rows.append(Row(cells))
    notes = [CHANCE_NOTE] if found.groups else []
    columns = ["", *["Acc.", "diff.", "AP", "diff."] * len(settings)]
    return Table(key, heading, columns, rows, _groups(settings, 4), notes)


def _whole_cells(base: pd.DataFrame, settings: Sequence[str], own: Intervals) -> list[Cell]:
    cells = []
    for setting in settings:
        for metric in METRICS:
            cells += [percent(base[metric].get(setting), *bounds(own.of(setting, metric))), Cell("")]
    return cells


def _means(scores: pd.DataFrame, by: str) -> pd.DataFrame:
    return scores.groupby(["setting", by], sort=False, dropna=False)[list(METRICS)].mean()


def steps_table(
    key: str,
    heading: str,
    scores: pd.DataFrame,
    by: str,
    first: str,
    found: Intervals,
    scale: float = 1,
    unit: str = "",
) -> Table:
    """Means over generators by setting and by a number: epochs, or the share of the training pictures."""
    settings, means = settings_of(scores), _means(scores, by)
    rows = []
    for value in sorted(scores[by].dropna().unique()):
        cells = [
            percent(means[metric].get((setting, value)), *bounds(found.of(setting, metric, value=value)))
            for setting in settings
            for metric in METRICS
        ]
        rows.append(Row([text(f"{scale * value:g}{unit}"), *cells]))
    return Table(key, heading, [first, *["Acc.", "AP"] * len(settings)], rows, _groups(settings, 2))


def sizes_table(runs: pd.DataFrame, encoder: str, found: Intervals) -> Table:
    """Head sizes of one encoder: parameters by q and P, mean accuracy and AP over xi and seeds."""
    runs = runs[runs["backbone"] == encoder]
    settings = settings_of(runs)
    means = runs.groupby(["setting", "q", "d"], sort=False)[list(METRICS)].mean()
    rows = []
    for q, proj_dim, size in (
        runs[["q", "d", "parameters"]].drop_duplicates().sort_values("parameters").itertuples(index=False)
    ):
        head = f"q {q}, P {proj_dim}"
        cells = [
            percent(means[metric].get((setting, q, proj_dim)), *bounds(found.of(setting, metric, value=head)))
            for setting in settings
            for metric in METRICS
        ]
        rows.append(Row([text(head), number(size, 0), *cells]))
    columns = ["Head", "Parameters", *["Acc.", "AP"] * len(settings)]
    groups = [("", 2), *((setting, 2) for setting in settings)]
    return Table("head_sizes", f"Size of the head ({encoder}), means over ξ", columns, rows, groups)


def configurations_table(models: pd.DataFrame, sizes: Mapping[str, tuple[int, int]]) -> Table:
    """What each reported model is: encoder, configuration, epochs, parameters, seeds."""
    rows = []
    for setting, mine in models.groupby("setting", sort=False):
        one = mine.iloc[0]
        size = sizes.get(str(one["backbone"]))
        known = size is not None and pd.notna(one["q"]) and pd.notna(one["d"])
        count = n_parameters(int(one["q"]), int(one["d"]), *size) if known and size else None
        plain = [Cell("–" if pd.isna(one[name]) else f"{one[name]:g}") for name in CONFIGURATION]
        rows.append(
            Row(
                [text(setting), text(one["backbone"]), *plain, number(count, 0), number(mine["seed"].nunique() or 1, 0)]
            )
        )
    columns = ["Setting", "Encoder", "ξ", "q", "P", "Epochs", "Parameters", "Seeds"]
    return Table("models", "The models behind the figures", columns, rows)


def with_parameters(scores: pd.DataFrame, sizes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Run means with the column `parameters`, of the runs whose encoder's size is known."""
    runs = run_means(scores[scores["backbone"].isin(list(sizes))])
    shapes = zip(runs["q"], runs["d"], runs["backbone"], strict=True)
    counts = [n_parameters(int(q), int(proj_dim), *sizes[encoder]) for q, proj_dim, encoder in shapes]
    return runs.assign(parameters=counts)
