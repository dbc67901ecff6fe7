"""All that a report is made of, read from where the stages left it; what is not there is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from rine.generators import FAMILY, SYNTHBUSTER_GENERATORS
from rine.params import Params
from rine.report import reading
from rine.report.labels import label, label_settings, labels_of, study_of
from rine.scores import ImageScores
from rine.scores.calibration import Calibration
from rine.tables.estimates import Intervals, intervals

TEST_SETS = ["generator", "family", "study", "real", "fake"]  # columns
PUBLISHED_ENCODER = "ViT-L/14"  # of the paper's tables
# study -> what its absence leaves out, as the page says it
PARTS = {
    "grid": "the grid (box plots, head sizes, selection)",
    "epochs": "longer training",
    "dataset_size": "smaller training sets",
    "ablate": "ablations",
    "ldm": "training on latent diffusion",
    "validate": "the chosen models on every test set",
    "perturb": "perturbations",
}


def _nothing() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True)
class Study:
    """Tables of scores with the column `setting` (label for people), scores of pictures by setting, and the rest.

    Scores of pictures, by setting: `models` of the stored models (one run a seed, the first seed first), `baselines` of
    other classifiers, `perturbed` and `degraded` of changed pictures, `ablated`, `longer`, `shares`, `ldm` and `grid`
    (of the encoder in force) of the single experiments. `rules` has setting, rule, acc, ap. `blocks` maps an encoder's
    name to (number of blocks, width).
    """

    scores: pd.DataFrame
    published: pd.DataFrame
    encoder: str
    rules: pd.DataFrame
    published_rules: pd.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)  # setting or `ldm`, as in the params -> label
    params: Params | None = None
    models: Mapping[str, ImageScores] = field(default_factory=dict)
    baselines: Mapping[str, ImageScores] = field(default_factory=dict)
    degraded: Mapping[str, ImageScores] = field(default_factory=dict)
    perturbed: Mapping[str, ImageScores] = field(default_factory=dict)
    ablated: Mapping[str, ImageScores] = field(default_factory=dict)
    longer: Mapping[str, ImageScores] = field(default_factory=dict)
    shares: Mapping[str, ImageScores] = field(default_factory=dict)
    ldm: Mapping[str, ImageScores] = field(default_factory=dict)
    grid: Mapping[str, ImageScores] = field(default_factory=dict)
    rules_by_generator: pd.DataFrame = field(default_factory=_nothing)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    test_sets: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=TEST_SETS))
    importance: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    embeddings: pd.DataFrame = field(default_factory=_nothing)
    doctor: pd.DataFrame = field(default_factory=_nothing)
    shortcuts: pd.DataFrame = field(default_factory=_nothing)
    findings: pd.DataFrame = field(default_factory=_nothing)
    blocks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """What the studies that have not been run leave out."""
        done = set(self.scores["study"])
        return [what for study, what in PARTS.items() if study not in done]

    def of(self, study: str) -> pd.DataFrame:
        """Our scores of one study."""
        return self.scores[self.scores["study"] == study]

    def family(self, generator: str) -> str:
        """Family of a generator: as the index says, else as the paper groups it, else "own"."""
        return self._of_generator("family", generator) or FAMILY.get(generator, "own")

    def at_home(self, setting: str, generator: str) -> bool:
        """Whether a generator is in the test sets of a setting's study: the paper never averages the two together."""
        study = self._of_generator("study", generator)
        return (study or ("ldm" if generator in SYNTHBUSTER_GENERATORS else "grid")) == study_of(setting)

    def home_sets(self, setting: str) -> pd.DataFrame:
        """The test sets of a setting's study."""
        return self.test_sets[self.test_sets["study"] == study_of(setting)]

    def intervals(self, scores: Mapping[str, ImageScores], by: str | None = None) -> Intervals:
        """Bootstrap intervals of some scores over the test sets of each setting's study; none without parameters."""
        return intervals(scores, self.home_sets, self.params.report if self.params else None, by)

    def intervals_on(self, setting: str) -> Intervals:
        """Intervals of every stored model over the test sets of one study: that of `setting`."""
        sets = self.home_sets(setting)
        return intervals(self.models, lambda _: sets, self.params.report if self.params else None)

    def _of_generator(self, column: str, generator: str) -> str:
        found = self.test_sets.loc[self.test_sets["generator"] == generator, column]
        return str(found.iloc[0]) if len(found) else ""


def gather(params: Params, artifacts: Path, published: Path, timings: Path) -> Study:
    """Read whatever the stages of a study have left; nothing has to be there."""
    scores, known = reading.our_scores(params, artifacts), reading.together(sorted(published.glob("*.csv")))
    sets = labels_of(scores, known, settings=params.settings)
    scores, known = label_settings(scores, sets), label_settings(known, sets)
    settings = {name: label("progan", classes, sets) for name, classes in params.settings.items()}
    labels = settings | {"ldm": label("ldm", (), sets)}
    index, models = artifacts / "index", list(labels.values())

    def scored(folder: str) -> dict[str, ImageScores]:
        return reading.image_scores(artifacts / folder, sets, models)

    return Study(
        scores=scores,
        published=known,
        encoder=params.encoders[params.encoder].name,
        rules=reading.our_rules(artifacts / "select" / "rules.csv", params.encoder, labels),
        published_rules=reading.rules_of(known, PUBLISHED_ENCODER),
        labels=labels,
        params=params,
        models=scored("validate"),
        baselines=scored("validate/baselines"),
        degraded=scored("perturb/degrade"),
        perturbed=scored("perturb"),
        ablated=reading.stacked(
            scored(f"ablate/{variant}/{name}") for name in settings for variant in params.ablate.variants
        ),
        longer=reading.stacked(scored(f"epochs/{name}") for name in settings),
        shares=reading.stacked(scored(f"dataset_size/{name}") for name in settings),
        ldm=scored("ldm"),
        grid=reading.stacked(scored(f"grid/{params.encoder}-{name}") for name in settings),
        rules_by_generator=reading.our_rules(artifacts / "select" / "generators.csv", params.encoder, labels),
        calibrations=reading.calibrations(artifacts / "best", labels),
        test_sets=reading.table(index / "test_sets.csv", TEST_SETS),
        importance=reading.importance(artifacts / "best", labels),
        embeddings=reading.table(artifacts / "validate" / "embeddings.csv"),
        doctor=reading.table(index / "doctor.csv"),
        shortcuts=reading.table(index / "shortcuts.csv"),
        findings=reading.table(index / "findings.csv"),
        blocks=reading.blocks_of(params, known),
        timings=reading.timings(timings),
    )


def from_scores(path: Path, published: Path) -> Study:
    """A study that is nothing but a scores file, of any method: Raises `ScoresError`."""
    scores, known = reading.together([path]), reading.together(sorted(published.glob("*.csv")))
    sets = labels_of(scores, known)
    scores, known = label_settings(scores, sets), label_settings(known, sets)
    encoder = main_encoder(scores)
    return Study(
        scores=scores,
        published=known,
        encoder=encoder,
        rules=reading.rules_of(scores, encoder),
        published_rules=reading.rules_of(known, PUBLISHED_ENCODER),
        blocks=reading.blocks_of(None, scores, known),
    )


def main_encoder(scores: pd.DataFrame) -> str:
    """The encoder with the highest mean AP in the grid: what the paper goes on with."""
    grid = scores[scores["study"] == "grid"]
    means = (grid if len(grid) else scores).groupby("backbone")["ap"].mean()
    return str(means.idxmax()) if len(means) else ""
