"""Experiments on cached tokens: which pictures are learnt from, what comes out, and what is said when it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rine import params
from rine.features import Features
from rine.scores.publish import headline, publish, stack
from rine.stages.best import block_shares
from rine.stages.perturb import degraded, replaced
from rine.training import Run
from rine.training.experiment import Experiment, _share, check_both_classes, experiment, training_pictures

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
def toy(monkeypatch, tmp_path):
    monkeypatch.setattr("rine.training.experiment.Features", Toy)
    return Experiment("grid", tmp_path, classes=("horse",))


def test_only_the_settings_classes_are_learnt(toy):
    learn, held_out = training_pictures(toy, STUDY)
    assert set(learn.rows["category"]) == {"horse"}
    assert set(learn.rows["split"]) == {"train"}
    assert set(held_out.rows["split"]) == {"val"}
    assert len(learn) == 12


def test_a_class_that_no_picture_has_is_named_with_those_there_are(toy):
    with pytest.raises(ValueError, match=r"\['hrose'\].* has no picture; its classes are \['chair', 'horse'\]"):
        training_pictures(replace(toy, classes=("chair", "hrose")), STUDY)


def test_smaller_shares_lie_inside_larger_ones():
    digests = pd.Series([f"{i:032x}" for i in range(50)])
    kept = {fraction: set(digests[_share(digests, fraction, seed=0)]) for fraction in (0.2, 0.5, 1.0)}
    assert [len(kept[fraction]) for fraction in kept] == [10, 25, 50]
    assert kept[0.2] < kept[0.5] < kept[1.0]
    shuffled = digests.sample(frac=1, random_state=1)
    assert set(shuffled[_share(shuffled, 0.2, seed=0)]) == kept[0.2]


def test_one_class_alone_is_refused(toy):
    learn, _ = training_pictures(toy, STUDY)
    with pytest.raises(ValueError, match=r"12 real|6 real"):
        check_both_classes(learn.select((learn.rows["label"] == 0).to_numpy()), toy)


def test_look_outs_hold_every_run_and_every_picture_and_are_published(toy, tmp_path):
    runs = [Run(q=1, proj_dim=8, xi=xi) for xi in (0.1, 0.4)]
    torch.set_num_threads(1)
    scores = list(experiment(toy, runs, STUDY, [1, 3], "cpu"))
    assert [part.logits.shape for part in scores] == [(2, 4 + 16)] * 2
    both = stack(scores)
    assert both.runs["epochs"].tolist() == [1, 1, 3, 3]
    assert both.runs["xi"].tolist() == [0.1, 0.4, 0.1, 0.4]

    index = tmp_path / "index"
    index.mkdir()
    sets = {"generator": "progan", "family": "gan", "study": "grid", "real": "progan", "fake": "progan"}
    pd.DataFrame([sets]).to_csv(index / "test_sets.csv", index=False)
    table = publish(scores, tmp_path / "grid", tmp_path / "grid.json", tmp_path)
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
    assert degraded(np.zeros((1, 1)), rows, pd.DataFrame({"study": ["perturb"]})) is None


def test_block_shares_count_dimensions_by_their_largest_block():
    from rine.heads import Head, HeadConfig

    head = Head(HeadConfig(q=1, proj_dim=4, n_blocks=3, width=2))
    head.alpha.data = torch.tensor([[[9.0, 0, 0, 0], [0, 9.0, 9.0, 0], [0, 0, 0, 9.0]]])
    assert block_shares(head)["share"].tolist() == [0.25, 0.5, 0.25]
