"""Score the stored models and the baselines on every test set, and draw where their embeddings lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from rine.device import choose
from rine.features import Features
from rine.generators import FAMILY
from rine.models import checkpoint
from rine.models.loaded import stored
from rine.params import Params
from rine.scores import ImageScores, summarise, write_scores
from rine.scores.publish import headline, write_metrics
from rine.training import baselines, embeddings
from rine.training.experiment import IMAGE_COLUMNS, Experiment, score, training_pictures


def validate(params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/validate/ (scores of every model and picture, embeddings.csv) and its baselines/."""
    device, features = choose(params.runtime.device), artifacts / "features" / params.encoder
    heads, runs = stored(artifacts / "best", params.best.models)
    tests = [Features.open(features / name) for name in ("test", "synthbuster")]
    test_sets = pd.read_csv(artifacts / "index" / "test_sets.csv")

    scores = score(heads, runs.assign(study="validate").drop(columns="model"), tests, device)
    out = artifacts / "validate"
    scores.write(out)
    table = summarise(scores, test_sets)
    write_scores(table, out / "scores.csv")
    by_model = {
        model: {study: headline(part) for study, part in _by_study(summarise(scores.take(mine), test_sets), test_sets)}
        for model in params.best.models
        if len(mine := np.flatnonzero((runs["model"] == model).to_numpy()))
    }
    write_metrics(by_model, metrics / "validate.json")

    head, _ = checkpoint.load(artifacts / "best" / params.best.default / "model.safetensors")
    # one thread: on a busy machine those of scikit-learn wait for each other far longer than they work
    with threadpool_limits(1):
        points = embedded(head, tests[0], test_sets, params, device)
        _baselines(params, features, tests[0], test_sets, out / "baselines")
    points.to_csv(out / "embeddings.csv", index=False, lineterminator="\n")
    return f"{len(heads)} models on {table['generator'].nunique()} test sets, {len(scores.images)} pictures"


def _by_study(table: pd.DataFrame, test_sets: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split a scores table into the 20 test sets and Synthbuster's nine, which the paper never averages together."""
    study = table["generator"].map(test_sets.set_index("generator")["study"])
    return [(str(name), part) for name, part in table.groupby(study, sort=False)]


def embedded(
    head: checkpoint.Head, test: Features, test_sets: pd.DataFrame, params: Params, device: str
) -> pd.DataFrame:
    """t-SNE of the embeddings z of some test pictures of each group: columns x, y, group, generator."""
    from sklearn.manifold import TSNE

    family = test_sets.set_index("fake")["family"] if len(test_sets) else pd.Series(dtype=object)
    rows = test.rows
    group = np.where(rows["label"] == 0, "real", rows["source"].map(family).fillna("own"))
    rng = np.random.default_rng(params.validate.seed)
    few = params.validate.tsne_pictures
    kept = [
        rng.permutation(np.flatnonzero(group == name))[:few]
        for name in ("real", *sorted({*FAMILY.values(), "own"} & {"gan", "diffusion", "own"}))
    ]
    mine = np.sort(np.concatenate(kept)).astype(int)
    if len(mine) < 3:
        return pd.DataFrame(columns=["x", "y", "group", "generator"])
    z = embeddings(head, test.select(np.isin(np.arange(len(rows)), mine)), device)
    perplexity = min(params.validate.tsne_perplexity, (len(mine) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=params.validate.seed)
    xy = tsne.fit_transform(z.astype(np.float64))
    return pd.DataFrame(
        {
            "x": xy[:, 0].round(4),
            "y": xy[:, 1].round(4),
            "group": group[mine],
            "generator": rows["source"].to_numpy()[mine],
        }
    )


def _baselines(params: Params, features: Path, test: Features, test_sets: pd.DataFrame, out: Path) -> None:
    """Baselines on the same cached tokens, trained on the pictures of the widest setting."""
    classes = max(params.settings.values(), key=len)
    learn, _ = training_pictures(Experiment("validate", features, classes=classes), params)
    if learn.rows["label"].nunique() < 2:
        return
    logits = baselines.scores(learn, test)  # name -> (N,)
    table = pd.DataFrame(
        {
            "study": "validate", "training_set": "progan", "backbone": test.encoder_name, "n_classes": len(classes),
            "classes": " ".join(sorted(classes)),
            "xi": None, "q": None, "d": None, "batch_size": None, "lr": None, "epochs": None,
            "variant": [f"baseline:{name}" for name in logits], "fraction": None, "seed": params.seeds[0],
        }
    )  # fmt: skip
    images = test.rows[IMAGE_COLUMNS].reset_index(drop=True)
    scores = ImageScores(table, images, np.stack(list(logits.values())))
    scores.write(out)
    write_scores(summarise(scores, test_sets), out / "scores.csv")
