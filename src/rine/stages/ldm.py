"""Train on latent diffusion, test on Synthbuster with ten crops: section 5 of the paper."""

from __future__ import annotations

from itertools import product

from rine.device import choose
from rine.features.sets import open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import headline, means_in_words, publish, publish_nothing, write_metrics
from rine.scores.test_sets import read_test_sets
from rine.training.choices import runs_of
from rine.training.experiment import experiment

TRACKED = ("lr", "seeds", "encoder", "training", "ldm")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/ldm/: every configuration after each of `ldm.epochs`, scored on every picture."""
    if study.ldm is None:
        return publish_nothing(paths.ldm(), paths.metric("ldm"), "ldm is null")
    sets = open_sets(paths.features(study.encoder), "ldm").of_classes(())
    axes = product(study.ldm.q, study.ldm.proj_dim, study.ldm.xi)
    runs = runs_of([{"q": q, "proj_dim": proj_dim, "xi": xi} for q, proj_dim, xi in axes], study)
    scores = list(experiment("ldm", sets, runs, study, study.ldm.epochs, choose(study.runtime.device)))
    table = publish(scores, paths.ldm(), read_test_sets(paths.index("test_sets")))
    write_metrics(headline(table), paths.metric("ldm"))
    return f"{len(runs)} runs; {means_in_words(table)}"
