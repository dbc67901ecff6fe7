"""Scores: written and read they are equal, what is wrong is named by its place, means are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, log_loss

from rine.scores import (
    COLUMNS,
    ImageScores,
    ScoresError,
    read_scores,
    summarise,
    test_sets_of,
    validation,
    write_scores,
)

PUBLISHED = Path(__file__).parents[1] / "pipeline" / "published" / "scores.csv"
TEST_SETS = pd.DataFrame(
    {
        "generator": ["a", "b", "elsewhere"],
        "family": ["gan", "diffusion", "gan"],
        "study": "grid",
        "real": ["photos", "photos", "nowhere"],
        "fake": ["fake_a", "fake_b", "nothing"],
    }
)


def some_runs(n: int = 2) -> pd.DataFrame:
    shared = {
        "study": "grid",
        "training_set": "progan",
        "backbone": "ViT",
        "n_classes": 2,
        "classes": "chair horse",
    }
    rows = [
        shared
        | {
            "xi": 0.1,
            "q": q,
            "d": 8,
            "batch_size": 4,
            "lr": 0.001,
            "epochs": 1,
            "variant": "",
            "fraction": None,
        }
        for q in range(1, n + 1)
    ]
    return pd.DataFrame(rows).assign(seed=0)


def some_images() -> pd.DataFrame:
    sources = [("photos", 0, "test", 6), ("fake_a", 1, "test", 5), ("fake_b", 1, "test", 7)]
    sources += [("progan", 0, "val", 4), ("progan", 1, "val", 4)]
    rows = [
        {
            "path": f"{source}/{label}/{i}.png",
            "label": label,
            "source": source,
            "category": "",
            "split": split,
        }
        for source, label, split, n in sources
        for i in range(n)
    ]
    return pd.DataFrame(rows).assign(digest=[f"{i:032x}" for i in range(len(rows))])


@pytest.fixture
def scores() -> ImageScores:
    images = some_images()
    logits = np.random.default_rng(0).normal(size=(2, len(images))).astype(np.float32)
    return ImageScores(some_runs(), images, logits)


def edited(tmp_path: Path, line: int, column: str, value: str) -> Path:
    """The first 40 published rows with one cell changed; lines as an editor counts them, the header is 1."""
    cells = pd.read_csv(PUBLISHED, dtype=str, keep_default_na=False, nrows=40)
    cells.loc[line - 2, column] = value
    cells.to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path / "scores.csv"


def test_published_scores_read_and_written_are_the_same_bytes(tmp_path):
    table = read_scores(PUBLISHED)
    assert len(table) == 288 * 20 + 24 * 9
    write_scores(table, tmp_path / "again.csv")
    pd.testing.assert_frame_equal(read_scores(tmp_path / "again.csv"), table)
    assert table.groupby("study")["generator"].nunique().to_dict() == {"grid": 20, "ldm": 9}


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("acc", "nan", "0 to 1"),
        ("acc", "", "0 to 1"),
        ("ap", "1.2", "0 to 1"),
        ("ap", "", "pictures of one class"),
        ("val_loss", "NaN", "from 0"),
        ("xi", "", "from 0"),
        ("q", "1.5", "whole number"),
        ("study", "gird", "grid, epochs, dataset_size"),
        ("generator", "", "a name"),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_column(tmp_path, column, value, allowed):
    with pytest.raises(ScoresError, match=rf"line 7, column {column}: {value or 'empty'}.*allowed: .*{allowed}"):
        read_scores(edited(tmp_path, 7, column, value))


def test_a_missing_column_is_named(tmp_path):
    pd.read_csv(PUBLISHED, nrows=3).drop(columns=["val_loss", "ap"]).to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(ScoresError, match=r"line 1: missing column val_loss, ap; needed: study"):
        read_scores(tmp_path / "s.csv")


def test_a_duplicate_row_is_named_with_the_one_it_repeats(tmp_path):
    with pytest.raises(ScoresError, match=r"line 5, column generator: progan stands at line 2 already"):
        read_scores(edited(tmp_path, 5, "generator", "progan"))


def test_a_row_that_repeats_with_another_seed_is_no_duplicate(tmp_path):
    cells = pd.read_csv(PUBLISHED, dtype=str, keep_default_na=False, nrows=3)
    pd.concat([cells.assign(seed=0), cells.assign(seed=1)]).to_csv(tmp_path / "s.csv", index=False)
    assert read_scores(tmp_path / "s.csv")["seed"].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("text", ["", "\xff\xfe", "no,such\n"])
def test_what_is_no_scores_file_is_refused(tmp_path, text):
    (tmp_path / "s.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ScoresError, match=r"s\.csv"):
        read_scores(tmp_path / "s.csv")
    with pytest.raises(ScoresError, match="no such scores file"):
        read_scores(tmp_path / "other.csv")


def test_a_method_without_hyper_parameters_can_be_laid_beside_but_not_into_a_grid(tmp_path):
    cells = pd.read_csv(PUBLISHED, dtype=str, keep_default_na=False, nrows=2)
    other = cells.assign(study="validate", xi="", q="", d="", lr="", batch_size="", epochs="")
    other.to_csv(tmp_path / "s.csv", index=False)
    assert read_scores(tmp_path / "s.csv")["q"].isna().all()


def test_a_folder_of_scores_is_read_as_it_was_written(tmp_path, scores):
    scores.write(tmp_path / "grid")
    again = ImageScores.read(tmp_path / "grid")
    assert np.array_equal(again.logits, scores.logits)
    pd.testing.assert_frame_equal(again.images.astype(scores.images.dtypes), scores.images)
    pd.testing.assert_frame_equal(summarise(again, TEST_SETS), summarise(scores, TEST_SETS), check_dtype=False)
    first = {path.name: path.read_bytes() for path in (tmp_path / "grid").iterdir()}
    again.write(tmp_path / "twice")
    assert ImageScores.read(tmp_path / "twice").images is again.images, "folders that list the same share one table"
    assert {path.name: path.read_bytes() for path in (tmp_path / "twice").iterdir()} == first


def test_summary_is_that_of_scikit_learn_and_can_be_read(tmp_path, scores):
    table = summarise(scores, TEST_SETS)
    assert table[["q", "generator"]].to_numpy().tolist() == [[1, "a"], [1, "b"], [2, "a"], [2, "b"]]
    images, logits = scores.images, scores.logits
    for run, q in enumerate((1, 2)):
        held_out = (images["split"] == "val").to_numpy()
        p = 1 / (1 + np.exp(-logits[run, held_out].astype(float)))
        for generator in ("a", "b"):
            rows = images["source"].isin(["photos", f"fake_{generator}"]).to_numpy()
            label, logit = images["label"][rows], logits[run, rows]
            row = table[(table["q"] == q) & (table["generator"] == generator)].iloc[0]
            assert row["acc"] == pytest.approx(accuracy_score(label, logit > 0), abs=1e-6)
            assert row["ap"] == pytest.approx(average_precision_score(label, logit), abs=1e-6)
            assert row["val_acc"] == accuracy_score(images["label"][held_out], p > 0.5)
            assert row["val_loss"] == pytest.approx(log_loss(images["label"][held_out], p), abs=1e-6)
    write_scores(table, tmp_path / "scores.csv")
    again = read_scores(tmp_path / "scores.csv")
    assert list(again) == [*COLUMNS, "seed"]
    assert np.array_equal(again["ap"], table["ap"])


def test_validation_pictures_are_no_test_pictures(scores):
    labels, logits = validation(scores)
    assert labels.tolist() == [False] * 4 + [True] * 4
    assert logits.shape == (2, 8)
    own = pd.DataFrame({"generator": ["p"], "family": ["gan"], "real": ["progan"], "fake": ["progan"]})
    assert test_sets_of(scores.images, own) == []


def test_without_validation_pictures_their_columns_stay_empty(scores):
    test = (scores.images["split"] == "test").to_numpy()
    kept = ImageScores(scores.runs, scores.images[test], scores.logits[:, test])
    table = summarise(kept, TEST_SETS)
    assert table[["val_acc", "val_loss"]].isna().all(axis=None)
    assert table["ap"].notna().all()


@pytest.mark.parametrize(
    ("gone", "message"), [("photos", "no real picture of source 'photos'"), ("fake_a", "no synthetic")]
)
def test_a_generator_with_one_class_is_named(scores, gone, message):
    kept = (scores.images["source"] != gone).to_numpy()
    with pytest.raises(ScoresError, match=rf"line 2, column \w+: generator a has {message}"):
        summarise(ImageScores(scores.runs, scores.images[kept], scores.logits[:, kept]), TEST_SETS)


def test_scores_that_do_not_fit_their_pictures_are_refused(scores):
    with pytest.raises(ScoresError, match="shape"):
        ImageScores(scores.runs, scores.images, scores.logits[:, 1:])
    bad = scores.logits.copy()
    bad[1, 3] = np.nan
    with pytest.raises(ScoresError, match=r"row 1, column 3 \(photos/0/3.png\): nan"):
        ImageScores(scores.runs, scores.images, bad)
    twice = pd.concat([scores.images.iloc[:-1], scores.images.iloc[:1]])
    with pytest.raises(ScoresError, match=r"photos/0/0.png stands there twice"):
        ImageScores(scores.runs, twice, scores.logits)
    views = pd.concat([scores.images.iloc[:-1].assign(view="0"), scores.images.iloc[:1].assign(view="1")])
    with pytest.raises(ScoresError, match="counts twice for a"):
        summarise(ImageScores(scores.runs, views, scores.logits), TEST_SETS)
    with pytest.raises(ScoresError, match="label: 2"):
        ImageScores(scores.runs, scores.images.assign(label=2), scores.logits)
