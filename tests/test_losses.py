"""The loss equals its definition written out in NumPy, and small batches give no NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rine.training.losses import supervised_contrastive, total

TEMPERATURE = 0.07


def contrastive_in_numpy(z: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Khosla et al. 2020, equation 2, anchor by anchor; an anchor without a partner counts as zero."""
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        partners = [p for p in others if labels[p] == labels[i]]
        denominator = sum(np.exp(unit[i] @ unit[a] / temperature) for a in others)
        terms = [np.log(np.exp(unit[i] @ unit[p] / temperature) / denominator) for p in partners]
        losses.append(-np.mean(terms) if terms else 0.0)
    return float(np.mean(losses))


def entropy_in_numpy(logit: np.ndarray, labels: np.ndarray) -> float:
    probability = 1 / (1 + np.exp(-logit))
    return float(-(labels * np.log(probability) + (1 - labels) * np.log(1 - probability)).sum())


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0], [0, 1]],
    ids=["both classes", "a class with no partner", "one class", "no partner at all"],
)
def test_equals_the_definition_in_numpy(labels: list[int]) -> None:
    rng = np.random.default_rng(0)
    z, logit = rng.normal(size=(len(labels), 5)), rng.normal(size=len(labels))
    expected = contrastive_in_numpy(z, np.array(labels), TEMPERATURE)
    target = torch.tensor(labels)
    got = supervised_contrastive(torch.from_numpy(z), target, TEMPERATURE)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    whole = total(torch.from_numpy(logit), torch.from_numpy(z), target, 0.3, TEMPERATURE)
    np.testing.assert_allclose(whole, entropy_in_numpy(logit, np.array(labels)) + 0.3 * expected, rtol=1e-12)


@pytest.mark.parametrize("labels", [[1], [0, 1], [0, 1, 1], [1, 1]])
def test_small_batches_give_finite_losses_and_gradients(labels: list[int]) -> None:
    z = torch.randn(len(labels), 4, requires_grad=True)
    logit = torch.randn(len(labels), requires_grad=True)
    loss = total(logit, z, torch.tensor(labels), 0.4, TEMPERATURE)
    loss.backward()
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert logit.grad is not None
    assert logit.grad.abs().min() > 0


def test_an_embedding_of_zeros_gives_no_nan() -> None:
    z = torch.zeros(4, 3, requires_grad=True)
    supervised_contrastive(torch.relu(z), torch.tensor([0, 1, 0, 1]), TEMPERATURE).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_a_batch_without_a_partner_has_no_contrastive_gradient() -> None:
    z = torch.randn(2, 4, requires_grad=True)
    supervised_contrastive(z, torch.tensor([0, 1]), TEMPERATURE).backward()
    assert z.grad is not None
    assert not z.grad.any()


def test_embeddings_of_several_heads_give_the_loss_of_each() -> None:
    z, logit = torch.randn(3, 6, 4, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    each = [total(logit[k], z[k], labels, 0.2, TEMPERATURE) for k in range(3)]
    torch.testing.assert_close(total(logit, z, labels, 0.2, TEMPERATURE), torch.stack(each), rtol=1e-13, atol=1e-13)
    assert supervised_contrastive(z[:, :1], labels[:1], TEMPERATURE).shape == (3,)


def test_without_contrastive_weight_the_loss_is_the_cross_entropy() -> None:
    logit, labels = torch.tensor([0.3, -2.0], dtype=torch.float64), torch.tensor([1, 0])
    nan = torch.full((2, 3), torch.nan, dtype=torch.float64)
    expected = entropy_in_numpy(logit.numpy(), labels.numpy())
    np.testing.assert_allclose(total(logit, nan, labels, 0.0, TEMPERATURE), expected, rtol=1e-12)
