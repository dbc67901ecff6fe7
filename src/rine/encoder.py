"""A frozen CLIP image tower that gives the CLS token of every block: pictures (B, 3, S, S) to tokens (B, L, D).

The token of a block is the CLS row of its `ln_2`'s output, before the MLP (section 3.1 of the paper; the
published heads were trained on it). So of the last block only the CLS query matters, and its MLP, `ln_post`
and `proj` need not run. open_clip builds the tower and the arithmetic here is its own blocks' arithmetic;
towers whose blocks are of another make (timm's) run through open_clip's modules with hooks on the same norms.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rine import device as devices
from rine import weights
from rine.params import EncoderConfig, TowerConfig

# Raised whenever the arithmetic changes, so that no store mixes tokens of two kinds
ARITHMETIC = 1
# Rows of a matrix product that keep a device busy: fewer are slower, more take memory and latency for nothing
_ROWS = {"cpu": 1024, "cuda": 16384, "mps": 2048}
# Queries of the last block: the CLS row, and some more since products of less than 16 rows sum in another
# order by place
_QUERIES = 16
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Tower:
    """What open_clip is asked to build, and how its input is normalised (mean and std of pixels in 0..1)."""

    model: str
    vision: dict[str, Any]
    embed_dim: int
    quick_gelu: bool
    mean: tuple[float, ...] = _CLIP_MEAN
    std: tuple[float, ...] = _CLIP_STD


def load(config: EncoderConfig, device: str = "auto", precision: str = "auto") -> Encoder:
    """Build a frozen encoder; `auto` precision is fp16 on CUDA, as the reference's, and fp32 elsewhere.

    Raises `ValueError` for a model that is no ViT with a CLS token, and `weights.WeightsError` for weights
    that cannot be had, do not fit, or would be run with the wrong activation.
    """
    device = devices.choose(device)
    precision = precision_for(device, precision)
    module, tower = _build(config)
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

    def __init__(
        self, module: nn.Module, config: EncoderConfig, tower: Tower, device: str, precision: str
    ) -> None:
        super().__init__()
        self.config, self.tower, self.device, self.precision = config, tower, device, precision
        self.image_size = _square(
            module.image_size if hasattr(module, "image_size") else tower.vision["image_size"]
        )
        body: _Blocks | _Hooked = _Blocks(module) if _is_plain(module) else _Hooked(module)
        self.weights_digest = weights.digest(_used(module))
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
            "arithmetic": ARITHMETIC,
        }

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Map uint8 pictures (B, 3, S, S) or (B, S, S, 3) to tokens (B, L, D) of the encoder's precision, on its device."""
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
            return torch.zeros(
                0, self.n_blocks, self.width, dtype=_DTYPES[self.precision], device=self.device
            )
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
            self._exact_sizes[n] = isinstance(self.body, _Blocks) and self.body.same_bits(n, self.micro_batch)
        return self._exact_sizes[n]

    def encode(self, pictures: Tensor) -> Tensor:
        """Tokens (B, L, D) as the feature sets keep them: float16, on the CPU."""
        return self(pictures).half().cpu()


class _Block(nn.Module):
    """One block of open_clip's `VisionTransformer`, with QuickGELU folded into SiLU and layer scale into the weights.

    x sigmoid(1.702 x) = silu(1.702 x) / 1.702, so c_fc times 1.702 and c_proj's weight over 1.702 give the
    same function by a fused activation.
    """

    def __init__(self, source: nn.Module) -> None:
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
        q = (
            F.linear(y[:, :Q], self.qkv_weight[:D], self.qkv_bias[:D])
            .view(B, Q, self.heads, -1)
            .transpose(1, 2)
        )
        kv = F.linear(y, self.qkv_weight[D:], self.qkv_bias[D:])
        k, v = kv.view(B, T, 2, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, Q, D)
        y = x[:, :Q] + F.linear(attended, self.out.weight, self.out.bias)
        return _norm(self.ln_2, y[:, 0])


