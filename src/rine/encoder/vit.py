"""A plain ViT up to its last tap: normalised pictures (B, 3, S, S) to the tokens of its blocks (B, L, D).

The arithmetic of CLIP's image towers, with parameters by open_clip's names, and without what no token depends on: of
the last block with RINE's token only the CLS query counts, and neither its MLP nor `ln_post` nor `proj` is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rine.encoder.catalogue import Shape
from rine.encoder.rows import QUERIES, Rows


class _Block(nn.Module):
    """One block, with QuickGELU folded into SiLU and layer scale into the weights.

    x sigmoid(1.702 x) = silu(1.702 x) / 1.702, so c_fc times 1.702 and c_proj's weight over 1.702 give the
    same function by a fused activation.
    """

    attn: Any
    mlp: Any

    def __init__(self, shape: Shape, mlp: bool) -> None:
        super().__init__()
        D, hidden = shape.width, int(shape.width * shape.mlp_ratio)
        self.heads, self.quick_gelu = D // shape.head_width, shape.quick_gelu
        self.ln_1, self.ln_2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attn = nn.MultiheadAttention(D, self.heads)  # its parameters alone
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(D, hidden), "c_proj": nn.Linear(hidden, D)} if mlp else {})
        if shape.layer_scale is not None:
            self.ls_1 = _Scale(D, shape.layer_scale)
            if mlp:
                self.ls_2 = _Scale(D, shape.layer_scale)

    @torch.no_grad()
    def fold(self) -> None:
        """Fold what can be folded into the weights, which must be in float32."""
        if self.mlp and self.quick_gelu:
            self.mlp["c_fc"].weight *= 1.702
            self.mlp["c_fc"].bias *= 1.702
            self.mlp["c_proj"].weight /= 1.702
        for name, linear in (("ls_1", self.attn.out_proj), ("ls_2", self.mlp["c_proj"] if self.mlp else None)):
            if linear is not None and name in self._modules:
                scale: Any = self._modules.pop(name)
                linear.weight *= scale.gamma[:, None]
                linear.bias *= scale.gamma

    def attend(self, x: Tensor) -> Tensor:
        """Add attention to (B, T, D), in place, and return `ln_2` of it."""
        B, T, D = x.shape
        qkv = F.linear(_norm(self.ln_1, x), self.attn.in_proj_weight, self.attn.in_proj_bias)
        q, k, v = qkv.view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, D)
        x += F.linear(attended, self.attn.out_proj.weight, self.attn.out_proj.bias)
        return _norm(self.ln_2, x)

    def feed(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the MLP of y = `ln_2` to x, in place."""
        y = F.linear(y, self.mlp["c_fc"].weight, self.mlp["c_fc"].bias)
        y = F.silu(y, inplace=True) if self.quick_gelu else F.gelu(y)
        x += F.linear(y, self.mlp["c_proj"].weight, self.mlp["c_proj"].bias)
        return x

    def cls_row(self, x: Tensor) -> Tensor:
        """The CLS row (B, D) of `ln_2`, for which only few rows need ask a query."""
        B, T, D = x.shape
        Q = min(QUERIES, T)
        y = _norm(self.ln_1, x)
        weight, bias = self.attn.in_proj_weight, self.attn.in_proj_bias
        q = F.linear(y[:, :Q], weight[:D], bias[:D]).view(B, Q, self.heads, -1).transpose(1, 2)
        kv = F.linear(y, weight[D:], bias[D:])
        k, v = kv.view(B, T, 2, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, Q, D)
        y = x[:, :Q] + F.linear(attended, self.attn.out_proj.weight, self.attn.out_proj.bias)
        return _norm(self.ln_2, y[:, 0])


