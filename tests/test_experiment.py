"""Experiments on cached tokens: which pictures are learnt from, what comes out, and what is said when it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from rine import params
from rine.features import Features
from rine.features.sets import open_sets, share
from rine.heads import Head, HeadConfig
from rine.heads.scoring import block_shares
from rine.models.perturbed import degraded, replaced
from rine.probing import embeddings as pictures
from rine.probing.embeddings import plane
from rine.scores.publish import headline, publish, stack
from rine.training import Run
from rine.training.experiment import experiment, fit, run_table

STUDY = params.read(Path(__file__).parents[1] / "params.yaml")
ABOUT = {"n_blocks": 2, "width": 4, "encoder": {"name": "toy"}}


class Toy(Features):
    """A feature set in memory: synthetic pictures have larger tokens."""

    @classmethod
    def open(cls, folder):
        split = ["train"] * 24 + ["val"] * 8 if Path(folder).name == "train" else ["test"] * 16
        n = len(split)
        label = np.arange(n) % 2
        rows = pd.DataFrame(
            {
                "path": [f"{Path(folder).name}/{i}.png" for i in range(n)],
                "label": label,
                "source": "progan",
                "category": np.where(np.arange(n) // 2 % 2, "horse", "chair"),
                "split": split,
                "digest": [f"{i:032x}" for i in range(n)],
                "view": "0",
            }
        )
        tokens = np.random.default_rng(0).normal(size=(n, 2, 4)) + 3 * label[:, None, None]
        return cls(rows, ABOUT, [tokens.astype(np.float16)], np.zeros(n, int), np.arange(n))


@pytest.fixture
def opened(monkeypatch):
    """The folders of the feature sets that were opened."""
    folders = []

    def noted(folder):
        folders.append(Path(folder).name)
        return Toy.open(folder)

    monkeypatch.setattr("rine.features.sets.Features", SimpleNamespace(open=noted))
    return folders


@pytest.fixture
def sets(opened, tmp_path):
    return open_sets(tmp_path)


def test_a_training_set_its_validation_pictures_and_its_test_set_are_opened_once(opened, tmp_path):
    sets = open_sets(tmp_path)
    runs = [Run(q=1, proj_dim=8, xi=0.1)]
    torch.set_num_threads(1)
    for classes in (("horse",), ("chair", "horse")):
        for fraction in (0.5, 1.0):
            list(experiment("dataset_size", sets.of_classes(classes).share(fraction, 0), runs, STUDY, [1], "cpu"))
    assert opened == ["train", "test"]
    open_sets(tmp_path, "ldm")
    open_sets(tmp_path, test=False)
    assert opened[2:] == ["ldm", "synthbuster", "train"]


def test_only_the_settings_classes_are_learnt(sets):
    horses = sets.of_classes(("horse",))
    assert set(horses.train.rows["category"]) == {"horse"}
    assert set(horses.train.rows["split"]) == {"train"}
    assert set(horses.val.rows["split"]) == {"val"}
    assert (len(horses.train), len(horses.val), len(horses.test)) == (12, 4, 16)
    assert len(sets.of_classes(()).train) == len(sets.train)


def test_a_class_that_no_picture_has_is_named_with_those_there_are(sets):
    with pytest.raises(ValueError, match=r"\['hrose'\].* has no picture; its classes are \['chair', 'horse'\]"):
        sets.of_classes(("chair", "hrose"))


def test_smaller_shares_lie_inside_larger_ones():
    digests = pd.Series([f"{i:032x}" for i in range(50)])
    kept = {fraction: set(digests[share(digests, fraction, seed=0)]) for fraction in (0.2, 0.5, 1.0)}
    assert [len(kept[fraction]) for fraction in kept] == [10, 25, 50]
    assert kept[0.2] < kept[0.5] < kept[1.0]
    shuffled = digests.sample(frac=1, random_state=1)
    assert set(shuffled[share(shuffled, 0.2, seed=0)]) == kept[0.2]


def test_a_share_is_of_the_training_pictures_alone(sets):
    half = sets.share(0.5, seed=0)
    assert (len(half.train), len(half.val), len(half.test)) == (12, 8, 16)
    assert run_table("dataset_size", half, [Run(1, 8, 0.1)], STUDY, 1)["fraction"].tolist() == [0.5]


def test_one_class_alone_is_refused(sets):
    real = replace(sets, train=sets.train.select((sets.train.rows["label"] == 0).to_numpy()))
    with pytest.raises(ValueError, match="12 real and 0 synthetic ones of any class"):
        next(fit(real, [Run(1, 8, 0.1)], STUDY, [1], "cpu"))


def test_scores_hold_every_run_at_every_epoch_asked_for_and_every_picture(sets, tmp_path):
    runs = [Run(q=1, proj_dim=8, xi=xi) for xi in (0.1, 0.4)]
    torch.set_num_threads(1)
    scores = list(experiment("grid", sets.of_classes(("horse",)), runs, STUDY, [1, 3], "cpu"))
    assert [part.logits.shape for part in scores] == [(2, 4 + 16)] * 2
    both = stack(scores)
    assert both.runs["epochs"].tolist() == [1, 1, 3, 3]
    assert both.runs["xi"].tolist() == [0.1, 0.4, 0.1, 0.4]

    test_sets = {"generator": "progan", "family": "gan", "study": "grid", "real": "progan", "fake": "progan"}
    table = publish(scores, tmp_path / "grid", pd.DataFrame([test_sets]))
    assert len(table) == 4
    best = headline(table)["best"]
    assert best["acc"] + best["ap"] == pytest.approx((table["acc"] + table["ap"]).max(), abs=1e-5)


def test_headline_of_nothing():
    assert headline(pd.DataFrame()) == {"runs": 0}


def images(*paths):
    return pd.DataFrame({"source": "a", "label": 0, "path": paths})


def test_perturbed_pictures_take_the_places_of_the_untouched():
    plain, rows = np.array([[1.0, 2.0, 3.0]]), images("x", "z", "x").assign(view=["noise", "blur", "blur"])
    changed = np.array([[99.0, 30.0, 10.0]])
    assert replaced(plain, images("x", "y", "z"), changed, rows, "blur").tolist() == [[10.0, 2.0, 30.0]]
    assert plain.tolist() == [[1.0, 2.0, 3.0]]


def test_sweeps_need_strengths():
    rows = images("x").assign(view="blur")
    assert degraded(np.zeros((1, 1)), rows, pd.DataFrame({"study": ["perturb"]})) == []


def test_block_shares_count_dimensions_by_their_largest_block():
    head = Head(HeadConfig(q=1, proj_dim=4, n_blocks=3, width=2))
    head.alpha.data = torch.tensor([[[9.0, 0, 0, 0], [0, 9.0, 9.0, 0], [0, 0, 0, 9.0]]])
    assert block_shares(head)["share"].tolist() == [0.25, 0.5, 0.25]


def test_too_few_pictures_have_no_plane(monkeypatch):
    test = Toy.open("test")
    test_sets = pd.DataFrame({"fake": ["progan"], "family": ["gan"]})
    monkeypatch.setattr(pictures, "embeddings", lambda head, some, device: np.zeros((len(some), 4)))  # of one place
    for n in (0, 2, len(test)):
        few = test.select(np.arange(len(test)) < n)
        drawn = plane(None, few, test_sets, STUDY.validate, "cpu")
        assert list(drawn) == ["x", "y", "group", "generator"]
        assert drawn.empty
