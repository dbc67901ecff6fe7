"""`rine select`: which configuration of the grid, by which rule, and what each rule is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rine.scores import ImageScores, read_scores
from rine.scores.grid import Grid, grid_of
from rine.scores.publish import write_metrics
from rine.scores.selection import CHOOSING, choose, generators_table, rules_of, rules_table

if TYPE_CHECKING:
    from rich.table import Table


def select(
    folders: Mapping[tuple[str, str], Path],
    rules: Mapping[str, str],
    encoder: str,
    top: int,
    test_sets: pd.DataFrame,
    out: Path,
    metrics: Path,
) -> str:
    """Choose a configuration for each setting (and `ldm`) among the runs of the encoder in force.

    `folders`: (encoder, setting) -> scores folder; `rules`: setting -> rule. Writes `out/choices/<setting>.json`
    (xi, q, proj_dim, epochs, and `top`, a list of the best so many), `out/rules.csv` (all rules side by side),
    `out/generators.csv` (the same by generator), `out/encoders.csv` (whether another encoder would have won) and
    the metrics file. Returns a line that names the choices, and what has no scores to choose by. Where a rule
    cannot be applied (`family_out` on Synthbuster, which has no GAN) the paper's is, and the line says so.
    """
    grids = read_grids(folders, test_sets)
    mine = {setting: grid for (by, setting), grid in grids.items() if by == encoder}
    (out / "choices").mkdir(parents=True, exist_ok=True)
    tables = {setting: rules_table(grid) for setting, grid in mine.items()}
    generators = {setting: generators_table(grid) for setting, grid in mine.items()}
    said = []
    for setting, grid in mine.items():
        choice, instead = _choice(grid, tables[setting], rules[setting], top)
        (out / "choices" / f"{setting}.json").write_text(json.dumps(choice, indent=2) + "\n")
        said.append(f"{setting} xi {choice['xi']:g}, q {choice['q']}, P {choice['proj_dim']}{instead}")
    encoders = encoders_table(grids, encoder)
    _write(tables, encoder, out / "rules.csv")
    _write(generators, encoder, out / "generators.csv")
    encoders.to_csv(out / "encoders.csv", index=False, float_format="%.6g", lineterminator="\n")
    write_metrics({setting: _headline(table) for setting, table in tables.items()}, metrics)
    better = encoders[encoders["wins"] & ~encoders["in_force"] & encoders["setting"].isin(list(mine))]
    said += [f"{by} would have won {of}" for by, of in better[["encoder", "setting"]].to_numpy(dtype=str)]
    said += [f"{setting} has no scores" for setting in rules if setting not in mine]
    return "; ".join(said)


def _choice(grid: Grid, table: pd.DataFrame, rule: str, top: int) -> tuple[dict[str, Any], str]:
    """What is written of a setting's choice, and a word on it where another rule had to make it."""
    worth = {name: (acc, ap, reason) for name, acc, ap, reason in _columns(table)}
    applied = rule if rule not in CHOOSING or np.isfinite(worth[rule][0]) else "paper"
    best = choose(grid, applied, top)
    acc, ap, _ = worth[applied]
    choice = {**best[0], "rule": applied, "acc": round(acc, 6), "ap": round(ap, 6), "top": best}
    return choice, "" if applied == rule else f" (by the rule paper: {worth[rule][2]})"


def read_grids(folders: Mapping[tuple[str, str], Path], test_sets: pd.DataFrame) -> dict[tuple[str, str], Grid]:
    """The grid of each scores folder, (encoder, setting) -> grid; those that have no scores are left out."""
    families = dict(zip(test_sets["generator"], test_sets["family"], strict=True))
    grids = {}
    for key, folder in folders.items():
        scores = read_scores(folder / "scores.csv") if (folder / "scores.csv").is_file() else pd.DataFrame()
        if len(scores):
            grids[key] = grid_of(scores, families, ImageScores.read(folder), test_sets)
    return grids


def encoders_table(grids: Mapping[tuple[str, str], Grid], encoder: str) -> pd.DataFrame:
    """The paper's rule by encoder: its choice, acc, ap, whether it is `in_force`, whether it `wins`."""
    rows = []
    for (by, setting), grid in grids.items():
        row = rules_table(grid).set_index("rule").loc["paper"]
        rows.append({"setting": setting, "encoder": by, "in_force": by == encoder, **row.drop(["folds", "reason"])})
    columns = ["setting", "encoder", "in_force", "xi", "q", "proj_dim", "epochs", "acc", "ap"]
    table = pd.DataFrame(rows, columns=columns)
    score = table["acc"] + table["ap"]
    return table.assign(wins=score == score.groupby(table["setting"]).transform("max"))


def select_published(scores_file: Path | str) -> Table:
    """All rules side by side on a scores file, for each encoder and setting: a table to print."""
    from rich.table import Table

    shown = Table(
        title=f"Selection on {Path(scores_file).name}",
        caption="Means over the test sets in %; gap: what the paper's rule reports beyond, in points",
    )
    for name in ("setting", "encoder", "rule"):
        shown.add_column(name, no_wrap=True)
    for name in ("xi", "q", "P", "epochs", "acc", "AP", "gap acc", "gap AP"):
        shown.add_column(name, justify="right", no_wrap=True)
    rules = rules_of(read_scores(scores_file))
    notes = [reason for reason in dict.fromkeys(rules["reason"]) if reason]
    for row in rules.to_dict("records"):
        model = [row[name] for name in ("xi", "q", "proj_dim", "epochs")]
        values = [row[name] for name in ("acc", "ap", "gap_acc", "gap_ap")]
        note = f" ({notes.index(row['reason']) + 1})" if row["reason"] else ""
        shown.add_row(
            str(row["setting"]),
            str(row["encoder"]),
            str(row["rule"]) + note,
            *("" if pd.isna(value) else f"{value:g}" for value in model),
            *("" if pd.isna(value) else f"{round(100 * value, 1) + 0.0:.1f}" for value in values),
            end_section=row["rule"] == "ensemble",
        )
    shown.caption = "\n".join([str(shown.caption), *(f"({n}) {note}" for n, note in enumerate(notes, start=1))])
    return shown


def _columns(table: pd.DataFrame) -> list[tuple[str, float, float, str]]:
    """(rule, acc, ap, reason) of each rule."""
    names = ("rule", "acc", "ap", "reason")
    return list(zip(*(table[name].tolist() for name in names), strict=True))


def _headline(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """rule -> acc and ap, of the rules that could be applied."""
    had = [(rule, acc, ap) for rule, acc, ap, _ in _columns(table) if np.isfinite(acc)]
    return {rule: {"acc": round(acc, 6), "ap": round(ap, 6)} for rule, acc, ap in had}


def _write(tables: Mapping[str, pd.DataFrame], encoder: str, path: Path) -> None:
    """Write the settings' tables below each other, `setting` and `encoder` first."""
    parts = [table.assign(setting=setting, encoder=encoder) for setting, table in tables.items()]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["setting", "encoder", "rule"])
    first = ["setting", "encoder"]
    table = table[[*first, *(column for column in table if column not in first)]]
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
