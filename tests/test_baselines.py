"""The baselines are what their names say, on the tokens that the heads see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from rine.probing import baselines

L, D = 3, 4


class Tokens:
    """A feature set in memory whose synthetic pictures are shifted in one block."""

    n_blocks, width = L, D

    def __init__(self, pictures: int, seed: int, block: int = L - 1, views: tuple[str, ...] = ("0",)) -> None:
        rng = np.random.default_rng(seed)
        rows = [("", f"{i:032x}", f"{i}.png", i % 2, view) for i in range(pictures) for view in views]
        self.rows = pd.DataFrame(rows, columns=["source", "digest", "path", "label", "view"])
        values = rng.normal(size=(len(rows), L, D)) + 2
        values[self.rows["label"] == 1, block] += [4, -4, 4, -4]
        self.values = torch.from_numpy(values).half()

    def tokens(self, index: np.ndarray) -> torch.Tensor:
        return self.values[torch.from_numpy(index)]


@pytest.fixture
def learn() -> Tokens:
    return Tokens(60, seed=0)


def test_all_of_them_tell_a_shift_of_the_last_block(learn: Tokens) -> None:
    test = Tokens(41, seed=1)
    found = baselines.scores(learn, test)
    assert list(found) == ["linear_last", "linear_all", "nearest"]
    for name, values in found.items():
        assert values.shape == (41,)
        assert values.dtype == np.float32
        assert ((values > 0) == (test.rows["label"] == 1)).mean() > 0.95, name


def test_only_the_probe_of_all_blocks_sees_an_earlier_one() -> None:
    test = Tokens(200, seed=1, block=0)
    found = baselines.scores(Tokens(200, seed=0, block=0), test)
    right = {name: ((values > 0) == (test.rows["label"] == 1)).mean() for name, values in found.items()}
    assert right["linear_all"] > 0.95
    assert right["linear_last"] < 0.7
    assert right["nearest"] < 0.7


def test_the_linear_probe_is_a_logistic_regression_on_standardised_tokens(learn: Tokens) -> None:
    test = Tokens(20, seed=1)
    x, labels = learn.values[:, -1].double().numpy(), learn.rows["label"]
    mean, std = x.mean(0), x.std(0)
    expected = LogisticRegression(max_iter=1000, tol=1e-8).fit((x - mean) / std, labels)
    logits = expected.decision_function((test.values[:, -1].double().numpy() - mean) / std)
    np.testing.assert_allclose(baselines.scores(learn, test)["linear_last"], logits, atol=0.02)


def test_the_nearest_neighbour_is_the_most_similar_picture_of_each_label(learn: Tokens) -> None:
    test = Tokens(20, seed=1)

    def unit(features: Tokens) -> np.ndarray:
        x = features.values[:, -1].double().numpy()
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    similarity = unit(test) @ unit(learn).T
    fake = (learn.rows["label"] == 1).to_numpy()
    expected = similarity[:, fake].max(1) - similarity[:, ~fake].max(1)
    np.testing.assert_allclose(baselines.scores(learn, test)["nearest"], expected, atol=1e-5)


def test_batches_and_the_order_of_the_training_table_do_not_matter(
    learn: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, shuffled = Tokens(20, seed=1), Tokens(60, seed=0)
    order = np.random.default_rng(0).permutation(60)
    shuffled.rows, shuffled.values = (
        learn.rows.iloc[order].reset_index(drop=True),
        learn.values[torch.from_numpy(order)],
    )
    whole = baselines.scores(learn, test)
    monkeypatch.setattr(baselines, "_ROWS_PER_BATCH", 7)
    for name, values in baselines.scores(shuffled, test).items():
        np.testing.assert_allclose(values, whole[name], atol=1e-5, err_msg=name)


def test_one_view_of_each_picture_is_used_and_not_more_pictures_than_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learn, test = Tokens(40, seed=0, views=("0", "1")), Tokens(10, seed=1)
    monkeypatch.setattr(baselines, "MOST", 30)
    first = Tokens(0, seed=0)
    kept = ((learn.rows["view"] == "0") & (learn.rows["digest"] < f"{30:032x}")).to_numpy(copy=True)
    first.rows, first.values = learn.rows[kept].reset_index(drop=True), learn.values[torch.from_numpy(kept)]
    for name, values in baselines.scores(learn, test).items():
        np.testing.assert_array_equal(values, baselines.scores(first, test)[name])


def test_one_label_is_an_error_and_no_test_picture_is_none(learn: Tokens) -> None:
    assert all(values.shape == (0,) for values in baselines.scores(learn, Tokens(0, seed=0)).values())
    learn.rows["label"] = 1
    with pytest.raises(ValueError, match="all 60 have label"):
        baselines.scores(learn, Tokens(10, seed=1))
