"""Thresholds and probabilities of a model fitted on pictures of one's own, as `best` fits them on a study's."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rine.models import checkpoint
from rine.own.pictures import Judged, digest_of
from rine.scores.calibration import FPR1, FPR5, Calibration, fit, fit_alarms, needed, verdict

KINDS = ("real", "synthetic")


def fitted(judged: Judged) -> Calibration:
    """Fit on judged pictures, on real ones alone where that is all; raises `ValueError` that says what lacks."""
    labels, logits = (judged.rows[column].to_numpy() for column in ("label", "logit"))
    n_fake = int(labels.sum())
    if n_fake == len(labels):
        raise ValueError("no real pictures could be read: thresholds bound the false alarms on real pictures (--real)")
    found = fit(labels, logits) if n_fake else fit_alarms(logits)
    if found.threshold_fpr1 is None:
        alone = "; real pictures alone (without --fake) would give thresholds, and no verdict `real`" if n_fake else ""
        raise ValueError(f"nothing was fitted: {found.reason}{alone}")
    return found


def store(model: Path, out: Path, calibration: Calibration, judged: Judged) -> None:
    """Write the model with another calibration, called after its file, and its card."""
    stored = checkpoint.load(model)
    known: dict[str, Any] = {"date": datetime.date.today().isoformat(), "crops": "centre"}
    for label, kind in enumerate(KINDS):
        rows = judged.of(label)
        if len(rows):
            sources = list(dict.fromkeys(rows["source"]))
            known[kind] = {"sources": sources, "pictures": len(rows), "digest": digest_of(rows["digest"])}
    meta = {key: value for key, value in stored.meta.items() if key != "head"}
    meta |= {"name": out.stem, "calibration": asdict(calibration), "calibrated": known}
    digests = {**stored.digests, "calibration": judged.rows["digest"]}
    checkpoint.save(out, stored.head, meta, stored.mean_tokens, digests)


def said(calibration: Calibration, judged: Judged) -> Iterator[str]:
    """On how many pictures it stands, what that bounds, and what becomes of the very pictures it was fitted on."""
    n_real, n_fake = len(judged.of(0)), len(judged.of(1))
    yield f"fitted on {n_real} real and {n_fake} synthetic pictures"
    for level, threshold in ((FPR1, calibration.threshold_fpr1), (FPR5, calibration.threshold_fpr5)):
        enough = n_real >= needed(level)
        promise = f"{level:.0%} false alarms" if enough else f"{level:.0%} wanted, {1 / (n_real + 1):.1%} promised"
        more = "" if enough else f": {n_real} real pictures, {needed(level)} are needed"
        yield f"threshold: logit {threshold:.4g} ({promise}{more})"
    if calibration.alarms_only:
        yield "real pictures alone: verdicts are synthetic or inconclusive, and probabilities are not calibrated"
    for label, kind in enumerate(KINDS):
        rows = judged.of(label)
        if len(rows):
            now = [verdict(calibration, logit)[0] for logit in rows["logit"]]
            before = _counted(rows["verdict"])
            yield f"of the {len(rows)} {kind} ones, on which it was fitted: {_counted(now)} (before: {before})"


def _counted(verdicts: Any) -> str:
    kinds, numbers = np.unique(np.asarray(verdicts, dtype=str), return_counts=True)
    return ", ".join(f"{number} {kind}" for kind, number in zip(kinds, numbers, strict=True))
