"""What things are called on the page: metrics, and class settings such as "4-class" and "LDM"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from rine.scores.table import HYPER

PAPER_METRICS = {"acc": "Accuracy", "ap": "AP"}  # columns of a scores table -> on tables and axes
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


def label(training_set: str, classes: Iterable[str], labels: Mapping[str, str], n_classes: int | None = None) -> str:
    """Label of a setting, from those of `labels_of`; one that names no classes is called by its training set."""
    if training_set == "ldm":
        return LDM
    joined = _joined(classes)
    if joined:
        return labels.get(joined, f"{len(joined.split())}-class")
    return f"{training_set}, {n_classes}-class" if n_classes else training_set


def label_settings(scores: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """The table with the column `setting`; what is averaged later, runs of one setting, differs by seed alone.

    Runs that share their classes and are of different training sets, encoders or, as reported models or methods,
    configurations have these in the setting's label.
    """
    columns = zip(scores["training_set"], scores["classes"], scores["n_classes"], strict=True)
    keys = [(name, classes, None if pd.isna(n) else int(n)) for name, classes, n in columns]
    settings = {key: label(key[0], key[1].split(), labels, key[2]) for key in dict.fromkeys(keys)}
    table = scores.assign(setting=[settings[key] for key in keys])
    # in a grid every configuration and encoder is wanted under one setting
    reported = table["study"].isin(["validate", "best", "detect"])
    one_encoder = ~table["study"].isin(["grid", "ldm"])
    everywhere = pd.Series(True, table.index)
    apart = {"training_set": everywhere, "backbone": one_encoder, **dict.fromkeys((*HYPER, "fraction"), reported)}
    for column, rows in apart.items():
        if rows.any():
            within = ["study", "setting", *(["variant"] if rows is reported else [])]
            table.loc[rows, "setting"] = _told_apart(table[rows], column, within)
    return table


def _told_apart(table: pd.DataFrame, column: str, within: list[str]) -> pd.Series:
    """Settings of a table's rows, each with its value of a column where the runs of the setting have several."""
    values = table[column].map(lambda value: "none" if pd.isna(value) else str(value).removesuffix(".0"))
    several = values.groupby([table[each] for each in within]).transform("nunique") > 1
    shown = values if column in ("training_set", "backbone") else f"{column} " + values
    return table["setting"].where(~several, table["setting"] + ", " + shown)


def settings_of(scores: pd.DataFrame) -> list[str]:
    """The settings of a table, in its order."""
    return list(dict.fromkeys(scores["setting"]))


def study_of(setting: str) -> str:
    """The study whose test sets a setting is scored on: grid or ldm."""
    return "ldm" if setting == LDM else "grid"


def _joined(classes: Iterable[str]) -> str:
    return " ".join(sorted(classes))
