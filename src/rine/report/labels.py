"""What a class setting is called on the page: "4-class", "LDM"."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

LDM = "LDM"  # the model that is trained on latent diffusion


def class_sets(*tables: pd.DataFrame, settings: Iterable[Iterable[str]] = ()) -> frozenset[str]:
    """Every combination of training classes that occurs, each as words in order."""
    found = {words for table in tables for words in table["classes"].unique()}
    return frozenset(_ordered(words.split()) for words in found) | {_ordered(classes) for classes in settings}


def label(training_set: str, classes: Iterable[str], known: frozenset[str]) -> str:
    """Label of a setting; where two of the known ones have as many classes, the classes stand in it."""
    words = _ordered(classes)
    if training_set == "ldm":
        return LDM
    if not words:
        return training_set
    n = len(words.split())
    alone = all(other == words for other in known if len(other.split()) == n)
    return f"{n}-class" if alone else f"{n}-class ({words.replace(' ', ', ')})"


def label_settings(scores: pd.DataFrame, known: frozenset[str]) -> pd.DataFrame:
    """The table with the column `setting`."""
    pairs = list(zip(scores["training_set"], scores["classes"], strict=True))
    labels = {pair: label(pair[0], pair[1].split(), known) for pair in dict.fromkeys(pairs)}
    return scores.assign(setting=[labels[pair] for pair in pairs])


def study_of(setting: str) -> str:
    """The study whose test sets a setting is scored on: grid or ldm."""
    return "ldm" if setting == LDM else "grid"


def _ordered(classes: Iterable[str]) -> str:
    return " ".join(sorted(classes))
