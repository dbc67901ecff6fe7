"""Score the stored models on perturbed test pictures, and along sweeps of growing strength."""

from __future__ import annotations

from rine.device import choose
from rine.features import Features
from rine.models.loaded import stored
from rine.models.perturbed import score_perturbed
from rine.params import Params
from rine.paths import Paths
from rine.scores.publish import headline, publish, publish_nothing, write_metrics
from rine.scores.test_sets import read_test_sets

TRACKED = ("encoder", "best.models", "perturb")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/perturb/ (each kind on all test pictures, half of them touched) and its degrade/."""
    if study.perturb is None:
        return publish_nothing(paths.perturb(), paths.metric("perturb"), "perturb is null")
    device = choose(study.runtime.device)
    on_train = [model for model, training_set in study.best.models.items() if training_set == "train"]
    test, perturbed = (Features.open(paths.features(study.encoder, name)) for name in ("test", "perturb"))
    heads, runs = stored([paths.best(model) for model in on_train], test.about["encoder"])
    scores, sweeps = score_perturbed(heads, runs, test, perturbed, study.perturb.kinds, device)

    test_sets = read_test_sets(paths.index("test_sets"))
    table = publish(scores, paths.perturb(), test_sets)
    by_kind = {str(kind): headline(part) for kind, part in table.groupby("variant", sort=False)}
    write_metrics(by_kind, paths.metric("perturb"))
    if sweeps:
        publish(sweeps, paths.perturb() / "degrade", test_sets)
    return f"{len(heads)} models under {', '.join(study.perturb.kinds)} ({study.perturb.mode} mode)"
