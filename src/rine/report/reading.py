"""Files that stages leave, as tables; a file that is not there is an empty one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from rine.evaluation.selection import grid_of, rules_table
from rine.generators import FAMILY
from rine.params import Params, TowerConfig
from rine.report.labels import label_settings
from rine.scores import ImageScores
from rine.scores.calibration import Calibration
from rine.scores.publish import stack
from rine.scores.table import COLUMNS, STUDIES, read_scores
from rine.tables.head_size import vit_size

RULE_COLUMNS = ["setting", "rule", "acc", "ap"]


def table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A CSV file; an empty table, of these columns, where there is none."""
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)


def our_scores(params: Params, artifacts: Path) -> pd.DataFrame:
    """Every scores table of the study in force, by name: what an earlier study left behind is not picked up."""
    items = [f"{encoder}-{setting}" for encoder in params.encoders for setting in params.settings]
    paths = [artifacts / "grid" / item / "scores.csv" for item in items]
    paths += [artifacts / "ablate" / variant / "scores.csv" for variant in params.ablate.variants]
    paths += [artifacts / study / "scores.csv" for study in STUDIES if study not in {"grid", "ablate"}]
    paths += [artifacts / "validate" / "baselines" / "scores.csv"]
    return together(path for path in paths if path.is_file())


def together(paths: Iterable[Path]) -> pd.DataFrame:
    """Scores files below each other; the columns are there even where no file is."""
    tables = [scores for path in paths if len(scores := read_scores(path))]
    if not tables:
        return pd.DataFrame(columns=[*COLUMNS, "seed"])
    joined = pd.concat(tables, ignore_index=True)
    return joined if "seed" in joined else joined.assign(seed=None)


def rules_of(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """Every selection rule on every setting of a scores table, among the runs of one encoder."""
    runs = scores[scores["study"].isin(["grid", "ldm"]) & (scores["backbone"] == encoder)]
    tables = [
        rules_table(grid_of(mine, FAMILY)).assign(setting=name) for name, mine in runs.groupby("setting", sort=False)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=RULE_COLUMNS)


def our_rules(path: Path, encoder: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """What `select` found for the encoder in force."""
    found = table(path)
    if found.empty:
        return pd.DataFrame(columns=RULE_COLUMNS)
    mine = found[(found["encoder"] == encoder) & found["setting"].isin(list(labels))]
    return mine.assign(setting=mine["setting"].map(dict(labels)))


def image_scores(folder: Path, known: Mapping[str, str], labels: Iterable[str]) -> dict[str, ImageScores]:
    """A scores folder's runs by setting, in the order of the labels."""
    if not (folder / "logits.safetensors").is_file():
        return {}
    scores = ImageScores.read(folder)
    setting = label_settings(scores.runs, known)["setting"].to_numpy()
    return {name: scores.take(setting == name) for name in labels if (setting == name).any()}


def stacked(parts: Iterable[Mapping[str, ImageScores]]) -> dict[str, ImageScores]:
    """Scores of a setting that lie in several folders, over the same pictures, as one."""
    found: dict[str, ImageScores] = {}
    for part in parts:
        for name, scores in part.items():
            found[name] = stack([found[name], scores]) if name in found else scores
    return found


def calibrations(folder: Path, labels: Mapping[str, str]) -> dict[str, Calibration]:
    """What `best` fitted on validation pictures, by label; from the header of the model's file: needs no torch."""
    from safetensors import safe_open

    found = {}
    for name, label in labels.items():
        path = folder / name / "model.safetensors"
        if path.is_file():
            with safe_open(path, "numpy") as file:
                header = json.loads((file.metadata() or {}).get("rine", "{}"))
            if values := header.get("meta", {}).get("calibration"):
                found[label] = Calibration(**values)
    return found


def importance(folder: Path, labels: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Each model's share of dimensions by block."""
    tables = {label: table(folder / name / "importance.csv") for name, label in labels.items()}
    return {label: shares for label, shares in tables.items() if len(shares)}


def blocks_of(params: Params | None, *scores: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """(blocks, width) by an encoder's name: as the params say, else as the name tells."""
    named = {name for table in scores for name in table["backbone"].unique()}
    sizes = {name: size for name in sorted(named) if (size := vit_size(name))}
    for encoder in params.encoders.values() if params else ():
        model = encoder.model
        size = (model.layers, model.width) if isinstance(model, TowerConfig) else vit_size(model)
        if size:
            sizes[encoder.name] = size
    return sizes


def timings(path: Path) -> dict[str, float]:
    """Seconds by stage."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
