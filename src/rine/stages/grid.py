"""Train every configuration of the grid on one encoder's tokens of one class setting, and score the test sets."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from rine.device import choose
from rine.params import Params
from rine.scores.publish import publish
from rine.training import Run
from rine.training.experiment import Experiment, experiment


def grid(encoder: str, setting: str, params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/grid/<encoder>-<setting>/ (scores of every run and picture) and its metrics."""
    what = Experiment("grid", artifacts / "features" / encoder, classes=params.settings[setting])
    axes = product(params.grid.q, params.grid.proj_dim, params.grid.xi, params.seeds)
    runs = [Run(q=q, proj_dim=proj_dim, xi=xi, seed=seed) for q, proj_dim, xi, seed in axes]
    last = [params.grid.epochs]
    scores = list(experiment(what, runs, params, last, choose(params.runtime.device)))
    item = f"{encoder}-{setting}"
    table = publish(scores, artifacts / "grid" / item, metrics / "grid" / f"{item}.json", artifacts)
    if table.empty:
        raise ValueError("no test set has pictures of both classes: there is nothing to score on")
    means = f"mean accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}"
    return f"{len(runs)} runs on {encoder}, {setting}; {means}"
