"""Score other methods on the study's pictures: validation, test, perturbed and degraded ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from rine.detectors.journal import Journal
from rine.detectors.kinds import KINDS
from rine.detectors.method import DetectorError
from rine.detectors.pictures import TABLES, Pictures, asked, training
from rine.detectors.results import write
from rine.detectors.scoring import Scored, score_all
from rine.features.table import read
from rine.files import note
from rine.params import Params
from rine.paths import Paths
from rine.pixels.pictures import place
from rine.scores.publish import publish_nothing, write_metrics
from rine.scores.test_sets import read_test_sets

TRACKED = ("prepare.root", "prepare.max_pixels", "augmentation", "cache.align", "perturb", "settings", "detectors")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/detect/<name>/: the scores of each detector, and why a picture has none.

    Raises `DetectorError` where one cannot be used at all, after all others: their scores are kept in the store.
    """
    if study.detectors is None:
        return publish_nothing(paths.detect(), paths.metric("detect"), "detectors is null")
    tables = {name: read(paths.index(name)) for name in TABLES}
    rows = asked(tables, study.perturb, study.augmentation)
    learn = training(tables["train"], max(study.settings.values(), key=len))
    scored, unusable = {}, []
    for name in study.detectors:
        try:
            scored[name] = _scored(study, name, rows, learn)
        except DetectorError as error:
            unusable.append(f"detectors.{name}: {error}")
    if unusable:
        kept = f" (the scores of {', '.join(scored)} are kept, and are not made again)" if scored else ""
        raise DetectorError("\n  ".join(unusable) + kept)
    test_sets, about = read_test_sets(paths.index("test_sets")), {}
    for name, (config, part, made) in scored.items():
        about[name] = write(name, config, part, made.answers, test_sets, paths.detect(name))
    write_metrics(about, paths.metric("detect"))
    # of a detector with nothing new to score the last time stays
    seconds = {name: made.seconds for name, (_, _, made) in scored.items() if made.seconds is not None}
    note(paths.detector_times, {name: round(value, 4) for name, value in seconds.items()})
    without = {name: n for name, each in about.items() if (n := each["left_out"])}
    faults = "; not scored: " + ", ".join(f"{n} by {name}" for name, n in without.items()) if without else ""
    return f"{', '.join(scored)} on {len(rows)} pictures and views of them{faults}"


def _scored(study: Params, name: str, rows: pd.DataFrame, learn: pd.DataFrame) -> tuple[Any, pd.DataFrame, Scored]:
    """A detector's section, the rows that it was asked about, and its answers."""
    assert study.detectors is not None
    config, perturbed, align = study.detectors[name], study.perturb, study.cache.align
    pictures = Pictures(place(study.prepare.root), study.prepare.max_pixels, align, perturbed)
    method = KINDS[config.kind].start(config, pictures, learn)
    try:
        views = {view: method.asks(view) and (config.perturbed or not view) for view in rows["view"].unique()}
        part = rows[rows["view"].map(views)].reset_index(drop=True)
        shown: dict[str, Any] = {
            "align": align and asdict(align),
            "perturb": perturbed and {"mode": perturbed.mode, "seed": perturbed.seed},
        }
        if KINDS[config.kind].learns:
            shown["learnt"] = learn[["digest", "label"]].to_csv(index=False)
        return config, part, score_all(method, config, part, pictures, Journal(name, config, shown), name)
    finally:
        method.close()
