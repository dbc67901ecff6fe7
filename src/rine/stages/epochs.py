"""The best configurations of each setting, looked at after more and more epochs: one run, several look-outs."""

from __future__ import annotations

from pathlib import Path

from rine.device import choose
from rine.models.choices import top_runs
from rine.params import Params
from rine.scores.publish import publish_settings
from rine.training.experiment import Experiment, experiment


def epochs(params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/epochs/<setting>/ and artifacts/epochs/scores.csv."""
    scores = {}
    for setting, classes in params.settings.items():
        what = Experiment("epochs", artifacts / "features" / params.encoder, classes=classes)
        runs = top_runs(artifacts / "select", setting, params.seeds)
        device = choose(params.runtime.device)
        scores[setting] = list(experiment(what, runs, params, params.epochs.epochs, device))
    table = publish_settings(scores, artifacts / "epochs", metrics / "epochs.json", artifacts)
    return f"{len(table.drop_duplicates(['classes', 'xi', 'q', 'd', 'seed']))} runs at {[*params.epochs.epochs]} epochs"
