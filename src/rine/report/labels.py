"""What things are called on the page: metrics, and class settings such as "4-class" and "LDM"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

METRICS = {"acc": "Accuracy", "ap": "AP"}  # columns of a scores table -> on tables and axes
LDM = "LDM"  # the model that is trained on latent diffusion
NUMBERED = ("one_class", "two_class", "four_class")  # settings that readers of the paper know by a number


def labels_of(*tables: pd.DataFrame, settings: Mapping[str, Iterable[str]] | None = None) -> dict[str, str]:
    """Label of every combination of training classes that occurs; a combination is sorted and joined by spaces.

    A study's own setting is called by its name; the paper's and those of other tables by their number of classes,
    followed by the classes where two combinations have the same number.
    """
    names = {_joined(classes): name for name, classes in (settings or {}).items()}
    combinations = {_joined(classes.split()) for table in tables for classes in table["classes"].unique()}
    combinations |= names.keys()
    sizes = [len(classes.split()) for classes in combinations]
    labels = {}
    for classes in sorted(combinations):
        size = len(classes.split())
        listed = "" if sizes.count(size) == 1 else f" ({classes.replace(' ', ', ')})"
        own = names.get(classes, NUMBERED[0]) not in NUMBERED
        labels[classes] = names[classes].replace("_", " ") if own else f"{size}-class{listed}"
    return labels


def label(training_set: str, classes: Iterable[str], labels: Mapping[str, str]) -> str:
    """Label of a setting, from those of `labels_of`."""
    if training_set == "ldm":
        return LDM
    joined = _joined(classes)
    return labels.get(joined, f"{len(joined.split())}-class") if joined else training_set


def label_settings(scores: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """The table with the column `setting`."""
    pairs = list(zip(scores["training_set"], scores["classes"], strict=True))
    settings = {pair: label(pair[0], pair[1].split(), labels) for pair in dict.fromkeys(pairs)}
    return scores.assign(setting=[settings[pair] for pair in pairs])


def settings_of(scores: pd.DataFrame) -> list[str]:
    """The settings of a table, in its order."""
    return list(dict.fromkeys(scores["setting"]))


def study_of(setting: str) -> str:
    """The study whose test sets a setting is scored on: grid or ldm."""
    return "ldm" if setting == LDM else "grid"


def _joined(classes: Iterable[str]) -> str:
    return " ".join(sorted(classes))