class ViT(nn.Module):
    """The tokens of the blocks with these numbers (from 1), and of the tower no more than they depend on."""

    def __init__(self, shape: Shape, rows: Rows, blocks: tuple[int, ...]) -> None:
        super().__init__()
        D, p = shape.width, shape.patch_size
        side = shape.image_size // p
        self.made_of = shape.layers, D, shape.cls, shape.registers
        self.shape, self.rows, self.blocks, self.width = shape, rows, blocks, D * rows.n
        self.sequence = shape.cls + shape.registers + side * side
        self.conv1 = nn.Conv2d(3, D, p, p, bias=False)
        if shape.cls:
            self.class_embedding = nn.Parameter(torch.randn(D))
        if shape.registers:
            self.register_embedding = nn.Parameter(torch.randn(shape.registers, D))
        self.positional_embedding = nn.Parameter(torch.randn(shape.cls + side * side, D))
        self.ln_pre: nn.Module | None = nn.LayerNorm(D) if shape.ln_pre else None
        whole = rows.tap != "norm2"
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(
            _Block(shape, mlp=whole or number < blocks[-1]) for number in range(1, blocks[-1] + 1)
        )
        self.ln_post = nn.LayerNorm(D) if rows.tap == "block_normed" else None

    def needless(self, names: Iterable[str]) -> set[str]:
        """Of a file's tensors, those that a tower of this shape has and no token here depends on."""
        ends = ("proj", "ln_post.", "attn_pool")
        later = tuple(f"transformer.resblocks.{i}." for i in range(self.blocks[-1] - 1, self.shape.layers))
        return {name for name in names if name.startswith(ends + later)}

    def prepare(self) -> None:
        """Fold what can be folded, for which the weights are still in float32."""
        for block in self._resblocks:
            block.fold()

    @property
    def _resblocks(self) -> Any:
        return self.transformer.resblocks

    def same_bits(self, few: int, many: int) -> bool:
        """Whether `few` pictures come out the same alone as among `many`; blocks are alike, so two will do."""
        noise = torch.rand(many, 3, *[self.shape.image_size] * 2, generator=torch.Generator().manual_seed(0))
        noise = noise.to(self.conv1.weight)
        first, last = self._resblocks[0], self._resblocks[-1]
        outputs = []
        for pictures in (noise, noise[:few]):
            x = self._embed(pictures)
            tokens = [self._block(first, x, first is last), x.flatten(1)]
            if first is not last:
                tokens.append(self._block(last, x, True))
            outputs.append(torch.cat(tokens, dim=1)[:few])
        return torch.equal(*outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self._embed(x)  # (B, T, D)
        tokens = []
        for number, block in enumerate(self._resblocks, start=1):
            token = self._block(block, x, number == self.blocks[-1], number in self.blocks)
            if number in self.blocks:
                tokens.append(token)
        return torch.stack(tokens, dim=1)  # (B, L, D)

    def _block(self, block: _Block, x: Tensor, last: bool, wanted: bool = True) -> Tensor:
        """Change x to the block's output, in place, and return its token (B, D), if that is wanted."""
        rows = self.rows
        if last and rows.tap == "norm2" and rows.token == "cls":
            return block.cls_row(x)
        y = block.attend(x)
        # ln_2's output, not the block's: the published heads were trained on it
        token = rows(y) if wanted and rows.tap == "norm2" else y
        if last and rows.tap == "norm2":
            return token
        block.feed(x, y)
        if wanted and rows.tap != "norm2":
            token = rows(x if self.ln_post is None else _norm(self.ln_post, x))
        return token

    def _embed(self, x: Tensor) -> Tensor:
        # The strided convolution as one matrix product over patches, whose bits do not hang on the batch size
        B, p = x.shape[0], self.shape.patch_size  # not len(x), which a traced graph takes for a constant
        h, w = x.shape[2] // p, x.shape[3] // p
        x = x[:, :, : h * p, : w * p].reshape(B, 3, h, p, w, p).permute(0, 2, 4, 1, 3, 5).reshape(B, h * w, -1)
        x = F.linear(x, self.conv1.weight.flatten(1))
        if self.shape.cls:
            x = torch.cat([self.class_embedding.expand(B, 1, -1), x], dim=1)
        x = x + self.positional_embedding
        if self.shape.registers:  # between CLS and patches, without a position, as DINOv2 has them
            registers = self.register_embedding.expand(B, -1, -1)
            x = torch.cat([x[:, : self.shape.cls], registers, x[:, self.shape.cls :]], dim=1)
        return x if self.ln_pre is None else _norm(self.ln_pre, x)


class _Scale(nn.Module):
    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))


def _norm(layer: Any, x: Tensor) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
