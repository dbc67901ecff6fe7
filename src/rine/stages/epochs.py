"""The best configurations of each setting, scored after more and more epochs of one run."""

from __future__ import annotations

from rine.device import choose
from rine.features.sets import open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import publish_nothing, publish_settings
from rine.scores.test_sets import read_test_sets
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import experiment

TRACKED = ("lr", "seeds", "encoder", "settings", "training", "epochs")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/epochs/<setting>/ and artifacts/epochs/scores.csv."""
    if study.epochs is None:
        return publish_nothing(paths.epochs(), paths.metric("epochs"), "epochs is null")
    choices = {setting: read_choice(paths.choice(setting)) for setting in study.settings}
    sets, device, scores = open_sets(paths.features(study.encoder)), choose(study.runtime.device), {}
    for setting, classes in study.settings.items():
        runs = runs_of(choices[setting]["top"], study)
        part = sets.of_classes(classes)
        scores[setting] = list(experiment("epochs", part, runs, study, study.epochs.epochs, device))
    test_sets = read_test_sets(paths.index("test_sets"))
    table = publish_settings(scores, paths.epochs(), paths.metric("epochs"), test_sets)
    return f"{len(table.drop_duplicates(['classes', 'xi', 'q', 'd', 'seed']))} runs at {[*study.epochs.epochs]} epochs"
