"""Train on latent diffusion, test on Synthbuster with ten crops: section 5 of the paper."""

from __future__ import annotations

from itertools import product

import pandas as pd

from rine.device import choose
from rine.features.sets import open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import headline, publish, write_metrics
from rine.scores.test_sets import read_test_sets
from rine.training import Run
from rine.training.experiment import experiment

TRACKED = ("lr", "seeds", "encoder", "training", "ldm")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/ldm/: every configuration after each of `ldm.epochs`, scored on every picture."""
    sets = open_sets(paths.features(study.encoder), "ldm").of_classes(())
    if not len(sets.train) + len(sets.val):
        # a study of one's own pictures has none: the stage is passed over, and the report leaves the part out
        paths.ldm().mkdir(parents=True, exist_ok=True)
        (paths.ldm() / "none.txt").write_text("no latent-diffusion training pictures are declared\n")
        write_metrics(headline(pd.DataFrame()), paths.metric("ldm"))
        return "no latent-diffusion training pictures are declared: nothing to train"
    axes = product(study.ldm.q, study.ldm.proj_dim, study.ldm.xi, study.seeds)
    runs = [Run(q=q, proj_dim=proj_dim, xi=xi, seed=seed) for q, proj_dim, xi, seed in axes]
    scores = list(experiment("ldm", sets, runs, study, study.ldm.epochs, choose(study.runtime.device)))
    table = publish(scores, paths.ldm(), read_test_sets(paths.index("test_sets")))
    write_metrics(headline(table), paths.metric("ldm"))
    return f"{len(runs)} runs; mean accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}"
