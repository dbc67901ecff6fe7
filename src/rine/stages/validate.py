"""Score the stored models and the baselines on every test set, and draw where their embeddings lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from rine.device import choose
from rine.features import Features
from rine.features.sets import open_sets
from rine.heads.scoring import score
from rine.models import checkpoint
from rine.models.loaded import stored
from rine.params import Params
from rine.paths import Paths
from rine.probing.baselines import baseline_scores
from rine.probing.embeddings import plane
from rine.scores import summarise
from rine.scores.publish import headline, publish, write_metrics
from rine.scores.test_sets import read_test_sets

TRACKED = ("seeds", "encoder", "settings", "best", "validate")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/validate/ (scores of every model and picture, embeddings.csv) and its baselines/."""
    device = choose(study.runtime.device)
    sets = open_sets(paths.features(study.encoder))
    assert sets.test is not None
    heads, runs = stored([paths.best(model) for model in study.best.models], sets.test.about["encoder"])
    tests = [sets.test, Features.open(paths.features(study.encoder, "synthbuster"))]
    test_sets = read_test_sets(paths.index("test_sets"))

    scores = score(heads, runs.assign(study="validate").drop(columns="model"), tests, device)
    table = publish([scores], paths.validate(), test_sets)
    by_model = {
        model: {name: headline(part) for name, part in _by_study(summarise(scores.take(rows), test_sets), test_sets)}
        for model in study.best.models
        if len(rows := np.flatnonzero((runs["model"] == model).to_numpy()))
    }
    write_metrics(by_model, paths.metric("validate"))

    head, _ = checkpoint.load(paths.best(study.best.default) / "model.safetensors")
    # one thread: on a busy machine those of scikit-learn wait for each other far longer than they work
    with threadpool_limits(1):
        points = plane(head, sets.test, test_sets, study.validate, device)
        classes = max(study.settings.values(), key=len)
        baselines = baseline_scores(sets.of_classes(classes), sets.test, study.seeds[0])
    if baselines:
        publish(baselines, paths.validate() / "baselines", test_sets)
    points.to_csv(paths.validate() / "embeddings.csv", index=False, lineterminator="\n")
    return f"{len(heads)} models on {table['generator'].nunique()} test sets, {len(scores.images)} pictures"


def _by_study(table: pd.DataFrame, test_sets: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split a scores table into the 20 test sets and Synthbuster's nine, which the paper never averages together."""
    study = table["generator"].map(test_sets.set_index("generator")["study"])
    return [(str(name), part) for name, part in table.groupby(study, sort=False)]
