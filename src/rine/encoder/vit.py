"""A frozen ViT up to the last block's CLS token: from normalised pictures (B, 3, S, S) to tokens (B, L, D).

open_clip's own blocks are repeated here without what no token depends on; towers whose blocks are of another make run
through open_clip's modules.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Queries of the last block: the CLS row, and some more, since products of fewer rows sum in another order by place
_QUERIES = 16


class _Block(nn.Module):
    """One block of open_clip's `VisionTransformer`, with QuickGELU folded into SiLU and layer scale into the weights.

    x sigmoid(1.702 x) = silu(1.702 x) / 1.702, so c_fc times 1.702 and c_proj's weight over 1.702 give the
    same function by a fused activation.
    """

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = source.ln_1, source.ln_2
        self.heads = source.attn.num_heads
        self.qkv_weight, self.qkv_bias = source.attn.in_proj_weight, source.attn.in_proj_bias
        self.out, self.fc, self.proj = source.attn.out_proj, source.mlp.c_fc, source.mlp.c_proj
        self.approximate = getattr(source.mlp.gelu, "approximate", None)  # None: QuickGELU
        self.scales = [(self.out, source.ls_1), (self.proj, source.ls_2)]

    def prepare(self, last: bool) -> None:
        """Fold what can be folded into the weights; the last block's MLP is let go."""
        if last:
            del self.fc, self.proj
            self.scales.pop()
        with torch.no_grad():
            if self.approximate is None and not last:
                self.fc.weight *= 1.702
                self.fc.bias *= 1.702
                self.proj.weight /= 1.702
            for linear, scale in self.scales:
                if not isinstance(scale, nn.Identity):
                    linear.weight *= scale.gamma[:, None]
                    linear.bias *= scale.gamma
        self.scales = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, D), changed in place, to the block's output and its CLS token (B, D)."""
        B, T, D = x.shape
        qkv = F.linear(_norm(self.ln_1, x), self.qkv_weight, self.qkv_bias)
        q, k, v = qkv.view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, D)
        x += F.linear(attended, self.out.weight, self.out.bias)
        # ln_2's output, not the block's: the published heads were trained on it
        y = _norm(self.ln_2, x)
        token = y[:, 0].clone()
        y = F.linear(y, self.fc.weight, self.fc.bias)
        y = F.silu(y, inplace=True) if self.approximate is None else F.gelu(y, approximate=self.approximate)
        x += F.linear(y, self.proj.weight, self.proj.bias)
        return x, token

    def last(self, x: Tensor) -> Tensor:
        """The CLS token (B, D) of the last block, for which only the CLS row need ask a query."""
        B, T, D = x.shape
        Q = min(_QUERIES, T)
        y = _norm(self.ln_1, x)
        q = F.linear(y[:, :Q], self.qkv_weight[:D], self.qkv_bias[:D]).view(B, Q, self.heads, -1).transpose(1, 2)
        kv = F.linear(y, self.qkv_weight[D:], self.qkv_bias[D:])
        k, v = kv.view(B, T, 2, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, Q, D)
        y = x[:, :Q] + F.linear(attended, self.out.weight, self.out.bias)
        return _norm(self.ln_2, y[:, 0])


