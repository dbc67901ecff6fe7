"""`rine select`: which configuration of the grid, by which rule, and what each rule is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rine.evaluation.selection import Grid, generators_table, grid_of, rules_table
from rine.evaluation.selection.choice import choice_of, encoders_table, worth_of_rules
from rine.params import Params
from rine.paths import Paths
from rine.scores import ImageScores, read_scores
from rine.scores.publish import write_metrics
from rine.scores.test_sets import read_test_sets

TRACKED = ("encoder", "encoders", "settings", "select")
LDM = "ldm"  # beside the settings: the runs of the stage `ldm`


def run(study: Params, paths: Paths) -> str:
    """Choose a configuration for each setting (and `ldm`) among the runs of the encoder in force.

    Writes choices/<setting>.json (xi, q, proj_dim, epochs, by which rule, and `top`, a list of the best so many),
    rules.csv (all rules side by side), generators.csv (the same by generator), encoders.csv (whether another encoder
    would have won) and the metrics file. Returns a line that names the choices, and what has no scores to choose by.
    Where a rule cannot be applied (`family_out` on Synthbuster, which has no GAN) the paper's is, and where all test
    sets are of one class `validation`; the line says so.
    """
    folders = {(by, setting): paths.grid(by, setting) for by in study.encoders for setting in study.settings}
    folders[study.encoder, LDM] = paths.ldm()
    grids = read_grids(folders, read_test_sets(paths.index("test_sets")))
    ours = {setting: grid for (by, setting), grid in grids.items() if by == study.encoder}
    paths.choice().mkdir(parents=True, exist_ok=True)
    tables = {setting: rules_table(grid) for setting, grid in ours.items()}
    generators = {setting: generators_table(grid) for setting, grid in ours.items()}
    said = []
    for setting, grid in ours.items():
        choice, instead = choice_of(grid, tables[setting], study.select.rule, study.select.top)
        paths.choice(setting).write_text(json.dumps(choice, indent=2) + "\n")
        said.append(f"{setting} xi {choice['xi']:g}, q {choice['q']}, P {choice['proj_dim']}{instead}")
    encoders = encoders_table(grids, study.encoder)
    _write(tables, study.encoder, paths.select("rules"))
    _write(generators, study.encoder, paths.select("generators"))
    encoders.to_csv(paths.select("encoders"), index=False, float_format="%.6g", lineterminator="\n")
    write_metrics({setting: worth_of_rules(table) for setting, table in tables.items()}, paths.metric("select"))
    better = encoders[encoders["wins"] & ~encoders["in_force"] & encoders["setting"].isin(list(ours))]
    said += [f"{by} would have won {of}" for by, of in better[["encoder", "setting"]].to_numpy(dtype=str)]
    said += [f"{setting} has no scores" for setting in [*study.settings, LDM] if setting not in ours]
    return "; ".join(said)


def read_grids(folders: Mapping[tuple[str, str], Path], test_sets: pd.DataFrame) -> dict[tuple[str, str], Grid]:
    """The grid of each scores folder, (encoder, setting) -> grid; those that have no scores are left out."""
    families, released = (
        dict(zip(test_sets["generator"], test_sets[of], strict=True)) for of in ("family", "released")
    )
    grids = {}
    for key, folder in folders.items():
        if (folder / "scores.csv").is_file():
            images, scores = ImageScores.read(folder), read_scores(folder / "scores.csv")
            if scores.empty:  # all test sets are of one class
                scores = images.runs.assign(generator="", acc=np.nan, ap=np.nan)
            grids[key] = grid_of(scores, families, images, test_sets, released)
    return grids


def _write(tables: Mapping[str, pd.DataFrame], encoder: str, path: Path) -> None:
    """Write the settings' tables below each other, `setting` and `encoder` first."""
    parts = [table.assign(setting=setting, encoder=encoder) for setting, table in tables.items()]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["setting", "encoder", "rule"])
    first = ["setting", "encoder"]
    table = table[[*first, *(column for column in table if column not in first)]]
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
