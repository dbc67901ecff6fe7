"""The chosen configuration of each setting, trained on a share of the pictures."""

from __future__ import annotations

from pathlib import Path

from rine.device import choose
from rine.models.choices import chosen_epochs, chosen_runs
from rine.params import Params
from rine.scores.publish import publish_settings
from rine.training.experiment import Experiment, experiment


def dataset_size(params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/dataset_size/<setting>/ and artifacts/dataset_size/scores.csv."""
    device, features = choose(params.runtime.device), artifacts / "features" / params.encoder
    scores = {}
    for setting, classes in params.settings.items():
        runs = chosen_runs(artifacts / "select", setting, params.seeds)
        look_outs = [chosen_epochs(artifacts / "select", setting)]
        scores[setting] = [
            scored
            for fraction in params.dataset_size.fractions
            for scored in experiment(
                Experiment("dataset_size", features, classes=classes, fraction=fraction),
                runs,
                params,
                look_outs,
                device,
            )
        ]
    table = publish_settings(scores, artifacts / "dataset_size", metrics / "dataset_size.json", artifacts)
    shares = ", ".join(f"{share:.0%}" for share in params.dataset_size.fractions)
    return f"{table['classes'].nunique()} settings at {shares} of the pictures"