class Blocks(nn.Module):
    """open_clip's `VisionTransformer` up to the last block's `ln_2`."""

    blocks: Any  # of _Block

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.image_size, self.patch = source.image_size, source.conv1.kernel_size
        self.embedding = source.conv1.weight  # (D, 3, p, p)
        self.cls, self.position = source.class_embedding, source.positional_embedding
        self.ln_pre = source.ln_pre
        self.blocks = nn.ModuleList(_Block(block) for block in source.transformer.resblocks)
        self.n_blocks, (self.sequence, self.width) = len(self.blocks), self.position.shape

    def prepare(self) -> None:
        """Fold what can be folded, for which the weights are still in float32."""
        for block in self.blocks:
            block.prepare(last=block is self.blocks[-1])

    def same_bits(self, few: int, many: int) -> bool:
        """Whether `few` pictures come out the same alone as among `many`; blocks are alike, so one will do."""
        noise = torch.rand(many, 3, *self.image_size, generator=torch.Generator().manual_seed(0))
        noise = noise.to(self.cls.device, self.cls.dtype)
        outputs = []
        for pictures in (noise, noise[:few]):
            x = self._embed(pictures)
            x, token = self.blocks[0](x) if self.n_blocks > 1 else (x, x[:, 0])
            outputs.append(torch.cat([token, self.blocks[-1].last(x), x.flatten(1)], dim=1)[:few])
        return torch.equal(*outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self._embed(x)  # (B, T, D)
        tokens = []
        for block in self.blocks[:-1]:
            x, token = block(x)
            tokens.append(token)
        tokens.append(self.blocks[-1].last(x))
        return torch.stack(tokens, dim=1)  # (B, L, D)

    def _embed(self, x: Tensor) -> Tensor:
        # The strided convolution as one matrix product over patches, whose bits do not hang on the batch size
        B, (p, r) = x.shape[0], self.patch  # not len(x), which a traced graph takes for a constant
        h, w = x.shape[2] // p, x.shape[3] // r
        x = x[:, :, : h * p, : w * r].reshape(B, 3, h, p, w, r).permute(0, 2, 4, 1, 3, 5).reshape(B, h * w, -1)
        x = F.linear(x, self.embedding.flatten(1))
        x = torch.cat([self.cls.expand(B, 1, -1), x], dim=1) + self.position
        return x if isinstance(self.ln_pre, nn.Identity) else _norm(self.ln_pre, x)


class Hooked(nn.Module):
    """Any other tower of blocks: open_clip's own modules, with hooks on the norm before each MLP."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.source = source
        trunk = getattr(source, "trunk", source)
        norms: list[Any] = [getattr(block, "norm2", None) or block.ln_2 for block in block_list(trunk)]
        self.n_blocks, self.width = len(norms), int(norms[0].weight.shape[0])
        position = getattr(trunk, "pos_embed", None)
        if position is None:
            position = getattr(trunk, "positional_embedding", None)
        self.sequence = 256 if position is None else int(position.shape[-2])
        self._call = threading.local()  # batches may be under way side by side
        for norm in norms:
            norm.register_forward_hook(self._take)

    def _take(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        # open_clip and timm are batch-first: row i's CLS token is [i, 0]
        self._call.tokens.append(output[:, 0].clone())

    def prepare(self) -> None:
        """Nothing to fold."""

    def forward(self, x: Tensor) -> Tensor:
        self._call.tokens = []
        self.source(x)
        return torch.stack(self._call.tokens, dim=1)  # (B, L, D)


def used(module: Any) -> dict[str, Tensor]:
    """A tower's tensors that decide its tokens, by open_clip's names."""
    if not is_plain(module):
        return dict(module.state_dict())
    last = f"transformer.resblocks.{len(module.transformer.resblocks) - 1}"
    unused = ("proj", "ln_post.", "attn_pool", f"{last}.mlp.", f"{last}.ls_2.")
    return {key: value for key, value in module.state_dict().items() if not key.startswith(unused)}


def _norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def block_list(trunk: Any) -> list[nn.Module]:
    transformer = getattr(trunk, "transformer", None)
    blocks = getattr(transformer, "resblocks", None)
    if blocks is None:
        blocks = getattr(trunk, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList | nn.Sequential) else []


def is_plain(module: Any) -> bool:
    """Whether a tower is made of open_clip's standard blocks, whose arithmetic `_Block` repeats."""
    if getattr(module, "plain", False):  # a kept tower (rine.encoder.tower), which must not need open_clip
        return True
    from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer

    return isinstance(module, VisionTransformer) and all(
        type(block) is ResidualAttentionBlock and isinstance(block.mlp.gelu, nn.GELU | QuickGELU)
        for block in module.transformer.resblocks
    )
