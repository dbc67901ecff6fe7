"""The chosen configuration of each setting without one part of the method (table 3 of the paper), or of its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from rine.device import choose
from rine.features.sets import Sets, open_sets
from rine.params import Params
from rine.paths import Paths
from rine.scores import write_scores
from rine.scores.left_out import SLIDING
from rine.scores.publish import means_in_words, publish, publish_nothing, publish_settings, write_metrics
from rine.scores.test_sets import read_test_sets, with_both_classes
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import experiment
from rine.training.left_out import left_out

TRACKED = ("lr", "seeds", "encoder", "settings", "training", "ablate")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/ablate/<variant>/<setting>/ and artifacts/ablate/<variant>/scores.csv; and left-out/ alike."""
    if study.ablate is None:
        return publish_nothing(paths.ablate(), paths.metric("ablate", "none"), "ablate is null")
    choices = {setting: read_choice(paths.choice(setting)) for setting in study.settings}
    sets, device = open_sets(paths.features(study.encoder)), choose(study.runtime.device)
    test_sets, means = read_test_sets(paths.index("test_sets")), []
    for variant, config in study.ablate.variants.items():
        scores = {}
        for setting, classes in study.settings.items():
            chosen = choices[setting]
            runs = [replace(whole, **config.changes) for whole in runs_of([chosen], study)]
            part = sets.of_classes(classes)
            scores[setting] = list(experiment("ablate", part, runs, study, [chosen["epochs"]], device, variant))
        table = publish_settings(scores, paths.ablate(variant), paths.metric("ablate", variant), test_sets)
        means.append(f"without {variant} {means_in_words(table)}")
    if study.ablate.leave_out:
        means.append(_without_data(study, paths, sets, choices, device))
    return "; ".join(means)


def _without_data(
    study: Params, paths: Paths, sets: Sets, choices: Mapping[str, Mapping[str, Any]], device: str
) -> str:
    """Train on all pictures and on what remains without a part of them, in one pass; write which tests which."""
    assert study.ablate is not None
    assert sets.test is not None
    test_sets = with_both_classes(sets.test.rows, read_test_sets(paths.index("test_sets")))
    training = pd.read_csv(paths.index("training_sets"), dtype=str, keep_default_na=False)
    tables, scored = {}, {}
    for setting, classes in study.settings.items():
        part = sets.of_classes(classes)
        learnt = training[training["source"].isin(part.brought["source"].unique())]
        wanted, lacking = left_out(study.ablate.leave_out, learnt, test_sets)
        remaining = {rows: part.without(sources) for rows, sources in lacking.items()}
        masks = {rows: mask for rows, mask in remaining.items() if part.train.rows["label"][mask].nunique() == 2}
        scored[setting] = wanted[wanted["rows"].isin(["", *masks])]
        whole = runs_of([choices[setting]], study)
        runs = [replace(each, rows=rows) for rows in ("", *masks) for each in whole]
        epochs = [choices[setting]["epochs"]]
        made = list(experiment("left_out", part, runs, study, epochs, device, masks=masks))
        tables[setting] = publish(made, paths.left_out() / setting, test_sets)
    write_scores(pd.concat(tables.values(), ignore_index=True), paths.left_out() / "scores.csv")
    table = pd.concat(scored, names=["setting"]).reset_index("setting")
    table.to_csv(paths.left_out() / "scored.csv", index=False, lineterminator="\n")
    write_metrics({of: _worth(tables[of], scored[of]) for of in scored}, paths.metric("ablate", paths.left_out().name))
    left = {of: [name for name in part["left_out"].unique() if name != SLIDING] for of, part in scored.items()}
    lines = [", ".join(f"{of} without {name}" for name in names) for of, names in left.items()]
    return "; ".join(filter(None, lines)) or "nothing of the training data can be left out"


def _worth(scores: pd.DataFrame, scored: pd.DataFrame) -> dict[str, Any]:
    """What is left out -> mean accuracy and AP with it in training, and without it, on the test sets that tell."""
    means = scores.groupby(["variant", "generator"])[["acc", "ap"]].mean()
    worth = {}
    for name, part in scored.groupby("left_out", sort=False):
        without, whole = zip(part["rows"], part["generator"], strict=True), [("", each) for each in part["generator"]]
        worth[str(name)] = {
            key: means.loc[list(rows)].mean().round(6).to_dict()
            for key, rows in (("with", whole), ("without", without))
        }
    return worth
