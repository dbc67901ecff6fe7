"""Files that stages leave, as tables; a file that is not there is an empty one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rine.params import Params
from rine.paths import Paths
from rine.pixels.perturbations import PERTURBATIONS
from rine.report.labels import label_settings
from rine.scores import ImageScores
from rine.scores.calibration import Calibration
from rine.scores.publish import stack
from rine.scores.table import COLUMNS, STUDIES, ScoresError, read_scores

LEFT_OUT = Paths(Path()).left_out().as_posix()  # in the artifacts


def table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A CSV file; an empty table, of these columns, where there is none."""
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=columns)


def study_scores(params: Params, artifacts: Path) -> pd.DataFrame:
    """Every scores table of the study in force, by name: what an earlier study left behind is not picked up."""
    folders = [f"grid/{encoder}-{setting}" for encoder in params.encoders for setting in params.settings]
    folders += [f"ablate/{variant}" for variant in (params.ablate.variants if params.ablate else ())]
    folders += [LEFT_OUT] if params.ablate and params.ablate.leave_out else []
    folders += [study for study in STUDIES if study not in {"grid", "ablate", "left_out"}]
    paths = [artifacts / folder / "scores.csv" for folder in [*folders, "validate/baselines"]]
    return together(path for path in paths if path.is_file())


def folders_of(stage: str, params: Params) -> list[str]:
    """The scores folders that a stage leaves in the artifacts; of the grid those of the encoder in force."""
    if stage == "grid":
        return [f"grid/{params.encoder}-{setting}" for setting in params.settings]
    if stage == "ablate":
        variants = params.ablate.variants if params.ablate else ()
        return [f"ablate/{variant}/{setting}" for setting in params.settings for variant in variants]
    if stage in ("epochs", "dataset_size", LEFT_OUT):
        return [f"{stage}/{setting}" for setting in params.settings]
    return [stage]


def refuse_undrawn(scores: pd.DataFrame, origin: str) -> None:
    """Raise `ScoresError` that names the lines of a scores file which no table and no figure would show."""
    variant, study, setting = scores["variant"], scores["study"], scores["setting"]
    whole = variant == ""
    # a method, a baseline or an ablation, by its variant
    named = study.isin(["validate", "detect", "ablate"]) & ~variant.str.match("perturb:|degrade:")
    drawn = whole | named | ((study == "perturb") & variant.isin([f"perturb:{kind}" for kind in PERTURBATIONS]))
    drawn &= (study != "ablate") | ~whole
    drawn &= ((study != "perturb") | ~whole) & (study != "left_out")
    drawn &= (study != "dataset_size") | scores["fraction"].notna()
    # of a setting that `validate` scored, what `best` left is the same models
    drawn &= (study != "best") | ~setting.isin(setting[(study == "validate") & whole])
    if drawn.all():
        return
    row = scores[~drawn].iloc[0]
    more = f" (and {int((~drawn).sum()) - 1} more rows)" if (~drawn).sum() > 1 else ""
    raise ScoresError(
        f"{origin}: line {int(np.flatnonzero(~drawn.to_numpy())[0]) + 2}{more}: nothing draws a row of study "
        f"{row['study']!r} with variant {row['variant']!r}; docs/scores.md says what is drawn. Another method's scores "
        "stand under study 'detect', with its name as training_set"
    )


def together(paths: Iterable[Path]) -> pd.DataFrame:
    """Scores files below each other; the columns are there even where no file is."""
    tables = [scores for path in paths if len(scores := read_scores(path))]
    if not tables:
        return pd.DataFrame(columns=[*COLUMNS, "seed"])
    joined = pd.concat(tables, ignore_index=True)
    return joined if "seed" in joined else joined.assign(seed=None)


def image_scores(
    folders: Iterable[Path], class_labels: Mapping[str, str], settings: Iterable[str]
) -> dict[str, ImageScores]:
    """Runs of one or several scores folders by setting; those of several, over the same pictures, as one."""
    parts: dict[str, list[ImageScores]] = {}
    for folder in folders:
        if (folder / "logits.safetensors").is_file():
            scores = ImageScores.read(folder)
            labels = label_settings(scores.runs, class_labels)["setting"].to_numpy()
            for name in settings:
                if (labels == name).any():
                    parts.setdefault(name, []).append(scores.take(labels == name))
    return {name: stack(runs) if len(runs) > 1 else runs[0] for name, runs in parts.items()}


def calibration(path: Path) -> Calibration | None:
    """What `best` fitted on validation pictures; from the header of the model's file, which needs no torch."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "numpy") as file:
        header = json.loads((file.metadata() or {}).get("rine", "{}"))
    values = header.get("meta", {}).get("calibration")
    return Calibration(**values) if values else None
