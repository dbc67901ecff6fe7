"""A detector over all pictures of a study: what cannot be scored is named, and everything else is."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.detectors.config import DetectorConfig
from rine.detectors.journal import Journal
from rine.detectors.method import Answer, DetectorError, Method, Shown
from rine.detectors.pictures import Pictures
from rine.progress import progress

_HOPELESS = 10  # pictures at the start that a detector fails on: it is not asked on


@dataclass(frozen=True)
class Scored:
    """An answer for each row that was asked (N,): a score, or why there is none; seconds a picture, if any was new."""

    answers: list[Answer]
    seconds: float | None


def score_all(
    method: Method, config: DetectorConfig, rows: pd.DataFrame, pictures: Pictures, journal: Journal, name: str
) -> Scored:
    """Ask about every row of `pictures.asked` that the journal does not hold.

    Raises `DetectorError` where it answers for none of the first pictures, or of all.
    """
    answers: dict[str, Answer] = dict(journal.scores)
    columns = ["path", "digest", "view", "crops"]
    records = [dict(zip(columns, values, strict=True)) for values in rows[columns].itertuples(index=False)]
    keys = [f"{each['digest']}/{each['crops']}/{each['view']}" for each in records]
    todo = {key: each for key, each in zip(keys, records, strict=True) if key not in answers}
    spent, n_new = 0.0, 0
    with progress(len(todo), "pictures", f"detect {name}") as bar:
        for batch in _batches(list(todo.values()), config.batch):
            start = time.perf_counter()
            made = _answered(method, config, batch, pictures)
            spent, n_new = spent + time.perf_counter() - start, n_new + len(batch)
            answers |= made
            scores = {key: answer for key, answer in made.items() if isinstance(answer, float)}
            journal.add(scores)
            bar.advance(len(batch))
            if n_new >= _HOPELESS and not journal.scores and config.kind != "scores":
                raise DetectorError(f"of the first {n_new} pictures it scored none: {_first_reason(made)}")
    found = [answers[key] for key in keys]
    if found and not any(isinstance(answer, float) for answer in found):
        raise DetectorError(f"of {len(found)} pictures it scored none: {_first_reason(answers)}")
    return Scored(found, spent / n_new if n_new else None)


def _batches(rows: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Rows in their order, at most so many, of one kind of crop."""
    batch: list[dict[str, Any]] = []
    for row in rows:
        if batch and (len(batch) == size or row["crops"] != batch[0]["crops"]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _answered(
    method: Method, config: DetectorConfig, batch: Sequence[dict[str, Any]], pictures: Pictures
) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    with tempfile.TemporaryDirectory(prefix="rine-") as folder:
        shown = []
        for row in batch:
            picture = pictures.show(row, Path(folder))
            if isinstance(picture, str):
                answers[f"{row['digest']}/{row['crops']}/{row['view']}"] = picture
            else:
                shown.append(picture)
        for picture, answer in _asked(method, shown):
            answers[picture.key] = _checked(answer, config)
    return answers


def _asked(method: Method, shown: Sequence[Shown]) -> Iterator[tuple[Shown, Answer]]:
    """Answers of a batch; what of it has none is asked again in smaller ones, until the picture is found that fails."""
    if not shown:
        return
    answers = method.score(shown)
    yield from ((shown[number], answer) for number, answer in answers.by_number.items())
    left = [picture for number, picture in enumerate(shown) if number not in answers.by_number]
    if left and len(shown) == 1:
        yield left[0], answers.failure
        return
    # where it answered in order until it failed, the next picture is the likely one
    first = 1 if answers.by_number else max(len(left) // 2, 1)
    parts = [[picture] for picture in left] if answers.hung else [left[:first], left[first:]]
    for part in parts:
        yield from _asked(method, part)


def _checked(answer: Answer, config: DetectorConfig) -> Answer:
    if isinstance(answer, str):
        return answer
    if not math.isfinite(answer):
        return f"its score is {answer}"
    if config.gives == "probability" and not 0 <= answer <= 1:
        return f"its score is {answer:g}; a probability is 0 to 1"
    return answer


def _first_reason(answers: dict[str, Answer]) -> str:
    return next((answer for answer in answers.values() if isinstance(answer, str)), "there are no pictures")


def logits_of(scores: np.ndarray, gives: str) -> np.ndarray:
    """Scores as logits: above 0 is synthetic for probabilities above a half; unbounded ones stay as they are.

    A probability of exactly 0 or 1 becomes a logit of 37, the farthest that a double can be from them.
    """
    if gives != "probability":
        return scores
    p = np.clip(scores, 2.0**-53, 1 - 2.0**-53)
    return np.log(p) - np.log1p(-p)
