"""The chosen configuration of each setting without one part of the method (table 3 of the paper)."""

from __future__ import annotations

from dataclasses import replace

from rine.device import choose
from rine.features.sets import open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import publish_nothing, publish_settings
from rine.scores.test_sets import read_test_sets
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import experiment

TRACKED = ("lr", "seeds", "encoder", "settings", "training", "ablate")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/ablate/<variant>/<setting>/ and artifacts/ablate/<variant>/scores.csv."""
    if study.ablate is None:
        return publish_nothing(paths.ablate(), paths.metric("ablate", "none"), "ablate is null")
    choices = {setting: read_choice(paths.choice(setting)) for setting in study.settings}
    sets, device = open_sets(paths.features(study.encoder)), choose(study.runtime.device)
    test_sets, means = read_test_sets(paths.index("test_sets")), []
    for variant, config in study.ablate.variants.items():
        scores = {}
        for setting, classes in study.settings.items():
            chosen = choices[setting]
            runs = [replace(whole, **config.changes) for whole in runs_of([chosen], study)]
            part = sets.of_classes(classes)
            scores[setting] = list(experiment("ablate", part, runs, study, [chosen["epochs"]], device, variant))
        table = publish_settings(scores, paths.ablate(variant), paths.metric("ablate", variant), test_sets)
        means.append(f"without {variant} accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}")
    return "; ".join(means)
