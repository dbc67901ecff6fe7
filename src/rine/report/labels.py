"""What a class setting is called on the page: "4-class", "LDM"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

LDM = "LDM"  # the model that is trained on latent diffusion
PAPERS = ("one_class", "two_class", "four_class")  # settings that readers of the paper know by a number


def labels_of(*tables: pd.DataFrame, settings: Mapping[str, Iterable[str]] | None = None) -> dict[str, str]:
    """Label of every combination of training classes that occurs (words in order, joined by spaces).

    A study's own setting is called by its name; the paper's and those of other tables by their number of classes, and
    where two have as many, the classes stand there too.
    """
    named = {_ordered(classes): name for name, classes in (settings or {}).items()}
    found = {_ordered(words.split()) for table in tables for words in table["classes"].unique()} | named.keys()
    numbers = [len(words.split()) for words in found]
    labels = {}
    for words in sorted(found):
        n = len(words.split())
        classes = "" if numbers.count(n) == 1 else f" ({words.replace(' ', ', ')})"
        own = named.get(words, PAPERS[0]) not in PAPERS
        labels[words] = named[words].replace("_", " ") if own else f"{n}-class{classes}"
    return labels


def label(training_set: str, classes: Iterable[str], known: Mapping[str, str]) -> str:
    """Label of a setting, from those of `labels_of`."""
    words = _ordered(classes)
    if training_set == "ldm":
        return LDM
    return known.get(words, f"{len(words.split())}-class") if words else training_set


def label_settings(scores: pd.DataFrame, known: Mapping[str, str]) -> pd.DataFrame:
    """The table with the column `setting`."""
    pairs = list(zip(scores["training_set"], scores["classes"], strict=True))
    labels = {pair: label(pair[0], pair[1].split(), known) for pair in dict.fromkeys(pairs)}
    return scores.assign(setting=[labels[pair] for pair in pairs])


def study_of(setting: str) -> str:
    """The study whose test sets a setting is scored on: grid or ldm."""
    return "ldm" if setting == LDM else "grid"


def _ordered(classes: Iterable[str]) -> str:
    return " ".join(sorted(classes))
