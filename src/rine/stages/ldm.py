"""Train on latent diffusion, test on Synthbuster with ten crops: section 5 of the paper."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd

from rine.device import choose
from rine.features import Features
from rine.params import Params
from rine.scores.publish import headline, publish, write_metrics
from rine.training import Run
from rine.training.experiment import Experiment, experiment


def ldm(params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/ldm/: every configuration at every look-out, scored on every picture."""
    what = Experiment("ldm", artifacts / "features" / params.encoder, training_set="ldm")
    if not len(Features.open(what.features / "ldm")):
        # a study of one's own pictures has none: the stage is passed over, and the report leaves the part out
        (artifacts / "ldm").mkdir(parents=True, exist_ok=True)
        (artifacts / "ldm" / "none.txt").write_text("no latent-diffusion training pictures are declared\n")
        write_metrics(headline(pd.DataFrame()), metrics / "ldm.json")
        return "no latent-diffusion training pictures are declared: nothing to train"
    axes = product(params.ldm.q, params.ldm.proj_dim, params.ldm.xi, params.seeds)
    runs = [Run(q=q, proj_dim=proj_dim, xi=xi, seed=seed) for q, proj_dim, xi, seed in axes]
    device = choose(params.runtime.device)
    scores = list(experiment(what, runs, params, params.ldm.epochs, device))
    table = publish(scores, artifacts / "ldm", metrics / "ldm.json", artifacts)
    return f"{len(runs)} runs; mean accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}"
