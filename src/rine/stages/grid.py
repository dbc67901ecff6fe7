"""Train every configuration of the grid on one encoder's tokens of one class setting, and score the test sets."""

from __future__ import annotations

from itertools import product

from rine.device import choose
from rine.features.sets import open_sets
from rine.heads.scoring import score
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import headline, means_in_words, publish, write_metrics
from rine.scores.test_sets import read_test_sets
from rine.training.choices import runs_of
from rine.training.experiment import fit, importance, run_table

TRACKED = ("lr", "seeds", "settings.{setting}", "training", "grid")


def run(study: Params, paths: Paths, encoder: str, setting: str) -> str:
    """Write artifacts/grid/<encoder>-<setting>/ (scores of every run and picture, importance.csv) and its metrics."""
    sets = open_sets(paths.features(encoder)).of_classes(study.settings[setting])
    axes = product(study.grid.q, study.grid.proj_dim, study.grid.xi)
    runs = runs_of([{"q": q, "proj_dim": proj_dim, "xi": xi} for q, proj_dim, xi in axes], study)
    out, device = paths.grid(encoder, setting), choose(study.runtime.device)
    [(epochs, heads)] = fit(sets, runs, study, [study.grid.epochs], device)
    scores = score(heads, run_table("grid", sets, runs, study, epochs), sets.scored, device)
    table = publish([scores], out, read_test_sets(paths.index("test_sets")))
    shares = importance(runs, heads, sets.train.about["encoder"].get("blocks"))
    shares.to_csv(out / "importance.csv", index=False, lineterminator="\n")
    write_metrics(headline(table), paths.metric("grid", encoder, setting))
    return f"{len(runs)} runs on {encoder}, {setting}; {means_in_words(table)}"
