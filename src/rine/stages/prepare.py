"""Folders of pictures to tables: the only stage that looks into the data."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rine.dataset import index, shortcuts
from rine.dataset.config import PrepareConfig
from rine.dataset.doctor import examine
from rine.dataset.on_actors import examined_by
from rine.dataset.reading import Examine
from rine.dataset.summary import summary
from rine.features.table import joined
from rine.files import write_whole
from rine.params import Params
from rine.paths import Paths, store_folder
from rine.terminal import message

if TYPE_CHECKING:
    from rine.pixels.config import AlignConfig

TRACKED = ("prepare", "settings", "cache.align")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/index/ (the index and the doctor's tables) and metrics/prepare.json."""
    by = functools.partial(examined_by, study.runtime) if study.runtime.cluster else None
    return prepare(study.prepare, paths, study.settings, study.cache.align, by=by)


def prepare(
    config: PrepareConfig,
    paths: Paths,
    settings: Mapping[str, Sequence[str]] | None = None,
    align: AlignConfig | None = None,
    workers: int | None = None,
    by: Examine | None = None,
) -> str:
    """As `run`. Warnings of the doctor go to standard error; `workers`: processes that decode, by default one a core.

    `by` looks at the pictures, where this process does not.
    Raises `rine.dataset.listing.DatasetError` for a data set that does not lie there as it should, and `ValueError` for
    a class of `settings` that no training picture has: better now than after all are encoded.
    """
    made = index.build(config, store_folder("index"), workers, by)
    _check_classes(settings or {}, made.rows["train"])
    _check_choice(made)
    diagnosis = examine(made, align)
    index.write(made, paths.index())
    tables = {
        "doctor": diagnosis.files,
        "duplicates": diagnosis.duplicates,
        "shortcuts": diagnosis.shortcuts,
        "findings": diagnosis.findings,
    }
    for name, table in tables.items():
        table.to_csv(paths.index(name), index=False, lineterminator="\n")
    index.write_csv(_shortcut_scores(made, settings or {}, align), paths.index("shortcut_scores"))
    paths.metrics.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summary(made, diagnosis), indent=1, ensure_ascii=False)
    write_whole(paths.metric("prepare"), (text + "\n").encode())
    _warn(diagnosis.findings)
    for warning in [*_linked(Path(config.root)), *_lacking(made)]:
        print(message(f"warning: {warning}"), file=sys.stderr)
    return _line(made)


def _shortcut_scores(
    made: index.Index, settings: Mapping[str, Sequence[str]], align: AlignConfig | None
) -> Iterator[pd.DataFrame]:
    """What the facts of files say of every validation and test picture: a detector's scores (docs/compare.md).

    In parts, whose facts are in memory.
    """
    train = made.rows["train"]
    classes = max(settings.values(), key=len, default=())
    learn = train[(train["split"] == "train") & (train["category"].isin(list(classes)) | (not classes))]
    learn = made.whole(shortcuts.looked_at(learn), ["label", *shortcuts.LOOKED_AT])
    score = shortcuts.trained(learn, align)
    rows = joined(table.loc[table["split"] != "train", ["path"]] for table in made.rows.values())
    for some in index.chunks(rows.drop_duplicates("path", ignore_index=True)):
        known = made.facts(some, ["path", *shortcuts.LOOKED_AT])
        yield known[["path"]].assign(score=score(known) if len(known) else [])


def _check_classes(settings: Mapping[str, Sequence[str]], train: pd.DataFrame) -> None:
    there = sorted(train["category"].unique())
    for name, classes in settings.items():
        if there and (unknown := sorted(set(classes) - set(there))):
            raise ValueError(
                f"settings.{name} names {unknown}, of which there is no training picture; choose from {there}"
            )


def _check_choice(made: index.Index) -> None:
    """Raise where nothing could tell one configuration from another."""
    both = (made.test_sets[["real", "fake"]] != "").all(axis=1)
    val = made.rows["train"].query("split == 'val'")["label"]
    if len(made.rows["train"]) and not both.any() and val.nunique() < 2:
        raise ValueError(
            f"no test set has pictures of both classes, and of the validation pictures {(val == 0).sum()} are real and "
            f"{(val == 1).sum()} synthetic: there is nothing to choose a configuration by. Give the training sets "
            "val_fraction: 0.2, or one test set real: and fake:"
        )


def _linked(root: Path) -> Iterator[str]:
    """Folders below the root that are links: their pictures are read, but DVC does not look into them."""
    for folder, names, _ in os.walk(root):
        for name in sorted(names):
            if (Path(folder) / name).is_symlink():
                yield (
                    f"{Path(folder) / name} is a link to a folder: DVC does not see what changes in it; "
                    "link the data folder itself, or name its place as prepare.root"
                )


def _lacking(made: index.Index) -> Iterator[str]:
    """What a study cannot do without: test sets, and enough validation pictures of both classes."""
    if made.test_sets.empty:
        yield "no data set has split: test; there is nothing to score a model on"
    elif not (made.test_sets[["real", "fake"]] != "").all(axis=1).any():
        yield "no test set has pictures of both classes: the lowest loss on validation pictures chooses the model"
    table = made.rows["train"]
    val = table[table["split"] == "val"].drop_duplicates(["digest", "label"])
    counts = [int((val["label"] == label).sum()) for label in (0, 1)]
    if len(table) and min(counts) < shortcuts.FEWEST:
        wanted = f"calibration wants {shortcuts.FEWEST} of each"
        yield f"{counts[0]} real and {counts[1]} synthetic validation pictures; {wanted}"


def _warn(findings: pd.DataFrame) -> None:
    for row in findings[findings["severity"] == "warning"].to_dict("records"):
        print(message(f"warning: {row['set']}: {row['finding']}".replace(": : ", ": ")), file=sys.stderr)


def _line(made: index.Index) -> str:
    # a file that several data sets share is one picture
    n = len(pd.concat([rows[["path", "label"]] for rows in made.rows.values()]).drop_duplicates())
    n_sets = len(made.test_sets)
    line = f"{n} pictures, {n_sets} test sets; {made.n_examined} files read, {made.n_reused} known from before"
    return f"{line}, {len(made.skipped)} left out" if len(made.skipped) else line
