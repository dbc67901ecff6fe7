"""A frozen CLIP image tower that gives the CLS token of every block: pictures (B, 3, S, S) to tokens (B, L, D).

The token of a block is the CLS row of its `ln_2`'s output, before the MLP (section 3.1 of the paper; the
published heads were trained on it). So of the last block only the CLS query matters, and its MLP, `ln_post`
and `proj` need not run. open_clip builds the tower and the arithmetic here is its own blocks' arithmetic;
towers whose blocks are of another make (timm's) run through open_clip's modules with hooks on the same norms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from rine import arithmetic
from rine import device as devices
from rine.encoder import weights
from rine.encoder.building import Tower, build
from rine.encoder.vit import Blocks, Hooked, is_plain, used
from rine.params import EncoderConfig

# Raised whenever the forward pass changes, so that no store mixes tokens of two kinds
REVISION = 2
# Rows of a matrix product that keep a device busy: fewer are slower, more take memory and latency for nothing
_ROWS = {"cpu": 1024, "cuda": 16384, "mps": 2048}


def load(config: EncoderConfig, device: str = "auto", precision: str = "auto") -> Encoder:
    """Build a frozen encoder; `auto` precision is fp16 on CUDA, as the reference's, and fp32 elsewhere.

    Raises `ValueError` for a model that is no ViT with a CLS token, and `weights.WeightsError` for weights
    that cannot be had, do not fit, or would be run with the wrong activation.
    """
    device = devices.choose(device)
    precision = precision_for(device, precision)
    module, tower = build(config)
    return Encoder(module, config, tower, device, precision)


def precision_for(device: str, precision: str) -> str:
    """The precision that `auto` stands for on a device; raises `ValueError` for one that is unknown."""
    if precision == "auto":
        return "fp16" if device.startswith("cuda") else "fp32"
    if precision not in _DTYPES:
        raise ValueError(f"precision = {precision!r}; allowed: auto, {', '.join(_DTYPES)}")
    return precision


_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


class Encoder(nn.Module):
    """A frozen image tower. Call it with uint8 pictures; the tokens of a picture depend on that picture alone.

    Pictures go through in micro-batches of a fixed size, and a smaller one is filled up with black where it
    has to be: many matrix libraries sum in another order for another number of rows, which would move the
    last bit of a token.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: Any, config: EncoderConfig, tower: Tower, device: str, precision: str) -> None:
        super().__init__()
        self.config, self.tower, self.device, self.precision = config, tower, device, precision
        self.image_size = _square(module.image_size if hasattr(module, "image_size") else tower.vision["image_size"])
        body: Blocks | Hooked = Blocks(module) if is_plain(module) else Hooked(module)
        self.weights_digest = weights.digest(used(module))
        body.prepare()
        self.body = body.to(device, _DTYPES[precision]).eval().requires_grad_(False)
        self.n_blocks, self.width = body.n_blocks, body.width
        self._exact_sizes: dict[int, bool] = {}
        kind = device.split(":")[0]
        self.micro_batch = max(1, round(_ROWS[kind] / body.sequence))
        mean = torch.tensor(tower.mean) * 255
        std = torch.tensor(tower.std) * 255
        self.register_buffer("mean", mean.view(3, 1, 1).to(device), persistent=False)
        self.register_buffer("std", std.view(3, 1, 1).to(device), persistent=False)

    def describe(self) -> dict[str, Any]:
        """All that decides a token's bits, as plain data: the key of a store, and the provenance of a feature set."""
        return {
            "model": self.tower.model if isinstance(self.config.model, str) else asdict(self.config.model),
            "weights": self.weights_digest,
            "quick_gelu": self.tower.quick_gelu,
            "mean": list(self.tower.mean),
            "std": list(self.tower.std),
            "image_size": self.image_size,
            "precision": self.precision,
            "device": self.device.split(":")[0],
            "arithmetic": arithmetic.mode(),
            "revision": REVISION,
        }

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Map uint8 pictures (B, 3, S, S) or (B, S, S, 3) to tokens (B, L, D), on the device and in the precision."""
        if pictures.ndim == 4 and pictures.shape[-1] == 3 and pictures.shape[1] != 3:
            pictures = pictures.permute(0, 3, 1, 2)
        size = self.image_size
        if pictures.dtype != torch.uint8 or pictures.shape[1:] != (3, size, size):
            raise ValueError(
                f"{self.config.name} takes uint8 pictures (B, 3, {size}, {size}) or (B, {size}, {size}, 3), "
                f"got {pictures.dtype} {tuple(pictures.shape)}"
            )
        pictures = pictures.to(self.device, non_blocking=True)
        if not len(pictures):
            return torch.zeros(0, self.n_blocks, self.width, dtype=_DTYPES[self.precision], device=self.device)
        return torch.cat([self._micro_batch(part) for part in pictures.split(self.micro_batch)])

    def _micro_batch(self, pictures: Tensor) -> Tensor:
        n = len(pictures)
        if n < self.micro_batch and not self._exact(n):
            pictures = torch.cat([pictures, pictures.new_zeros(self.micro_batch - n, *pictures.shape[1:])])
        x = (pictures.float() - self.mean) / self.std
        return self.body(x.to(_DTYPES[self.precision]))[:n]

    def _exact(self, n: int) -> bool:
        """Whether n pictures have the same bits here as in a whole micro-batch, found by trying it on one block."""
        if n not in self._exact_sizes:
            self._exact_sizes[n] = isinstance(self.body, Blocks) and self.body.same_bits(n, self.micro_batch)
        return self._exact_sizes[n]

    def encode(self, pictures: Tensor) -> Tensor:
        """Tokens (B, L, D) as the feature sets keep them: float16, on the CPU."""
        return self(pictures).half().cpu()


def _square(size: int | Sequence[int]) -> int:
    sizes = {size} if isinstance(size, int) else set(size)
    if len(sizes) > 1:
        raise ValueError(f"only encoders of square pictures are read, this one takes {tuple(sizes)}")
    return int(sizes.pop())
