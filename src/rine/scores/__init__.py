"""Scores: a logit for every picture from every run, and the table of means that is made of them.

A stage that trains or tests writes a scores folder:

- `scores.csv`: the scores table, one row a run and generator (`rine.scores.table`);
- `runs.csv`: one row a run, K of them: the table's columns of a run;
- `images.csv`: N pictures: `path, label, source, category, split, digest` and, where one has several, `view`;
- `logits.safetensors`: `logits` (K, N) float32; above 0 is synthetic at the threshold 0.5.

Every metric, threshold, interval and figure can be had again from it, with no model and in seconds.
"""

from rine.scores.images import IMAGE_COLUMNS, ImageScores, validation
from rine.scores.summary import summarise
from rine.scores.table import COLUMNS, ScoresError, read_scores, write_scores
from rine.scores.test_sets import TestSet, test_sets_of

__all__ = [
    "COLUMNS",
    "IMAGE_COLUMNS",
    "ImageScores",
    "ScoresError",
    "TestSet",
    "read_scores",
    "summarise",
    "test_sets_of",
    "validation",
    "write_scores",
]
