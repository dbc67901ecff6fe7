"""Training equals its definition in NumPy, and depends on the seed and the pictures alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rine.heads import Head, HeadConfig, scoring, seeded_head
from rine.heads.scoring import embeddings, logits, mean_over_views, mean_tokens
from rine.heads.tokens import rows_by_picture
from rine.params import TrainingConfig
from rine.training import Run, learning_rate, together, train
from rine.training.masks import dropout_masks
from rine.training.members import spread

L, D = 3, 5
LR = 0.01
CONFIG = TrainingConfig(batch_size=4, dropout=0.5, temperature=0.07, lr_steps=(3, 6), lr_factor=0.1)
WITHOUT_DROPOUT = TrainingConfig(batch_size=4, dropout=0.0, temperature=0.07, lr_steps=(3, 6), lr_factor=0.1)
RUNS = [
    Run(1, 4, 0.1),
    Run(1, 4, 0.4),
    Run(2, 4, 0.1),
    Run(1, 6, 0.1),
    Run(1, 4, 0.1, seed=1),
    Run(1, 4, 0.1, pool="mean"),
    Run(1, 4, 0.1, pool="last"),
]


class Tokens:
    """A feature set in memory that remembers which rows were read; synthetic ones are shifted on one axis."""

    n_blocks, width = L, D

    def __init__(self, pictures: int = 10, views: Sequence[str] = ("0", "1"), shift: float = 1.0) -> None:
        digest = np.random.default_rng(0).permutation([f"{i:032x}" for i in range(pictures)])
        rows = [("", d, f"{i}.png", i % 2, view) for i, d in enumerate(digest) for view in views]
        self.rows = pd.DataFrame(rows, columns=["source", "digest", "path", "label", "view"])
        values = np.random.default_rng(1).normal(size=(len(rows), L, D))
        values[..., 0] += shift * self.rows["label"].to_numpy()[:, None]
        self.values = torch.from_numpy(values).half()
        self.read: list[np.ndarray] = []

    def tokens(self, index: np.ndarray) -> torch.Tensor:
        self.read.append(index)
        return self.values[torch.from_numpy(np.asarray(index))]

    def reordered(self, order: np.ndarray) -> Tokens:
        other = copy.deepcopy(self)
        other.rows, other.values = (
            self.rows.iloc[order].reset_index(drop=True),
            self.values[torch.from_numpy(order)],
        )
        return other


def weights(heads: Sequence[Head]) -> list[torch.Tensor]:
    return [value.detach().clone() for head in heads for value in head.state_dict().values()]


def trained(features: Tokens, runs: Sequence[Run], epochs: int = 3, **options: object) -> list[torch.Tensor]:
    config = options.pop("config", CONFIG)
    ((_, heads),) = train(features, runs, config, LR, [epochs], "cpu", **options)  # type: ignore[arg-type]
    return weights(heads)


def same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# Against NumPy.


class NumpyHead:
    """A head without dropout, its gradient by hand and Adam as published (Kingma and Ba 2015), in float64."""

    def __init__(self, head: Head, xi: float, temperature: float) -> None:
        self.q, self.pool = head.config.q, head.config.pool
        self.xi, self.temperature = xi, temperature
        self.w = {name: value.double().numpy().copy() for name, value in head.state_dict().items()}
        self.m = {name: np.zeros_like(value) for name, value in self.w.items()}
        self.v = {name: np.zeros_like(value) for name, value in self.w.items()}
        self.steps = 0

    def layers(self, x: np.ndarray, name: str, places: Sequence[int]) -> list[np.ndarray]:
        """The input and the output of each (linear, relu)."""
        outputs = [x]
        for place in places:
            x = np.maximum(x @ self.w[f"{name}.{place}.weight"].T + self.w[f"{name}.{place}.bias"], 0)
            outputs.append(x)
        return outputs

    def back(
        self, d: np.ndarray, name: str, places: Sequence[int], outputs: list[np.ndarray], grad: dict
    ) -> np.ndarray:
        for place, x, y in zip(reversed(places), outputs[-2::-1], outputs[:0:-1], strict=True):
            d = d * (y > 0)
            rows_d, rows_x = d.reshape(-1, d.shape[-1]), x.reshape(-1, x.shape[-1])
            grad[f"{name}.{place}.weight"], grad[f"{name}.{place}.bias"] = rows_d.T @ rows_x, rows_d.sum(0)
            d = d @ self.w[f"{name}.{place}.weight"]
        return d

    def contrastive_gradient(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        n = len(z)
        norm = np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        u = z / norm
        e = np.exp(u @ u.T / self.temperature) * (1 - np.eye(n))
        partners = (labels[:, None] == labels) * (1 - np.eye(n))
        count = partners.sum(1, keepdims=True)
        share = np.divide(partners, count, out=np.zeros((n, n)), where=count > 0)
        d_similarity = (e / e.sum(1, keepdims=True) * (count > 0) - share) / n
        d_u = (d_similarity + d_similarity.T) @ u / self.temperature
        return (d_u - u * (u * d_u).sum(1, keepdims=True)) / norm

    def step(self, tokens: np.ndarray, labels: np.ndarray, lr: float) -> None:
        projection, tail = [1 + 3 * i for i in range(self.q)], [0, 3]
        if self.pool == "last":
            tokens = tokens[:, -1:]
        g = self.layers(tokens, "proj1", projection)
        weight = np.exp(self.w["alpha"][0]) / np.exp(self.w["alpha"][0]).sum(0)
        if self.pool != "importance":
            weight = np.full((tokens.shape[1], 1), 1 / tokens.shape[1])
        z = self.layers((g[-1] * weight).sum(1), "proj2", projection)
        hidden = self.layers(z[-1], "head", tail)
        logit = hidden[-1] @ self.w["head.6.weight"][0] + self.w["head.6.bias"]

        grad: dict[str, np.ndarray] = {"alpha": np.zeros_like(self.w["alpha"])}
        d_logit = 1 / (1 + np.exp(-logit)) - labels
        grad["head.6.weight"], grad["head.6.bias"] = (d_logit @ hidden[-1])[None], d_logit.sum(keepdims=True)
        d = self.back(d_logit[:, None] * self.w["head.6.weight"], "head", tail, hidden, grad)
        d = d + self.xi * self.contrastive_gradient(z[-1], labels)
        d = self.back(d, "proj2", projection, z, grad)
        if self.pool == "importance":
            d_weight = (d[:, None] * g[-1]).sum(0)
            grad["alpha"][0] = weight * (d_weight - (weight * d_weight).sum(0))
        self.back(d[:, None] * weight, "proj1", projection, g, grad)
        self.adam(grad, lr)

    def adam(self, grad: dict[str, np.ndarray], lr: float) -> None:
        self.steps += 1
        for name, g in grad.items():
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g**2
            m, v = self.m[name] / (1 - 0.9**self.steps), self.v[name] / (1 - 0.999**self.steps)
            self.w[name] = self.w[name] - lr * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize("pool", ["importance", "mean", "last"])
@pytest.mark.parametrize("q", [1, 2])
def test_twenty_steps_without_dropout_equal_numpy(q: int, pool: str) -> None:
    features, run = Tokens(), Run(q, 6, 0.3, pool=pool, seed=4)  # type: ignore[arg-type]
    shape = HeadConfig(q, 6, L, D, pool, dropout=0.0)  # type: ignore[arg-type]
    expected = NumpyHead(seeded_head(shape, seed=4), xi=0.3, temperature=0.07)
    # streamed, so that the feature set remembers the batches in their order: 3 an epoch, the last of two
    options = {"budget": 0, "dtype": torch.float64}
    ((_, (head,)),) = train(features, [run], WITHOUT_DROPOUT, LR, [7], "cpu", **options)  # type: ignore[arg-type]
    assert [len(batch) for batch in features.read] == [4, 4, 2] * 7
    for number, batch in enumerate(features.read):
        epoch = number // 3 + 1
        rate = LR if epoch < 3 else LR / 10 if epoch < 6 else LR / 100
        expected.step(features.values.double().numpy()[batch], features.rows["label"].to_numpy()[batch], rate)
    for name, value in head.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected.w[name], rtol=0, atol=1e-11, err_msg=name)
    assert expected.steps > 20
    assert not np.allclose(expected.w["head.0.weight"], seeded_head(shape, seed=4).head[0].weight.detach())


def test_learning_rate_drops_at_the_start_of_epochs_6_and_11() -> None:
    config = TrainingConfig(batch_size=1, dropout=0.5, temperature=0.07, lr_steps=(6, 11), lr_factor=0.1)
    rates = [learning_rate(epoch, 1e-3, config) for epoch in range(1, 16)]
    np.testing.assert_allclose(rates, [1e-3] * 5 + [1e-4] * 5 + [1e-5] * 5, rtol=1e-12)


# What a run depends on.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_trained_together_equals_trained_alone(dtype: torch.dtype) -> None:
    together = trained(Tokens(), RUNS, dtype=dtype)
    alone = [value for run in RUNS for value in trained(Tokens(), [run], dtype=dtype)]
    backwards = trained(Tokens(), RUNS[::-1], dtype=dtype)
    assert same(together, alone)
    last = len(weights([Head(HeadConfig(1, 4, L, D))]))
    assert same(together[:last], backwards[-last:])


def test_a_run_with_rows_of_its_own_never_sees_the_others() -> None:
    """Their tokens are no numbers: one of them in a sum would show. Beside it trains one that differs by them alone."""
    features, masks = Tokens(), {"some": np.ones(20, bool), "none": np.zeros(20, bool)}
    masks["some"][4:10] = False  # of ten pictures the third to the fifth, two views each
    whole, part = Run(1, 4, 0.1), Run(1, 4, 0.1, rows="some")
    together, alone = trained(features, [whole, part], masks=masks), trained(features, [whole])
    n = len(alone)
    assert same(together[:n], alone)
    assert not same(together[n:], alone)
    features.values[torch.from_numpy(~masks["some"])] = torch.nan
    assert same(trained(features, [part], masks=masks, budget=0), together[n:])
    assert same(trained(Tokens(), [replace(part, rows="all")], masks={"all": np.ones(20, bool)}), alone)
    with pytest.raises(ValueError, match="none: 0 real and 0 synthetic rows are left"):
        trained(features, [replace(part, rows="none")], masks=masks)


def test_seeds_in_threads_change_no_bit_and_a_failure_in_one_stops_all(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {}
    for threads in (1, 2):
        monkeypatch.setattr("rine.training.together.usable_threads", lambda n=threads: n)
        alone[threads] = trained(Tokens(), RUNS)
    assert same(alone[1], alone[2])

    def broken(group: Sequence[object], *rest: object) -> None:
        if group[0].run.seed == 1:  # type: ignore[attr-defined]
            raise OSError("the disk is gone")

    monkeypatch.setattr("rine.training.together.step", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        trained(Tokens(), RUNS, epochs=100_000)  # the other seed would take minutes


def test_runs_that_are_spread_over_devices_become_what_they_do_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [*RUNS, *(replace(run, seed=2) for run in RUNS)]
    heads: dict[int, list[list[torch.Tensor]]] = {}
    for devices in (["cpu"], ["cpu", "cpu:0"]):  # PyTorch takes them for two
        monkeypatch.setattr(together, "each_of", lambda device, devices=devices: devices)
        places = spread(runs, devices)
        assert set(places) == set(devices)
        # heads at an early epoch are copies: what is done with them must not touch those in training
        epochs = train(Tokens(), runs, CONFIG, LR, [1, 3], "cuda")
        heads[len(devices)] = [weights(logits_of) for _, logits_of in epochs]
    assert all(same(one, two) for one, two in zip(heads[1], heads[2], strict=True))


def test_with_dropout_it_equals_a_plain_loop_over_pytorch_modules() -> None:
    """Dropout layers get the same factors by a hook; optimiser, loss and order are written out again."""
    features, run = Tokens(), Run(2, 6, 0.0, seed=2)
    got = trained(features, [run], epochs=2, budget=0, dtype=torch.float64)
    head = seeded_head(HeadConfig(2, 6, L, D), seed=2).double().train()
    factors: list[torch.Tensor] = []
    for module in head.modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(lambda _, inputs, __: inputs[0] * factors.pop(0))
    adam = torch.optim.Adam(head.parameters(), lr=LR, fused=False, foreach=False)
    for number, batch in enumerate(features.read):
        epoch, step = divmod(number, 3)
        b, place, dtype = len(batch), torch.device("cpu"), torch.float64
        hidden = [(b, L, 6)] * 2 + [(b, 6)] * 5
        factors += dropout_masks([(b, L, D)], 0.5, (1, 2, epoch, step), place, dtype)
        factors += dropout_masks(hidden, 0.5, (2, 2, epoch, step, 2, 6), place, dtype)
        logit, _ = head(features.values[torch.from_numpy(batch)].double())
        labels = torch.from_numpy(features.rows["label"].to_numpy()[batch]).double()
        adam.zero_grad()
        torch.nn.BCEWithLogitsLoss(reduction="sum")(logit, labels).backward()
        adam.step()
        assert not factors
    for value, expected in zip(got, weights([head]), strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-13)


def test_same_seed_same_bytes_another_seed_others() -> None:
    assert same(trained(Tokens(), RUNS), trained(Tokens(), RUNS))
    seeds = trained(Tokens(), [Run(1, 4, 0.1), Run(1, 4, 0.1, seed=1)])
    assert not any(torch.equal(a, b) for a, b in zip(seeds[: len(seeds) // 2], seeds[len(seeds) // 2 :], strict=True))


def test_global_random_state_neither_matters_nor_changes() -> None:
    torch.manual_seed(1)
    first = trained(Tokens(), RUNS[:2])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert same(first, trained(Tokens(), RUNS[:2]))
    assert torch.equal(state, torch.get_rng_state())


def test_neither_the_order_of_the_table_nor_the_place_of_pictures_matters() -> None:
    features = Tokens()
    other = features.reordered(np.random.default_rng(5).permutation(len(features.rows)))
    other.rows["path"] = [f"elsewhere/{i}" for i in other.rows["digest"].rank(ascending=False)]
    assert same(trained(features, RUNS), trained(other, RUNS))


def test_resident_equals_streamed() -> None:
    resident, streamed = Tokens(), Tokens()
    assert same(trained(resident, RUNS), trained(streamed, RUNS, budget=0))
    assert len(resident.read) == 1
    assert len(streamed.read) == 2 * 3 * 3  # seeds, epochs, batches


def test_heads_at_an_earlier_epoch_equal_a_shorter_run() -> None:
    at = {epoch: weights(heads) for epoch, heads in train(Tokens(), RUNS, CONFIG, LR, [1, 3, 5], "cpu")}
    assert list(at) == [1, 3, 5]
    for epoch, found in at.items():
        assert same(found, trained(Tokens(), RUNS, epochs=epoch))


def test_an_epoch_meets_every_picture_once_in_its_view_and_a_new_order() -> None:
    features = Tokens(pictures=6, views=("0", "1", "2"))
    trained(features, [Run(1, 4, 0.1)], epochs=4, budget=0)
    epochs = [np.concatenate(features.read[2 * e : 2 * e + 2]) for e in range(4)]
    for epoch, rows in enumerate(epochs):
        met = features.rows.iloc[rows]
        assert (met["view"] == str(epoch % 3)).all()
        assert met["digest"].nunique() == len(met) == 6
    orders = [features.rows["digest"].iloc[rows].tolist() for rows in epochs]
    assert orders[0] != orders[3]


def test_only_the_views_in_use_are_loaded() -> None:
    features = Tokens(pictures=6, views=("0", "1", "2"))
    trained(features, [Run(1, 4, 0.1)], epochs=2)
    assert set(features.rows.iloc[np.concatenate(features.read)]["view"]) == {"0", "1"}


def test_runs_that_differ_in_xi_alone_start_alike_and_see_the_same_draws() -> None:
    twins = trained(Tokens(), [Run(1, 4, 0.2), Run(1, 4, 0.2)])
    assert same(twins[: len(twins) // 2], twins[len(twins) // 2 :])


def test_it_learns() -> None:
    features = Tokens(pictures=64, shift=4.0)
    config = TrainingConfig(batch_size=16, dropout=0.5, temperature=0.07, lr_steps=(), lr_factor=0.1)
    ((_, heads),) = train(features, [Run(1, 16, 0.1), Run(1, 16, 0.0)], config, LR, [15], "cpu")
    scores = logits(heads, features, "cpu")
    assert ((scores > 0) == features.rows["label"].to_numpy(bool)).mean(axis=1).min() > 0.9


@pytest.mark.parametrize(("p", "factor"), [(0.5, 2.0), (0.2, 1.25)])
def test_masks_are_fair_and_depend_on_their_key_alone(p: float, factor: float) -> None:
    place, dtype = torch.device("cpu"), torch.float32
    first, second = dropout_masks([(7, 11), (200, 50)], p, (1, 2, 3), place, dtype)
    assert first.shape == (7, 11)
    assert second.unique().tolist() == [0.0, pytest.approx(factor)]
    assert abs((second == 0).float().mean() - p) < 0.02
    assert torch.equal(second, dropout_masks([(7, 11), (200, 50)], p, (1, 2, 3), place, dtype)[1])
    other = dropout_masks([(7, 11), (200, 50)], p, (1, 2, 4), place, dtype)[1]
    agreement = ((second == 0) == (other == 0)).float().mean()
    assert abs(agreement - (p**2 + (1 - p) ** 2)) < 0.03


# What cannot be trained.


def test_one_label_only_is_an_error_that_counts() -> None:
    features = Tokens()
    features.rows["label"] = 1
    with pytest.raises(ValueError, match="0 are real and 20 synthetic"):
        trained(features, RUNS)


@pytest.mark.parametrize(("runs", "epochs"), [([], [1]), (RUNS, []), (RUNS, [0, 1])])
def test_no_runs_or_epochs_is_an_error(runs: list[Run], epochs: list[int]) -> None:
    with pytest.raises(ValueError, match="runs, and epochs from 1"):
        next(train(Tokens(), runs, CONFIG, LR, epochs, "cpu"))


def test_a_picture_that_lacks_a_view_is_named() -> None:
    features = Tokens()
    missing = features.rows["digest"].iloc[3]
    with pytest.raises(ValueError, match=missing):
        rows_by_picture(features.rows.drop(index=3))


# Scoring.


def test_logits_of_many_heads_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_ROWS_PER_BATCH", 6)
    features = Tokens()
    heads = [seeded_head(HeadConfig(q, 4, L, D, pool), q) for q, pool in [(1, "importance"), (2, "mean"), (1, "last")]]  # type: ignore[arg-type]
    scores = logits(heads, features, "cpu")
    assert scores.shape == (3, 20)
    assert scores.dtype == np.float32
    assert len(features.read) == 4  # one pass
    for head, row in zip(heads, scores, strict=True):
        logit, z = head.eval()(features.values.float())
        np.testing.assert_allclose(row, logit.detach().numpy(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(embeddings(head, features, "cpu"), z.detach().numpy(), rtol=0, atol=1e-6)


def test_ten_crop_rule_is_the_mean_of_the_ten_logits() -> None:
    features = Tokens(pictures=4, views=[str(i) for i in range(10)])
    order = np.random.default_rng(3).permutation(40)
    rows, values = features.rows.iloc[order], np.random.default_rng(0).normal(size=(2, 40)).astype(np.float32)
    pictures, means = mean_over_views(rows, values)
    assert means.shape == (2, 4)
    assert pictures["path"].tolist() == list(dict.fromkeys(rows["path"]))
    for column, path in enumerate(pictures["path"]):
        expected = values[:, (rows["path"] == path).to_numpy()].astype(np.float64).mean(1)
        np.testing.assert_allclose(means[:, column], expected, rtol=1e-6)
    none, no_values = mean_over_views(rows[:0], values[:, :0])
    assert len(none) == 0
    assert no_values.shape == (2, 0)
    assert mean_over_views(rows, values[:0])[1].shape == (0, 4)


def test_mean_token_of_each_block() -> None:
    features = Tokens()
    np.testing.assert_allclose(mean_tokens(features), features.values.double().mean(0), rtol=0, atol=1e-6)


def test_a_file_of_two_sources_is_two_pictures() -> None:
    features = Tokens(pictures=2)
    copies = features.rows.assign(source="other")
    rows = pd.concat([features.rows, copies], ignore_index=True)
    assert rows_by_picture(rows).shape == (4, 2)
    pictures, means = mean_over_views(rows, np.arange(8, dtype=np.float32)[None])
    assert pictures["source"].tolist() == ["", "", "other", "other"]
    assert means.tolist() == [[0.5, 2.5, 4.5, 6.5]]