class _Blocks(nn.Module):
    """open_clip's `VisionTransformer` up to the last block's `ln_2`."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.image_size, self.patch = source.image_size, source.conv1.kernel_size
        self.embedding = source.conv1.weight  # (D, 3, p, p)
        self.cls, self.position = source.class_embedding, source.positional_embedding
        self.ln_pre = source.ln_pre
        self.blocks = nn.ModuleList(_Block(block) for block in source.transformer.resblocks)
        self.n_blocks, (self.sequence, self.width) = len(self.blocks), self.position.shape

    def prepare(self) -> None:
        for block in self.blocks:
            block.prepare(last=block is self.blocks[-1])

    def same_bits(self, few: int, many: int) -> bool:
        """Whether the first `few` of `many` pictures come out the same when they go alone; blocks are alike, so one will do."""
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
        x = (
            x[:, :, : h * p, : w * r]
            .reshape(B, 3, h, p, w, r)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(B, h * w, -1)
        )
        x = F.linear(x, self.embedding.flatten(1))
        x = torch.cat([self.cls.expand(B, 1, -1), x], dim=1) + self.position
        return x if isinstance(self.ln_pre, nn.Identity) else _norm(self.ln_pre, x)


class _Hooked(nn.Module):
    """Any other tower of blocks: open_clip's own modules, with hooks on the norm before each MLP."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.source = source
        trunk = getattr(source, "trunk", source)
        norms = [
            (getattr(block, "norm2", None) or getattr(block, "ln_2", None)) for block in _block_list(trunk)
        ]
        self.norms = [norm for norm in norms if isinstance(norm, nn.Module)]
        self.n_blocks = len(self.norms)
        self.width = int(self.norms[0].weight.shape[0])
        position = getattr(trunk, "pos_embed", None)
        if position is None:
            position = getattr(trunk, "positional_embedding", None)
        self.sequence = int(position.shape[-2]) if position is not None else 256

    def prepare(self) -> None:
        return

    def forward(self, x: Tensor) -> Tensor:
        tokens: list[Tensor] = []
        # open_clip and timm are batch-first: row i's CLS token is [i, 0]
        handles = [
            norm.register_forward_hook(lambda _, __, y: tokens.append(y[:, 0].clone())) for norm in self.norms
        ]
        try:
            self.source(x)
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack(tokens, dim=1)


def _used(module: nn.Module) -> dict[str, Tensor]:
    """A tower's tensors that decide its tokens, by open_clip's names."""
    if not _is_plain(module):
        return dict(module.state_dict())
    last = f"transformer.resblocks.{len(module.transformer.resblocks) - 1}"
    unused = ("proj", "ln_post.", "attn_pool", f"{last}.mlp.", f"{last}.ls_2.")
    return {key: value for key, value in module.state_dict().items() if not key.startswith(unused)}


def _norm(layer: nn.Module, x: Tensor) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def _square(size: int | Sequence[int]) -> int:
    sizes = {size} if isinstance(size, int) else set(size)
    if len(sizes) > 1:
        raise ValueError(f"only encoders of square pictures are read, this one takes {tuple(sizes)}")
    return int(sizes.pop())


def _build(config: EncoderConfig) -> tuple[nn.Module, Tower]:
    """open_clip's image tower with its weights in float32, and what it is. The text tower is never built."""
    tower = _tower(config)
    if config.pretrained == "random":
        # a generator of its own: what else the process draws changes nothing, and is not changed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            module = _construct(tower)
        return module, tower
    file = weights.locate(tower.model, config.pretrained)
    state, openai = weights.read(file)
    tower = _activation(config, tower, openai, str(file.resolve()))
    module = _construct(tower, empty=True)
    weights.fit(module, state, _used(module).keys(), f"{file} ({config.name})")
    return module, tower


