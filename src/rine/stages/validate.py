"""Score the stored models and the baselines on every test set, and draw where their embeddings lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from rine import baselines
from rine.device import choose
from rine.features import Features
from rine.features.sets import Sets, open_sets
from rine.heads.scoring import embeddings, score
from rine.models import checkpoint
from rine.models.loaded import stored
from rine.params import Params
from rine.paths import Paths
from rine.scores import IMAGE_COLUMNS, ImageScores, summarise
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
        points = embedded(head, sets.test, test_sets, study, device)
        classes = max(study.settings.values(), key=len)
        of_baselines = _baselines(sets.of_classes(classes), sets.test, study.seeds[0])
    if of_baselines:
        publish(of_baselines, paths.validate() / "baselines", test_sets)
    points.to_csv(paths.validate() / "embeddings.csv", index=False, lineterminator="\n")
    return f"{len(heads)} models on {table['generator'].nunique()} test sets, {len(scores.images)} pictures"


def _by_study(table: pd.DataFrame, test_sets: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split a scores table into the 20 test sets and Synthbuster's nine, which the paper never averages together."""
    study = table["generator"].map(test_sets.set_index("generator")["study"])
    return [(str(name), part) for name, part in table.groupby(study, sort=False)]


def embedded(
    head: checkpoint.Head, test: Features, test_sets: pd.DataFrame, study: Params, device: str
) -> pd.DataFrame:
    """t-SNE of the embeddings z of some test pictures of each group: columns x, y, group, generator."""
    from sklearn.manifold import TSNE

    family = test_sets[test_sets["fake"] != ""].set_index("fake")["family"]
    rows = test.rows
    group = np.where(rows["label"] == 0, "real", rows["source"].map(family).fillna("own"))
    rng = np.random.default_rng(study.validate.tsne_seed)
    few = study.validate.tsne_pictures
    drawn = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(group == name))[:few] for name in sorted(set(group))])
    )
    if len(drawn) < 3:
        return pd.DataFrame(columns=["x", "y", "group", "generator"])
    z = embeddings(head, test.select(np.isin(np.arange(len(rows)), drawn)), device)
    perplexity = min(study.validate.tsne_perplexity, (len(drawn) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=study.validate.tsne_seed)
    xy = tsne.fit_transform(z.astype(np.float64)).round(4)
    sources = rows["source"].to_numpy()[drawn]
    return pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "group": group[drawn], "generator": sources})


def _baselines(sets: Sets, test: Features, seed: int) -> Sequence[ImageScores]:
    """Scores of the baselines on the same cached tokens, trained on `sets`; none without both classes."""
    if sets.train.rows["label"].nunique() < 2:
        return []
    logits = baselines.scores(sets.train, test)  # name -> (N,)
    none: dict[str, object] = dict.fromkeys(("xi", "q", "d", "batch_size", "lr", "epochs", "fraction"))
    shared: dict[str, object] = {"study": "validate", "training_set": "progan", "backbone": test.encoder_name}
    shared |= {"n_classes": len(sets.classes), "classes": " ".join(sorted(sets.classes))}
    runs = pd.DataFrame([shared | none | {"variant": f"baseline:{name}", "seed": seed} for name in logits])
    images = test.rows[IMAGE_COLUMNS].reset_index(drop=True)
    return [ImageScores(runs, images, np.stack(list(logits.values())))]
