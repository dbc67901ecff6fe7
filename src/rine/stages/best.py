"""Train the chosen model of a setting and store it: one checkpoint a seed, calibrated on validation pictures."""

from __future__ import annotations

import numpy as np

from rine.device import choose
from rine.features.sets import open_sets
from rine.heads.scoring import block_shares, mean_tokens, score
from rine.models import checkpoint
from rine.models.description import trained_meta
from rine.params import Params
from rine.paths import Paths
from rine.scores import calibration
from rine.scores.publish import write_metrics
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import fit, run_table

TRACKED = (
    "profile",
    "about",
    "lr",
    "seeds",
    "encoder",
    "encoders.{study.encoder}",
    "settings",
    "training",
    "best.models.{model}",
)


def run(study: Params, paths: Paths, model: str) -> str:
    """Write artifacts/best/<model>/: model.safetensors and its card, the other seeds' models, importance.csv."""
    out, device = paths.best(model), choose(study.runtime.device)
    sets = open_sets(paths.features(study.encoder), study.best.models[model], test=False)
    sets = sets.of_classes(study.settings.get(model, ()))
    chosen = read_choice(paths.choice(model))
    runs = runs_of([chosen], study)
    [(epochs, heads)] = fit(sets, runs, study, [chosen["epochs"]], device)

    table = run_table("best", sets, runs, study, epochs)
    scores = score(heads, table, sets.scored, device)
    labels = scores.images["label"].to_numpy()
    mean, blocks = mean_tokens(sets.train), sets.train.about["encoder"].get("blocks")
    digests = {"training": sets.train.rows["digest"], "calibration": scores.images["digest"]}
    out.mkdir(parents=True, exist_ok=True)
    for trained, head, row, logits in zip(runs, heads, table.to_dict("records"), scores.logits, strict=True):
        name = "model" if trained.seed == study.seeds[0] else f"model-seed{trained.seed}"
        meta = trained_meta(model, study, sets, chosen, row, calibration.fit(labels, logits))
        checkpoint.save(out / f"{name}.safetensors", head, meta, mean, digests)
        if name == "model":
            block_shares(head, blocks).to_csv(out / "importance.csv", index=False, lineterminator="\n")
            write_metrics(
                {
                    "val": {"acc": _accuracy(labels, logits), "pictures": len(labels)},
                    "parameters": sum(p.numel() for p in head.parameters()),
                    **{key: chosen[key] for key in ("q", "proj_dim", "xi", "epochs")},
                },
                paths.metric("best", model),
            )
    first = runs[0]
    return f"{model}: q {first.q}, P {first.proj_dim}, xi {first.xi}, {epochs} epochs, {len(runs)} seeds"


def _accuracy(labels: np.ndarray, logits: np.ndarray) -> float | None:
    return round(float(((logits > 0) == labels).mean()), 6) if len(labels) else None
