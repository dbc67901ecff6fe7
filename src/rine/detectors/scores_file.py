"""A detector whose scores are there already: a CSV file of `path` or `digest`, `score` and, if there are, `view`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rine.detectors.config import DetectorConfig
from rine.detectors.method import Answer, Answers, DetectorError, Shown


class ScoresFile:
    """Scores by path in `prepare.root` or by digest. Raises `DetectorError` for a file that is no such table.

    `view` is empty for pictures as they are, else `perturb:blur` or `degrade:jpeg:60`.
    """

    def __init__(self, config: DetectorConfig) -> None:
        path = Path(config.target)
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise DetectorError(f"{path} cannot be read as a CSV table: {error}") from error
        names = [name for name in ("path", "digest") if name in table]
        if len(names) != 1 or "score" not in table:
            needed = "path or digest, and score"
            raise DetectorError(f"{path}: line 1: the columns are {', '.join(table.columns)}; needed: {needed}")
        self._by = names[0]
        views = table["view"] if "view" in table else pd.Series("", table.index)
        self._views = set(views)
        self._scores: dict[tuple[str, str], str] = {}
        for line, key in enumerate(zip(table[self._by], views, strict=True), start=2):
            score = table["score"].iloc[line - 2]
            if self._scores.setdefault(key, score) != score:
                raise DetectorError(f"{path}: line {line}: {key[0]} has two scores, {self._scores[key]} and {score}")

    def asks(self, view: str) -> bool:
        return view in self._views

    def score(self, pictures: Sequence[Shown]) -> Answers:
        answers: dict[int, Answer] = {}
        for number, shown in enumerate(pictures):
            name = shown.path if self._by == "path" else shown.digest
            score = self._scores.get((name, shown.view))
            answers[number] = "not in the file" if score is None else _number(score)
        return Answers(answers)

    def close(self) -> None:
        pass


def _number(score: str) -> Answer:
    try:
        return float(score)
    except ValueError:
        return f"its score is {score!r}, no number"
