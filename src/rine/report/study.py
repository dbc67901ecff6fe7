"""What the stages of a study have left, read when a section asks for it; what is not there is empty."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from rine.dataset.generators import FAMILY, SYNTHBUSTER_GENERATORS, TITLE
from rine.features.table import joined, read
from rine.params import Params
from rine.report import estimates, reading, rules
from rine.report.labels import label, label_settings, labels_of, study_of
from rine.scores import ImageScores
from rine.scores.calibration import Calibration
from rine.scores.test_sets import read_test_sets

TEST_SETS = ["generator", "family", "study", "real", "fake", "title", "released"]  # columns
PUBLISHED_ENCODER = "ViT-L/14"  # of the paper's tables
NOWHERE = Path(os.devnull)  # the folder of a study that is nothing but a scores file
REPORTED_FROM = ("validate", "best", "grid", "ldm", "index")  # folders that `Study.reported` and its intervals read
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


@dataclass(frozen=True, eq=False)
class Study:
    """Scores tables with the column `setting` (its label on the page), and readers of the stages' folders.

    `class_labels` are the labels by training classes, as `labels_of` gives them. Without `params` it is a scores file
    alone: no folder is read, and nothing has an interval.
    """

    all_scores: pd.DataFrame
    published: pd.DataFrame
    encoder: str
    class_labels: Mapping[str, str]
    params: Params | None = None
    artifacts: Path = NOWHERE
    timings: Path = NOWHERE  # seconds by stage, as JSON
    detector_times: Path = NOWHERE  # seconds a picture by detector, as JSON
    others: tuple[Path, ...] = ()  # scores folders of other studies, to be laid beside
    encoder_speeds: Path = NOWHERE  # views and seconds of each feature set as it was last encoded, as JSON
    _images: dict[str, dict[str, ImageScores]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """What the studies that have not been run leave out; one that the params leave out is not missed.

        Where all test sets are of one class none has a score.
        """
        done = set(self.all_scores["study"])
        wanted = {} if self.one_class else PARTS
        return [part for study, part in wanted.items() if study not in done and not self.without(study)]

    def without(self, name: str) -> bool:
        """Whether the params say of a section, by null, that this study does without it."""
        return self.params is not None and getattr(self.params, name, self) is None

    @property
    def one_class(self) -> bool:
        """Whether there are test sets and none has pictures of both classes: nothing has an accuracy, AP or AUC."""
        both = (self.test_sets[["real", "fake"]] != "").all(axis=1)
        return len(both) > 0 and not both.any()

    @cached_property
    def labels(self) -> dict[str, str]:
        """Setting, or `ldm`, as the params name it -> its label."""
        if self.params is None:
            return {}
        settings = {name: label("progan", classes, self.class_labels) for name, classes in self.params.settings.items()}
        return settings | {"ldm": label("ldm", (), self.class_labels)}

    def scores(self, study: str) -> pd.DataFrame:
        """Our scores of one study."""
        return self.all_scores[self.all_scores["study"] == study]

    def images(self, stage: str) -> dict[str, ImageScores]:
        """Scores of pictures by setting, from a stage or a folder such as `validate/baselines`; read once.

        Those of `validate` have one run a seed, the first seed first; those of `grid` are of the encoder in force.
        """
        if stage not in self._images:
            names = reading.folders_of(stage, self.params) if self.params else []
            folders = [self.artifacts / name for name in names]
            self._images[stage] = reading.image_scores(folders, self.class_labels, self.labels.values())
        return self._images[stage]

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A CSV file of the artifacts by its path in them, such as `index/doctor.csv`."""
        return reading.table(self.artifacts / name, columns)

    @cached_property
    def calibrations(self) -> dict[str, Calibration]:
        """What `best` fitted, by label."""
        fitted = {
            label: reading.calibration(self.artifacts / "best" / name / "model.safetensors")
            for name, label in self.labels.items()
        }
        return {label: calibration for label, calibration in fitted.items() if calibration}

    @cached_property
    def test_sets(self) -> pd.DataFrame:
        file = self.artifacts / "index/test_sets.csv"
        return read_test_sets(file) if file.is_file() else pd.DataFrame(columns=TEST_SETS)

    @cached_property
    def test_pictures(self) -> pd.DataFrame:
        """Every test picture of the study: what each method was asked about."""
        files = [self.artifacts / f"index/{name}.csv" for name in ("test", "synthbuster")]
        return joined(read(file) for file in files if file.is_file())

    def sets_of(self, setting: str) -> pd.DataFrame:
        """The test sets of a setting's study: the paper never averages the two studies together."""
        return self.test_sets[self.test_sets["study"] == study_of(setting)]

    def in_study(self, setting: str, generator: str) -> bool:
        """Whether a generator is in the test sets of a setting's study."""
        study = self._of_generator("study", generator)
        return (study or ("ldm" if generator in SYNTHBUSTER_GENERATORS else "grid")) == study_of(setting)

    def family(self, generator: str) -> str:
        """Family of a generator: as the index says, else as the paper groups it, else "own"."""
        return self._of_generator("family", generator) or FAMILY.get(generator, "own")

    def title(self, generator: str) -> str:
        """Label of a generator; a data set of one's own is called by its own name, whatever that is elsewhere."""
        titled = self._of_generator("title", generator)
        return titled or (generator if generator in self.own_sets else TITLE.get(generator, generator))

    def released(self, generator: str) -> str:
        """When a generator was released; "" where nobody said."""
        return self._of_generator("released", generator)

    @cached_property
    def own_sets(self) -> frozenset[str]:
        """Test sets of one's own data, to which nothing was ever published."""
        return frozenset(self.test_sets.loc[self.test_sets["title"] == "", "generator"])

    def _of_generator(self, column: str, generator: str) -> str:
        return self._generators.get(generator, {}).get(column, "")

    @cached_property
    def _generators(self) -> dict[str, dict[Any, str]]:
        """The rows of `test_sets` by generator."""
        return {row["generator"]: row for row in self.test_sets.iloc[::-1].astype(str).to_dict("records")}

    @cached_property
    def everywhere(self) -> pd.DataFrame:
        """Scores of each setting's reported model on the test sets of both studies."""
        return estimates.chosen(self.all_scores, self.encoder)

    @cached_property
    def reported(self) -> pd.DataFrame:
        """Scores of each setting's reported model on the test sets of its own study."""
        pairs = zip(self.everywhere["setting"], self.everywhere["generator"], strict=True)
        return self.everywhere[pd.Series([self.in_study(*pair) for pair in pairs], self.everywhere.index, dtype=bool)]

    @cached_property
    def published_models(self) -> pd.DataFrame:
        """Published scores of the paper's own choice: of the study's encoder where there is that, else the paper's."""
        there = set(self.published["backbone"])
        chosen = estimates.chosen(self.published, self.encoder if self.encoder in there else PUBLISHED_ENCODER)
        return chosen[~chosen["generator"].isin(self.own_sets)]

    def intervals(self, images: Mapping[str, ImageScores], by: str | None = None) -> estimates.Intervals:
        """Intervals of some scores over the test sets of each setting's study."""
        return estimates.intervals(images, self.sets_of, self.params.report if self.params else None, by)

    @cached_property
    def model_intervals(self) -> estimates.Intervals:
        """Intervals of the models that `validate` scored."""
        return self.intervals(self.images("validate"))

    @cached_property
    def rules(self) -> pd.DataFrame:
        """What each selection rule reports: setting, rule, acc, ap."""
        if self.params is None:
            return rules.rules_from_scores(self.all_scores, self.encoder)
        return rules.rules_from_select(self.artifacts / "select/rules.csv", self.params.encoder, self.labels)

    @cached_property
    def _published_here(self) -> frozenset[str]:
        """Test sets that are scored here and were published: others would compare nothing."""
        return frozenset({*self.published["generator"]} & {*self.all_scores["generator"]} - self.own_sets)

    @cached_property
    def published_rules(self) -> pd.DataFrame:
        """`rules` of the published scores, on the test sets that are scored here."""
        here = self.published["generator"].isin(self._published_here)
        return rules.rules_from_scores(self.published[here], PUBLISHED_ENCODER)

    @cached_property
    def rules_beside_published(self) -> pd.DataFrame:
        """`rules` on the test sets that were published too: what a published figure is compared with."""
        of_grid = self.all_scores["study"].isin(["grid", "ldm"])
        if {*self.all_scores.loc[of_grid, "generator"]} <= self._published_here:
            return self.rules
        here = self.all_scores["generator"].isin(self._published_here)
        return rules.rules_from_scores(self.all_scores[here], self.encoder)

    @cached_property
    def rule_intervals(self) -> estimates.Intervals:
        """Intervals of `rules`, from the scores of pictures of the grid."""
        if self.params is None:
            return estimates.NONE
        choices = rules.rules_from_select(self.artifacts / "select/generators.csv", self.params.encoder, self.labels)
        return rules.rule_intervals(choices, self.images("grid") | self.images("ldm"), self.sets_of, self.params.report)


