"""The frozen encoder: uint8 pictures to the tokens of its blocks, the same bits in whatever company a picture comes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from rine import arithmetic
from rine import device as devices
from rine.encoder import catalogue, files, hooked, weights
from rine.encoder.catalogue import Tower
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.encoder.hooked import Hooked
from rine.encoder.random_weights import draw
from rine.encoder.rows import layout
from rine.encoder.vit import ViT

# Raised whenever the forward pass changes, so that no store mixes tokens of two kinds
REVISION = 2
# Rows of a matrix product that keep a device busy: fewer are slower, more take memory and latency for nothing
_ROWS = {"cpu": 1024, "cuda": 16384, "mps": 2048}
# A micro-batch is a multiple of so many pictures, and thereby every product of so many rows, whatever there is of a
# picture in it: the rows that are left over, three at most, are summed in another order by the portable arithmetic
_TOGETHER = 4
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def load(config: EncoderConfig, device: str = "auto", precision: str = "auto", digest: str | None = None) -> Encoder:
    """Build a frozen encoder; `auto` precision is fp16 on CUDA, as the reference's, and fp32 elsewhere.

    Its weights must have the digest; None takes whatever weights the config names. Raises `ValueError` for a tower,
    tap, token or block that there is not and for other weights than the digest's, and `files.WeightsError` for weights
    that cannot be had, do not fit, or would be run with the wrong activation.
    """
    device = devices.choose(device)
    if precision == "auto":
        precision = "fp16" if device.startswith("cuda") else "fp32"
    if precision not in _DTYPES:
        raise ValueError(f"precision = {precision!r}; allowed: auto, {', '.join(_DTYPES)}")
    tower = catalogue.look_up(config)
    body: ViT | Hooked
    tower, body = _plain(tower, config) if tower.shape else (tower, hooked.build(tower, config))
    encoder = Encoder(body.eval(), config, tower, device, precision)
    if digest not in {None, encoder.weights_digest}:
        raise ValueError(
            f"the weights {config.pretrained!r} of {config.name} here are not those that the model was trained with "
            f"(digest {encoder.weights_digest}, expected {digest})"
        )
    return encoder


def _plain(tower: Tower, config: EncoderConfig) -> tuple[Tower, ViT]:
    assert tower.shape is not None
    rows, blocks = layout(tower, config)
    if config.pretrained == "random":
        with torch.random.fork_rng(devices=[]):  # what else the process draws is not changed
            body = ViT(tower.shape, rows, blocks)
        draw(body, config.seed)
        return tower, body
    file = weights.locate(config)
    state, openai = files.read(file)
    tower = weights.with_its_activation(tower, config, file, openai)
    assert tower.shape is not None
    with torch.device("meta"):
        body = ViT(tower.shape, rows, blocks)
    files.fit(body, state, f"{file} ({config.name})", body.needless)
    return tower, body


class Encoder(nn.Module):
    """A frozen image tower. Call it with uint8 pictures; the tokens of a picture depend on that picture alone.

    Pictures go through in micro-batches of a fixed size, and a smaller one is filled up with black where it
    has to be: many matrix libraries sum in another order for another number of rows, which would move the
    last bit of a token.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: ViT | Hooked, config: EncoderConfig, tower: Tower, device: str, precision: str) -> None:
        super().__init__()
        self.config, self.tower, self.device, self.precision = config, tower, device, precision
        self.image_size, self.blocks = tower.image_size, body.blocks
        self.weights_digest = files.digest(body.state_dict())
        self.n_blocks, self.width = len(body.blocks), body.width
        body.prepare()
        self.body = body.to(device, _DTYPES[precision]).eval().requires_grad_(False)
        self._exact_sizes: dict[int, bool] = {}
        kind = device.split(":")[0]
        self.micro_batch = _TOGETHER * max(1, round(_ROWS[kind] / body.sequence / _TOGETHER))
        for name, colour in (("mean", tower.mean), ("std", tower.std)):
            levels = torch.tensor(colour) * 255
            self.register_buffer(name, levels.view(3, 1, 1).to(device), persistent=False)

    def describe(self) -> dict[str, Any]:
        """All that decides a token's bits, as plain data: the key of a store, and the provenance of a feature set.

        What has a default is in it only where it is another: the key of the paper's encoder stays what it was.
        """
        config, shape = self.config, self.tower.shape
        about: dict[str, Any] = {
            "model": config.model.entry() if isinstance(config.model, TowerConfig) else self.tower.model,
            "weights": self.weights_digest,
            "quick_gelu": bool(shape and shape.quick_gelu),
            "mean": list(self.tower.mean),
            "std": list(self.tower.std),
            "image_size": self.image_size,
            "precision": self.precision,
            "device": self.device.split(":")[0],
            "arithmetic": arithmetic.mode(),
            "revision": REVISION,
        }
        if isinstance(self.body, Hooked):
            # one tower of timm's has two names where open_clip has it too; its arithmetic is timm's
            about |= {"model": self.tower.arch, "library": hooked.library()}
        said = config.entry()
        about |= {key: said[key] for key in ("tap", "token") if key in said}
        if config.token != "pooled" and self.blocks != tuple(range(1, self.depth + 1)):
            about["blocks"] = list(self.blocks)
        return about

    @property
    def depth(self) -> int:
        """Blocks of the whole tower, of which the last ones may not be here."""
        return self.body.shape.layers if isinstance(self.body, ViT) else self.body.depth

    def batch_size(self, asked: int | Literal["auto"] = "auto") -> int:
        """Pictures at once: as many as are asked for, in whole micro-batches, of which there is at least one."""
        return self.micro_batch if asked == "auto" else max(asked // self.micro_batch, 1) * self.micro_batch

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
        # in one layout, whatever they come in: a convolution of timm's has other kernels for channels that come last
        pictures = pictures.to(self.device, non_blocking=True).contiguous()
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
        """Whether n pictures have the same bits here as in a whole micro-batch, found by trying it on two blocks."""
        if n not in self._exact_sizes:
            self._exact_sizes[n] = self.body.same_bits(n, self.micro_batch)
        return self._exact_sizes[n]

    def encode(self, pictures: Tensor) -> Tensor:
        """Tokens (B, L, D) as the feature sets keep them: float16, on the CPU; raises what `checked` raises."""
        return self.checked(self(pictures).half().cpu())

    def checked(self, tokens: Tensor) -> Tensor:
        """The same tokens (B, L, D); raises `ValueError` that names the block where one is too large for float16."""
        if not bool(tokens.isfinite().all()):
            broken = [self.blocks[i] for i in (~tokens.isfinite()).any(dim=2).any(dim=0).nonzero()[:, 0].tolist()]
            cure = "precision: fp32" if self.precision == "fp16" else "tap: norm2 or block_normed"
            raise ValueError(
                f"{self.config.name}: the tokens of block {', '.join(map(str, broken))} are too large for float16, in "
                f"which they are kept (largest 65504): say {cure}, or leave those blocks out"
            )
        return tokens
