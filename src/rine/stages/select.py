"""`rine select`: which configuration of the grid, by which rule, and what each rule is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rine.scores import ImageScores, read_scores
from rine.selection import Grid, choose, generators_table, grid_of, rules_table

if TYPE_CHECKING:
    from rich.table import Table

CLASSES = {
    1: "one_class",
    2: "two_class",
    4: "four_class",
}  # settings of the published grid, by number of classes


def select(
    folders: Mapping[tuple[str, str], Path],
    rules: Mapping[str, str],
    encoder: str,
    top: int,
    test_sets: pd.DataFrame,
    out: Path,
    metrics: Path,
) -> str:
    """Choose for each setting among the runs of `encoder`; write the choices, and all rules side by side.

    `folders`: (encoder, setting) -> scores folder; `rules`: setting -> rule. Writes `out/choices/<setting>.json` (xi, q,
    proj_dim, epochs, and `top`, a list of the best so many), `out/rules.csv`, `out/generators.csv` and the metrics file.
    A setting that has no scores of `encoder` is left out, and the line that is returned says so.
    """
    grids = {key: _read(folder, test_sets) for key, folder in folders.items()}
    by_key = {key: grid for key, grid in grids.items() if grid is not None}
    (out / "choices").mkdir(parents=True, exist_ok=True)
    said = []
    for setting in dict.fromkeys(setting for _, setting in folders):
        grid = by_key.get((encoder, setting))
        if grid is None:
            said.append(f"{setting}: no test set has pictures")
            continue
        best = choose(grid, rules[setting], top)
        choice = {**best[0], "rule": rules[setting], "encoder": encoder, "top": best}
        (out / "choices" / f"{setting}.json").write_text(json.dumps(choice, indent=2) + "\n")
        said.append(
            f"{setting} xi {best[0]['xi']:g}, q {best[0]['q']}, P {best[0]['proj_dim']}"
            + _other(by_key, encoder, setting)
        )
    _write(by_key, out, metrics, encoder)
    return "; ".join(said)


def select_published(scores_file: Path | str) -> Table:
    """All rules side by side on a scores file of the published form, for each study, encoder and class setting."""
    from rich.table import Table

    shown = Table(
        title=f"Selection on {scores_file} (accuracy and AP in %, gap to the paper's rule in points)"
    )
    for column in (
        "setting",
        "encoder",
        "rule",
        "xi",
        "q",
        "P",
        "epochs",
        "acc",
        "AP",
        "gap acc",
        "gap AP",
        "note",
    ):
        shown.add_column(
            column, justify="left" if column in ("setting", "encoder", "rule", "note") else "right"
        )
    for row in published_rules(scores_file).itertuples(index=False):
        numbers = [100 * value for value in (row.acc, row.ap, row.gap_acc, row.gap_ap)]
        model = [row.xi, row.q, row.proj_dim, row.epochs]
        shown.add_row(
            row.setting,
            row.encoder,
            row.rule,
            *("" if pd.isna(value) else f"{value:g}" for value in model),
            *("" if pd.isna(value) else f"{value:.1f}" for value in numbers),
            row.reason,
            end_section=row.rule == "ensemble",
        )
    return shown


def published_rules(scores_file: Path | str) -> pd.DataFrame:
    """`rules_table` of each setting and encoder of a scores file; the settings are named by their number of classes."""
    scores = read_scores(scores_file)
    scores = scores[scores["study"].isin(["grid", "ldm"])]
    if scores.empty:
        raise ValueError(f"{scores_file} has no run of study grid or ldm: there is nothing to select from")
    parts = []
    keys = ["study", "training_set", "backbone", "classes"]
    for (study, training_set, backbone, classes), part in scores.groupby(keys, sort=False):
        setting = CLASSES.get(len(classes.split()), classes) if study == "grid" else training_set
        parts.append(rules_table(grid_of(part)).assign(setting=setting, encoder=backbone))
    return pd.concat(parts, ignore_index=True)


def _read(folder: Path, test_sets: pd.DataFrame) -> Grid | None:
    """The grid of a scores folder; None where no test set has a picture."""
    scores = read_scores(folder / "scores.csv")
    if scores.empty:
        return None
    families = dict(zip(test_sets["generator"], test_sets["family"], strict=True))
    return grid_of(scores, families, ImageScores.read(folder), test_sets)


def _other(grids: Mapping[tuple[str, str], Grid], encoder: str, setting: str) -> str:
    """A word on it where another encoder's best would have won."""
    best = {name: grid.score.mean(axis=1).max() for (name, of), grid in grids.items() if of == setting}
    winner = max(best, key=lambda name: best[name])
    return (
        ""
        if best[winner] <= best[encoder]
        else f" ({winner} would have scored {(best[winner] - best[encoder]) / 2:.3f} more)"
    )


def _write(grids: Mapping[tuple[str, str], Grid], out: Path, metrics: Path, encoder: str) -> None:
    """Write the tables of all encoders, and the headline of the one in force."""
    tables = {key: rules_table(grid) for key, grid in grids.items()}
    for name, parts in (
        ("rules.csv", tables),
        ("generators.csv", {key: generators_table(grid) for key, grid in grids.items()}),
    ):
        named = [part.assign(setting=setting, encoder=by) for (by, setting), part in parts.items()]
        table = (
            pd.concat(named, ignore_index=True)
            if named
            else pd.DataFrame(columns=["setting", "encoder", "rule"])
        )
        first = ["setting", "encoder"]
        table = table[[*first, *(column for column in table if column not in first)]]
        table.to_csv(out / name, index=False, float_format="%.6g", lineterminator="\n")
    values = {
        setting: {
            row.rule: {"acc": round(row.acc, 6), "ap": round(row.ap, 6)}
            for row in table.dropna(subset="acc").itertuples()
        }
        for (by, setting), table in tables.items()
        if by == encoder
    }
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(values, indent=2) + "\n")
