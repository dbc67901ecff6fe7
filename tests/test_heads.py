"""The head equals the formula written out in NumPy, for every shape and ablation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rine.heads import Head, HeadConfig, seeded_head
from rine.training.masks import mask_shapes, masked_forward

POOLS = ("importance", "mean", "last")


def head_in_numpy(state: dict[str, np.ndarray], q: int, pool: str, tokens: np.ndarray) -> tuple[np.ndarray, ...]:
    """g = proj1(tokens); z = proj2(sum_l softmax_l(alpha) g_l); logit = head(z), in float64."""

    def relu_layers(name: str, x: np.ndarray, places: list[int]) -> np.ndarray:
        for place in places:
            weight, bias = state[f"{name}.{place}.weight"], state[f"{name}.{place}.bias"]
            x = np.maximum(np.einsum("...i,oi->...o", x, weight) + bias, 0)
        return x

    projection = [1 + 3 * i for i in range(q)]  # dropout, then (linear, relu, dropout) q times
    g = relu_layers("proj1", tokens, projection)
    weights = np.exp(state["alpha"][0])
    weights /= weights.sum(0)
    if pool == "importance":
        joined = (g * weights).sum(1)
    elif pool == "mean":
        joined = g.sum(1) / tokens.shape[1]
    else:
        joined = sum(weights[block] * g[:, -1] for block in range(len(weights)))  # as the reference writes it
    z = relu_layers("proj2", joined, projection)
    hidden = relu_layers("head", z, [0, 3])
    return hidden @ state["head.6.weight"][0] + state["head.6.bias"], z


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("proj_dim", [1, 8])
@pytest.mark.parametrize("q", [1, 2, 4])
def test_equals_the_formula_in_numpy(q: int, proj_dim: int, pool: str) -> None:
    head = seeded_head(HeadConfig(q, proj_dim, n_blocks=5, width=7, pool=pool), seed=q).double().eval()
    tokens = torch.randn(6, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logit, z = head(tokens)
    state = {name: value.numpy() for name, value in head.state_dict().items()}
    expected_logit, expected_z = head_in_numpy(state, q, pool, tokens.numpy())
    assert logit.shape == (6,)
    assert z.shape == (6, proj_dim)
    np.testing.assert_allclose(logit.detach().numpy(), expected_logit, rtol=0, atol=1e-13)
    np.testing.assert_allclose(z.detach().numpy(), expected_z, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("q", "proj_dim", "published"),
    [(1, 128, 183_937), (2, 128, 216_961), (4, 128, 283_009), (2, 1024, 6_323_201), (4, 1024, 10_521_601)],
)
def test_has_the_published_number_of_parameters(q: int, proj_dim: int, published: int) -> None:
    with torch.device("meta"):
        head = Head(HeadConfig(q, proj_dim, n_blocks=24, width=1024))
    assert sum(parameter.numel() for parameter in head.parameters()) == published


def test_parameters_bear_the_published_names() -> None:
    head = Head(HeadConfig(2, 4, n_blocks=3, width=5))
    linear = ["proj1.1", "proj1.4", "proj2.1", "proj2.4", "head.0", "head.3", "head.6"]
    assert list(head.state_dict()) == [
        "alpha",
        *(f"{name}.{kind}" for name in linear for kind in ("weight", "bias")),
    ]


@pytest.mark.parametrize("pool", POOLS)
def test_masks_take_the_place_of_dropout(pool: str) -> None:
    """In training mode with recorded dropout, the same factors given as masks give the same output."""
    head = seeded_head(HeadConfig(2, 8, n_blocks=3, width=5, pool=pool), seed=0).train()
    factors = []

    def record(_: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        factor = torch.full_like(inputs[0], 2.0)
        factor[..., ::3] = 0
        factors.append(factor)
        return inputs[0] * factor

    hooks = [m.register_forward_hook(record) for m in head.modules() if isinstance(m, torch.nn.Dropout)]
    tokens = torch.randn(4, 3, 5)
    expected = head(tokens)
    for hook in hooks:
        hook.remove()
    given = masked_forward(head.eval(), tokens, factors)
    assert torch.equal(given[0], expected[0])
    assert torch.equal(given[1], expected[1])
    blocks = slice(-1, None) if pool == "last" else slice(None)
    assert torch.equal(masked_forward(head, tokens[:, blocks] * factors[0], [None, *factors[1:]])[0], expected[0])
    shapes = mask_shapes(head.config, 4)
    assert [tuple(factor.shape) for factor in factors] == shapes


def test_without_a_mask_a_layer_is_as_in_evaluation() -> None:
    config = HeadConfig(q=2, proj_dim=4, n_blocks=3, width=5)
    head, tokens = seeded_head(config, seed=0).eval(), torch.randn(2, 3, 5)
    without = masked_forward(head, tokens, [None] * len(mask_shapes(config, 2)))
    assert all(map(torch.equal, without, head(tokens)))


@pytest.mark.parametrize("pool", POOLS)
def test_importance_sums_to_one_over_blocks(pool: str) -> None:
    weights = seeded_head(HeadConfig(1, 6, n_blocks=4, width=3, pool=pool), seed=3).importance()
    assert weights.shape == (4, 6)
    torch.testing.assert_close(weights.sum(0), torch.ones(6))
    assert (weights[-1] == 1).all() == (pool == "last")


def test_initialisation_depends_on_the_seed_alone_and_disturbs_no_other_draw() -> None:
    config = HeadConfig(1, 4, n_blocks=2, width=3)
    torch.manual_seed(7)
    expected_next = torch.rand(1)
    torch.manual_seed(7)
    first = seeded_head(config, seed=5)
    assert torch.equal(torch.rand(1), expected_next)
    again, other = seeded_head(config, seed=5), seeded_head(config, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.alpha, other.alpha)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": 0}, "q = 0"),
        ({"proj_dim": 2.5}, "proj_dim = 2.5"),
        ({"pool": "max"}, "importance"),
        ({"dropout": 1}, "dropout"),
    ],
)
def test_impossible_shapes_are_errors_that_name_the_value(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeadConfig(**({"q": 1, "proj_dim": 4, "n_blocks": 2, "width": 3} | change))