def gather(
    params: Params,
    artifacts: Path,
    published: Path,
    timings: Path,
    detector_times: Path = NOWHERE,
    others: tuple[Path, ...] = (),
    encoder_speeds: Path = NOWHERE,
) -> Study:
    """The study that `params` describe; nothing of it has to be there."""
    ours, theirs = reading.study_scores(params, artifacts), reading.together(sorted(published.glob("*.csv")))
    labels = labels_of(ours, theirs, settings=params.settings)
    ours, theirs = label_settings(ours, labels), label_settings(theirs, labels)
    name, places = params.encoders[params.encoder].name, (artifacts, timings, detector_times, others, encoder_speeds)
    return Study(ours, theirs, name, labels, params, *places)


def from_scores(path: Path, published: Path) -> Study:
    """A study that is nothing but a scores file, of any method. Raises `ScoresError`."""
    ours, theirs = reading.together([path]), reading.together(sorted(published.glob("*.csv")))
    labels = labels_of(ours, theirs)
    ours, theirs = label_settings(ours, labels), label_settings(theirs, labels)
    return Study(ours, theirs, _main_encoder(ours), labels)


def _main_encoder(scores: pd.DataFrame) -> str:
    """The encoder with the highest mean AP in the grid: what the paper goes on with."""
    grid = scores[scores["study"] == "grid"]
    means = (grid if len(grid) else scores).groupby("backbone")["ap"].mean()
    return str(means.idxmax()) if len(means) else ""
