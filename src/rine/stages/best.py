"""Train the chosen model of a setting and store it: one checkpoint a seed, calibrated on validation pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from rine.device import choose
from rine.features.sets import open_sets
from rine.heads import Head
from rine.heads.scoring import mean_tokens, score
from rine.models import checkpoint
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
    mean, encoder = mean_tokens(sets.train), sets.train.about["encoder"]
    transform: dict[str, Any] = {"crop": encoder["image_size"]}
    if "small" in sets.train.about["transforms"].get("augment", {}):
        transform["small"] = sets.train.about["transforms"]["augment"]["small"]
    digests = {"training": sets.train.rows["digest"], "calibration": scores.images["digest"]}
    out.mkdir(parents=True, exist_ok=True)
    for trained, head, row, logits in zip(runs, heads, table.to_dict("records"), scores.logits, strict=True):
        name = "model" if trained.seed == study.seeds[0] else f"model-seed{trained.seed}"
        made_by = {key: encoder[key] for key in ("weights", "arithmetic", "library") if key in encoder}
        meta: dict[str, Any] = {
            "name": model,
            "encoder": study.encoders[study.encoder].entry() | made_by,
            "transform": transform,
            "training": {key: None if pd.isna(value) else value for key, value in row.items()},
            "classes": list(sets.classes),
            "pictures": int(sets.train.rows["digest"].nunique()),
            "sources": sorted(sets.train.rows.loc[sets.train.rows["label"] == 1, "source"].unique()),
            "profile": study.profile,
            "about": study.about,
            "choice": {key: chosen[key] for key in ("rule", "words", "acc", "ap") if key in chosen},
            "calibration": asdict(calibration.fit(labels, logits)),
        }
        checkpoint.save(out / f"{name}.safetensors", head, meta, mean, digests)
        if name == "model":
            block_shares(head, encoder.get("blocks")).to_csv(out / "importance.csv", index=False, lineterminator="\n")
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


def block_shares(head: Head, blocks: list[int] | None = None) -> pd.DataFrame:
    """For each block the share of embedding dimensions in which its importance is the largest.

    `blocks` are the blocks' numbers in the tower; by default those from 1.
    """
    largest = head.importance().argmax(dim=0).cpu().numpy()
    shares = np.bincount(largest, minlength=head.config.n_blocks) / len(largest)
    return pd.DataFrame({"block": blocks or range(1, len(shares) + 1), "share": shares})


def _accuracy(labels: np.ndarray, logits: np.ndarray) -> float | None:
    return round(float(((logits > 0) == labels).mean()), 6) if len(labels) else None
