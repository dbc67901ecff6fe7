"""The chosen configuration of each setting, trained on a share of the pictures."""

from __future__ import annotations

from rine.device import choose
from rine.features.sets import open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import publish_nothing, publish_settings
from rine.scores.test_sets import read_test_sets
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import experiment

TRACKED = ("lr", "seeds", "encoder", "settings", "training", "dataset_size")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/dataset_size/<setting>/ and artifacts/dataset_size/scores.csv."""
    if study.dataset_size is None:
        return publish_nothing(paths.dataset_size(), paths.metric("dataset_size"), "dataset_size is null")
    choices = {setting: read_choice(paths.choice(setting)) for setting in study.settings}
    sets, device, scores = open_sets(paths.features(study.encoder)), choose(study.runtime.device), {}
    for setting, classes in study.settings.items():
        chosen = choices[setting]
        runs, part = runs_of([chosen], study), sets.of_classes(classes)
        scores[setting] = [
            scored
            for fraction in study.dataset_size.fractions
            for scored in experiment(
                "dataset_size", part.share(fraction, study.seeds[0]), runs, study, [chosen["epochs"]], device
            )
        ]
    test_sets = read_test_sets(paths.index("test_sets"))
    table = publish_settings(scores, paths.dataset_size(), paths.metric("dataset_size"), test_sets)
    shares = ", ".join(f"{share:.0%}" for share in study.dataset_size.fractions)
    return f"{table['classes'].nunique()} settings at {shares} of the pictures"
