"""Image towers by open_clip: a name or a shape and where the weights come from, to a module in float32.

Only the image tower is built, never the text tower beside it.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from rine.encoder import weights
from rine.encoder.random_weights import draw
from rine.encoder.vit import block_list, used
from rine.params import EncoderConfig, TowerConfig

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


def build(config: EncoderConfig) -> tuple[nn.Module, Tower]:
    """open_clip's image tower with its weights in float32, and what it is. The text tower is never built."""
    tower = _tower(config)
    if config.pretrained == "random":
        with torch.random.fork_rng(devices=[]):  # what else the process draws is not changed
            module = construct(tower)
        draw(module, config.seed)
        return module, tower
    file = weights.locate(tower.model, config.pretrained)
    state, openai = weights.read(file)
    tower = _activation(config, tower, openai, str(file.resolve()))
    module = construct(tower, empty=True)
    weights.fit(module, state, used(module).keys(), f"{file} ({config.name})")
    return module, tower


def _tower(config: EncoderConfig) -> Tower:
    if isinstance(config.model, TowerConfig):
        return Tower("own", asdict(config.model), embed_dim=config.model.width, quick_gelu=False)
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    known = open_clip.get_model_config(config.model)
    if known is None:
        near = [name for name in open_clip.list_models() if name.lower() == config.model.lower().replace("/", "-")]
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {open_clip.list_models()}"
        raise ValueError(f"open_clip has no model {config.model!r}; {hint}")
    vision = dict(known["vision_cfg"])
    if isinstance(vision.get("layers"), list):
        raise ValueError(f"{config.model!r} is a ResNet; RINE needs a ViT, whose blocks have a CLS token: say ViT-L-14")
    vision.pop("timm_model_pretrained", None)  # ImageNet's weights are none of CLIP's
    source = get_pretrained_cfg(config.model, config.pretrained) or {}
    norm = {key: tuple(source[key]) for key in ("mean", "std") if source.get(key)}
    return Tower(config.model, vision, known["embed_dim"], bool(known.get("quick_gelu", False)), **norm)


def _activation(config: EncoderConfig, tower: Tower, openai: bool, file: str) -> Tower:
    """The tower with the activation that its weights were trained with; open_clip only warns where the two differ."""
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
            f"{file} seems to hold OpenAI's weights in open_clip's form, which need QuickGELU and do not say so: "
            f"name the model {tower.model + '-quickgelu'!r}, or take OpenAI's own .pt file; if they are not OpenAI's, "
            "rename the file"
        )
    return tower


def construct(tower: Tower, empty: bool = False) -> nn.Module:
    """Build open_clip's image tower; `empty` without storage, for weights that come from a file."""
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    timm = "timm_model_name" in tower.vision
    before = logging.root.level
    try:
        with torch.device("meta" if empty and not timm else "cpu"):
            module = _build_vision_tower(tower.embed_dim, CLIPVisionCfg(**tower.vision), quick_gelu=tower.quick_gelu)
    finally:
        logging.root.setLevel(before)
    _check_tokens(module, tower.model)
    return module.eval()


def _check_tokens(module: Any, name: str) -> None:
    """Raise where there is no CLS token to take, or no norm between a block's attention and its MLP."""
    trunk = getattr(module, "trunk", module)
    blocks = block_list(trunk)
    prefix = getattr(trunk, "num_prefix_tokens", 1 if hasattr(trunk, "class_embedding") else 0)
    pre_norm = all(
        "PostNorm" not in type(block).__name__ and (hasattr(block, "norm2") or hasattr(block, "ln_2"))
        for block in blocks
    )
    has_cls = hasattr(trunk, "class_embedding") or getattr(trunk, "cls_token", None) is not None
    if not blocks or not prefix or not has_cls or not pre_norm:
        raise ValueError(
            f"the image tower of {name!r} ({type(trunk).__name__}) is no ViT with a CLS token in every block, "
            "which RINE needs; ViT-L-14 and ViT-B-32 are the paper's"
        )
