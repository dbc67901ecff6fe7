"""How near the encoder's arithmetic comes to the machine's own matrix products, measured beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.encoder import MODELS, noise, random
from benchmarks.measure import Figure, Skipped, in_turn, medians
from rine import encoder
from rine.encoder import Encoder

GOALS = {"cpu": 85.0, "cuda": 60.0}  # per cent, of L/14
WHAT = "encoder, FLOP/s, ViT-L/14"


def rows(rounds: int) -> list[Figure | Skipped]:
    found: list[Figure | Skipped] = [_figure("cpu", rounds)]
    if torch.cuda.is_available():
        return [*found, _figure("cuda", rounds)]
    return [*found, Skipped("flops", f"{WHAT}, CUDA, fp16", "no CUDA device here")]


def operations(tower: Encoder) -> float:
    """Operations of a picture's matrix products: what the tokens need, the last block's CLS query alone."""
    body = tower.body
    T, D, L = body.sequence, body.width, len(body.blocks)
    embedding = 2 * (T - 1) * body.conv1.weight[0].numel() * D
    block = 2 * T * D * (4 * D + 8 * D) + 4 * T * T * D
    last = 2 * T * D * 2 * D + 2 * D * 2 * D + 4 * T * D
    return float(embedding + (L - 1) * block + last)


def _figure(device: str, rounds: int) -> Figure:
    tower = encoder.load(random("ViT-L/14", MODELS["ViT-L/14"]), device)
    n = tower.micro_batch
    pictures = noise(n, tower.image_size).to(device)
    dtype = torch.float32 if device == "cpu" else torch.float16
    T, D = tower.body.sequence, tower.width
    shapes = [(2048, 2048, 2048), (n * T, D, 4 * D), (4096, 1024, 4096)]
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    products = [_product(shape, dtype, device, wait) for shape in shapes]

    def encode() -> None:
        tower(pictures)
        wait()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = in_turn([encode, *products], rounds)
    finally:
        torch.set_num_threads(threads)
    mine = operations(tower) * n / seconds[:, 0]
    # of each shape the median, and of those the best: a single fast product among slow ones is no wall
    walls = [2.0 * a * b * c / seconds[:, 1 + i] for i, (a, b, c) in enumerate(shapes)]
    wall = max(walls, key=lambda rates: float(torch.tensor(rates).median()))
    kind = "CPU, fp32, one thread" if device == "cpu" else "CUDA, fp16"
    best = float(torch.tensor(wall).median())
    return Figure(
        "flops",
        f"{WHAT}, {kind}",
        "the best of three matrix products",
        tuple((100 * mine / wall).tolist()),
        GOALS[device],
        medians(["ours", *map(str, shapes)], seconds),
        unit="%",
        note=f"{float(torch.tensor(mine).median()) / 1e9:.0f} of {best / 1e9:.0f} GFLOP/s",
    )


def _product(
    shape: tuple[int, int, int], dtype: torch.dtype, device: str, wait: Callable[[], None]
) -> Callable[[], None]:
    rows, inner, columns = shape
    a = torch.randn(rows, inner, device=device).to(dtype)
    weight = torch.randn(columns, inner, device=device).to(dtype)
    out = torch.empty(rows, columns, dtype=dtype, device=device)

    def multiply() -> None:
        torch.mm(a, weight.T, out=out)
        wait()

    return multiply
