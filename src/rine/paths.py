"""The name of every file and folder that a study reads or writes, once; `dvc.yaml` names the same ones as outs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def store_folder(part: str = "") -> Path:
    """What is kept from run to run, outside what DVC owns: `$RINE_STORE`, else `.rine/store`; or a part of it."""
    return Path(os.environ.get("RINE_STORE", ".rine/store")) / part


@dataclass(frozen=True)
class Paths:
    """Where a study lies. A method gives a place below it; where an argument is left out, the folder of all."""

    artifacts: Path = Path("artifacts")
    metrics: Path = Path("metrics")
    plots: Path = Path("plots")
    page: Path = Path("report")
    published: Path = Path("pipeline/published")
    timings: Path = Path(".rine/timings.json")
    plots_page: Path = Path(".rine/plots.html")  # the template of `dvc plots show`
    detector_times: Path = Path(".rine/detectors.json")  # seconds a picture of each
    encoder_speeds: Path = Path(".rine/encoders.json")  # views that were last encoded of each set, and the seconds

    def index(self, table: str = "") -> Path:
        """A table of `prepare`: train, test, ldm, synthbuster, test_sets, skipped, doctor, ..."""
        return self.artifacts / "index" / (f"{table}.csv" if table else "")

    def features(self, encoder: str, feature_set: str = "") -> Path:
        return self.artifacts / "features" / encoder / feature_set

    def grid(self, encoder: str, setting: str) -> Path:
        return self.artifacts / "grid" / f"{encoder}-{setting}"

    def ldm(self) -> Path:
        return self.artifacts / "ldm"

    def select(self, table: str = "") -> Path:
        """A table of `select`: rules, generators, encoders."""
        return self.artifacts / "select" / (f"{table}.csv" if table else "")

    def choice(self, model: str = "") -> Path:
        """What `select` chose for a class setting, or for `ldm`."""
        return self.artifacts / "select" / "choices" / (f"{model}.json" if model else "")

    def epochs(self) -> Path:
        return self.artifacts / "epochs"

    def dataset_size(self) -> Path:
        return self.artifacts / "dataset_size"

    def ablate(self, variant: str = "") -> Path:
        return self.artifacts / "ablate" / variant

    def left_out(self) -> Path:
        """Of `ablate`: what was learnt without some of the training data."""
        return self.ablate("left-out")

    def best(self, model: str) -> Path:
        """The folder of a stored model."""
        return self.artifacts / "best" / model

    def perturb(self) -> Path:
        return self.artifacts / "perturb"

    def validate(self) -> Path:
        return self.artifacts / "validate"

    def detect(self, detector: str = "") -> Path:
        """The scores of another method."""
        return self.artifacts / "detect" / detector

    def metric(self, stage: str, *item: str) -> Path:
        """The metrics file of a stage, or of one of its items."""
        return self.metrics / stage / f"{'-'.join(item)}.json" if item else self.metrics / f"{stage}.json"