def _tower(config: EncoderConfig) -> Tower:
    if isinstance(config.model, TowerConfig):
        return Tower("own", asdict(config.model), embed_dim=config.model.width, quick_gelu=False)
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    known = open_clip.get_model_config(config.model)
    if known is None:
        near = [
            name for name in open_clip.list_models() if name.lower() == config.model.lower().replace("/", "-")
        ]
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {open_clip.list_models()}"
        raise ValueError(f"open_clip has no model {config.model!r}; {hint}")
    vision = dict(known["vision_cfg"])
    if isinstance(vision.get("layers"), list):
        raise ValueError(
            f"{config.model!r} is a ResNet; RINE needs a ViT, whose blocks have a CLS token: ViT-L-14, say"
        )
    vision.pop("timm_model_pretrained", None)  # ImageNet's weights are none of CLIP's
    source = get_pretrained_cfg(config.model, config.pretrained) or {}
    norm = {key: tuple(source[key]) for key in ("mean", "std") if source.get(key)}
    return Tower(config.model, vision, known["embed_dim"], bool(known.get("quick_gelu", False)), **norm)


def _activation(config: EncoderConfig, tower: Tower, openai: bool, file: str) -> Tower:
    """The tower with the activation that its weights were trained with; open_clip only warns where the two differ."""
    from dataclasses import replace

    from open_clip.pretrained import get_pretrained_cfg

    if openai or config.pretrained == "openai":
        return replace(tower, quick_gelu=True)
    source = get_pretrained_cfg(tower.model, config.pretrained)
    if source and bool(source.get("quick_gelu", False)) != tower.quick_gelu:
        plain = tower.model.removesuffix("-quickgelu")
        right = plain if tower.quick_gelu else f"{plain}-quickgelu"
        raise weights.WeightsError(
            f"{config.pretrained!r} was trained with {'GELU' if tower.quick_gelu else 'QuickGELU'}, "
            f"{tower.model!r} is not: name the model {right!r}"
        )
    if not source and not tower.quick_gelu and "openai" in file.lower():
        raise weights.WeightsError(
            f"{file} seems to hold OpenAI's weights in open_clip's form, which need QuickGELU and do not say so: name the "
            f"model {tower.model + '-quickgelu'!r}, or take OpenAI's own .pt file; if they are not OpenAI's, rename the file"
        )
    return tower


def _construct(tower: Tower, empty: bool = False) -> nn.Module:
    """Build open_clip's image tower; `empty` without storage, for weights that come from a file."""
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    timm = "timm_model_name" in tower.vision
    before = logging.root.level
    try:
        with torch.device("meta" if empty and not timm else "cpu"):
            module = _build_vision_tower(
                tower.embed_dim, CLIPVisionCfg(**tower.vision), quick_gelu=tower.quick_gelu
            )
    finally:
        logging.root.setLevel(before)
    _check_tokens(module, tower.model)
    return module.eval()


def _check_tokens(module: nn.Module, name: str) -> None:
    """Raise where there is no CLS token to take, or no norm between a block's attention and its MLP."""
    trunk = getattr(module, "trunk", module)
    blocks = _block_list(trunk)
    prefix = getattr(trunk, "num_prefix_tokens", 1 if hasattr(trunk, "class_embedding") else 0)
    pre_norm = all(
        "PostNorm" not in type(block).__name__ and (hasattr(block, "norm2") or hasattr(block, "ln_2"))
        for block in blocks
    )
    has_cls = hasattr(trunk, "class_embedding") or getattr(trunk, "cls_token", None) is not None
    if not blocks or not prefix or not has_cls or not pre_norm:
        raise ValueError(
            f"the image tower of {name!r} ({type(trunk).__name__}) is no ViT with a CLS token in every block, which RINE needs; "
            f"ViT-L-14 and ViT-B-32 are the paper's"
        )


def _block_list(trunk: nn.Module) -> list[nn.Module]:
    transformer = getattr(trunk, "transformer", None)
    blocks = getattr(transformer, "resblocks", None)
    if blocks is None:
        blocks = getattr(trunk, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList | nn.Sequential) else []


def _is_plain(module: nn.Module) -> bool:
    """Whether a tower is made of open_clip's standard blocks, whose arithmetic `_Block` repeats."""
    if getattr(module, "plain", False):  # a kept tower (rine.tower), which must not need open_clip
        return True
    from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer

    return isinstance(module, VisionTransformer) and all(
        type(block) is ResidualAttentionBlock and isinstance(block.mlp.gelu, nn.GELU | QuickGELU)
        for block in module.transformer.resblocks
    )
