"""Train the chosen model of a setting and store it: one checkpoint a seed, calibrated on validation pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.device import choose
from rine.heads import Head
from rine.models import checkpoint
from rine.models.choices import choice, chosen_runs
from rine.params import Params
from rine.scores import calibration
from rine.scores.publish import write_metrics
from rine.training import mean_tokens
from rine.training.experiment import Experiment, fit, run_table, score, training_pictures


def best(model: str, params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/best/<model>/: model.safetensors and its card, the other seeds' models, importance.csv."""
    out, device = artifacts / "best" / model, choose(params.runtime.device)
    chosen = choice(artifacts / "select", model)
    what = Experiment(
        "best", artifacts / "features" / params.encoder, params.best.models[model], params.settings.get(model, ())
    )
    runs = chosen_runs(artifacts / "select", model, params.seeds)
    [(epochs, heads)] = fit(what, runs, params, [int(chosen["epochs"])], device)

    learn, held_out = training_pictures(what, params)
    table = run_table(what, runs, params, learn.encoder_name, epochs)
    scored = score(heads, table, [held_out], device)
    labels = scored.images["label"].to_numpy()
    mean = mean_tokens(learn)
    out.mkdir(parents=True, exist_ok=True)
    for run, head, row, logits in zip(runs, heads, table.to_dict("records"), scored.logits, strict=True):
        name = "model" if run.seed == params.seeds[0] else f"model-seed{run.seed}"
        meta: dict[str, Any] = {
            "name": model,
            "encoder": asdict(params.encoders[params.encoder]) | {"weights": learn.about["encoder"]["weights"]},
            "transform": {"crop": params.crops.size},
            "training": {key: None if pd.isna(value) else value for key, value in row.items()},
            "classes": list(what.classes),
            "pictures": int(learn.rows["digest"].nunique()),
            "profile": params.profile,
            "about": params.about,
            "choice": {key: chosen[key] for key in ("rule", "acc", "ap") if key in chosen},
            "calibration": asdict(calibration.fit(labels, logits)),
        }
        checkpoint.save(out / f"{name}.safetensors", head, meta, mean)
        if name == "model":
            block_shares(head).to_csv(out / "importance.csv", index=False, lineterminator="\n")
            write_metrics(
                {
                    "val": {"acc": _accuracy(labels, logits), "pictures": len(labels)},
                    "parameters": sum(p.numel() for p in head.parameters()),
                    **{key: chosen[key] for key in ("q", "proj_dim", "xi", "epochs")},
                },
                metrics / "best" / f"{model}.json",
            )
    first = runs[0]
    return f"{model}: q {first.q}, P {first.proj_dim}, xi {first.xi}, {epochs} epochs, {len(runs)} seeds"


def block_shares(head: Head) -> pd.DataFrame:
    """For each block (from 1) the share of embedding dimensions in which its importance is the largest."""
    largest = head.importance().argmax(dim=0).cpu().numpy()
    shares = np.bincount(largest, minlength=head.config.n_blocks) / len(largest)
    return pd.DataFrame({"block": range(1, len(shares) + 1), "share": shares})


def _accuracy(labels: Any, logits: Any) -> float | None:
    return round(float(((logits > 0) == labels).mean()), 6) if len(labels) else None
