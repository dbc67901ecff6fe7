"""The chosen configuration of each setting without one part of the method (table 3 of the paper)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rine.device import choose
from rine.features.sets import open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import publish_settings
from rine.scores.test_sets import read_test_sets
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import experiment

TRACKED = ("lr", "seeds", "encoder", "settings", "training")

# what each ablation changes of a run: no contrastive loss; a plain mean over blocks; the last block only
WITHOUT: dict[str, dict[str, Any]] = {
    "contrastive": {"xi": 0.0},
    "importance": {"pool": "mean"},
    "intermediate": {"pool": "last"},
}


def run(study: Params, paths: Paths, variant: str) -> str:
    """Write artifacts/ablate/<variant>/<setting>/ and artifacts/ablate/<variant>/scores.csv."""
    choices = {setting: read_choice(paths.choice(setting)) for setting in study.settings}
    sets, device, scores = open_sets(paths.features(study.encoder)), choose(study.runtime.device), {}
    for setting, classes in study.settings.items():
        chosen = choices[setting]
        runs = [replace(whole, **WITHOUT[variant]) for whole in runs_of([chosen], study.seeds)]
        part = sets.of_classes(classes)
        scores[setting] = list(experiment("ablate", part, runs, study, [chosen["epochs"]], device, variant))
    test_sets = read_test_sets(paths.index("test_sets"))
    table = publish_settings(scores, paths.ablate(variant), paths.metric("ablate", variant), test_sets)
    return f"without {variant}: mean accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}"
