"""The chosen configuration of each setting without one part of the method (table 3 of the paper)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rine.device import choose
from rine.models.choices import chosen_epochs, chosen_runs
from rine.params import Params
from rine.scores.publish import publish_settings
from rine.training.experiment import Experiment, experiment

# what each ablation changes of a run: no contrastive loss; a plain mean over blocks; the last block only
WITHOUT: dict[str, dict[str, Any]] = {
    "contrastive": {"xi": 0.0},
    "importance": {"pool": "mean"},
    "intermediate": {"pool": "last"},
}


def ablate(variant: str, params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/ablate/<variant>/<setting>/ and artifacts/ablate/<variant>/scores.csv."""
    device, features = choose(params.runtime.device), artifacts / "features" / params.encoder
    scores = {}
    for setting, classes in params.settings.items():
        what = Experiment("ablate", features, classes=classes, variant=variant)
        chosen = chosen_runs(artifacts / "select", setting, params.seeds)
        runs = [replace(run, **WITHOUT[variant]) for run in chosen]
        look_outs = [chosen_epochs(artifacts / "select", setting)]
        scores[setting] = list(experiment(what, runs, params, look_outs, device))
    table = publish_settings(scores, artifacts / "ablate" / variant, metrics / "ablate" / f"{variant}.json", artifacts)
    return f"without {variant}: mean accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}"
