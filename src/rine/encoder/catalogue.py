"""What an encoder's entry stands for: which tower, of what shape, for what input; found without building it.

open_clip's catalogue is read from its files: importing it takes seconds, and its modules are not needed. Its towers are
plain ViTs, which are ours to compute, or towers of timm's under other names.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rine.encoder import tags
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.encoder.tags import UnknownTower

Colour = tuple[float, ...]
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Of open_clip's settings of a plain tower, those that no token depends on, or that stand in `Shape`
_SHAPE = {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio", "ls_init_value", "no_ln_pre"}
_AFTER_THE_BLOCKS = {
    "attentional_pool", "attn_pooler_heads", "attn_pooler_queries", "final_ln_after_pool", "output_tokens", "pool_type",
    "pos_embed_type",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What decides a plain ViT's parameters and arithmetic."""

    image_size: int
    patch_size: int
    width: int
    layers: int
    head_width: int
    mlp_ratio: float = 4.0
    quick_gelu: bool = False
    ln_pre: bool = True
    layer_scale: float | None = None  # what it starts from; None: there is none
    cls: bool = True
    registers: int = 0


@dataclass(frozen=True)
class Tower:
    """A tower and its input: an own shape of a plain ViT, or the name of an architecture of timm's."""

    model: str  # as the entry names it; "own" for a shape
    arch: str | None  # timm's name; None: a plain ViT
    shape: Shape | None
    image_size: int
    mean: Colour  # of pixels in 0..1
    std: Colour
    licence: str = ""


def look_up(config: EncoderConfig) -> Tower:
    """The tower that an entry names; raises `UnknownTower` with what there is and the nearest name.

    Weights that it names by a path are not looked for: where their tokens are known already, no one needs them.
    """
    if isinstance(config.model, TowerConfig):
        if config.tag:
            raise UnknownTower(f"pretrained = {config.pretrained!r}; of an own tower: random, or a file")
        return _own(config.model)
    if config.catalogue == "timm":
        return _of_timm(config.model, config.model, config)
    return _of_open_clip(config.model, config)


def _own(model: TowerConfig) -> Tower:
    return Tower("own", None, Shape(**asdict(model)), model.image_size, *_CLIP)


def _of_open_clip(name: str, config: EncoderConfig) -> Tower:
    if name not in (names := open_clip_names()):
        raise UnknownTower(f"open_clip has no model {name!r}; {nearest(name, names)}")
    known = json.loads((_open_clip_models() / f"{name}.json").read_text(encoding="utf-8"))
    vision = known["vision_cfg"]
    if "timm_model_name" in vision:
        return _of_timm(name, vision["timm_model_name"], config)
    if not isinstance(vision["layers"], int):
        raise UnknownTower(f"{name!r} is a ResNet; RINE needs a ViT, whose blocks have a CLS token: say ViT-L-14")
    if other := sorted(vision.keys() - _SHAPE - _AFTER_THE_BLOCKS):
        raise UnknownTower(f"{name!r} has blocks of another make ({', '.join(other)}); ViT-L-14 has CLIP's")
    weights, size = tags.of_open_clip(name, config.tag), vision["image_size"]
    if config.image_size not in {None, size}:
        raise UnknownTower(
            f"image_size = {config.image_size}: {name!r} takes {size} pixels a side; towers of source timm can be "
            "built for others"
        )
    shape = Shape(
        image_size=size,
        patch_size=vision["patch_size"],
        width=vision["width"],
        layers=vision["layers"],
        head_width=vision.get("head_width", 64),
        mlp_ratio=vision.get("mlp_ratio", 4.0),
        quick_gelu=bool(known.get("quick_gelu", False)) or config.pretrained == "openai",
        ln_pre=not vision.get("no_ln_pre", False),
        layer_scale=vision.get("ls_init_value"),
    )
    if weights.get("quick_gelu") and not shape.quick_gelu:  # of which open_clip only warns
        right = f"{name}-quickgelu"
        raise UnknownTower(f"{config.tag!r} was trained with QuickGELU, {name!r} is not: name the model {right!r}")
    # of random weights and of files that have no tag: the architecture's
    mean, std = _IMAGENET if "CLIPA" in name else _CLIP
    return Tower(name, None, shape, size, tuple(weights.get("mean", mean)), tuple(weights.get("std", std)))


def _of_timm(model: str, arch: str, config: EncoderConfig) -> Tower:
    import timm

    stem, _, tag = arch.partition(".")
    if not timm.is_model(stem):
        raise UnknownTower(f"timm has no model {stem!r}; {nearest(stem, timm.list_models())}")
    if tag:
        raise UnknownTower(f"model = {arch!r}: say model: {stem} and pretrained: {tag}")
    own = config.catalogue == "timm"
    weights = {} if own else tags.of_open_clip(model, config.tag)
    about = tags.of_timm(arch, config.tag if own else "") or timm.get_pretrained_cfg(arch)
    if not about:
        raise UnknownTower(f"timm does not say what input {arch!r} takes; name one that has published weights")
    quick = arch.replace("_clip_", "_clip_quickgelu_")
    if own and config.tag and quick != arch and config.tag in tags.timm_tags(quick):
        raise UnknownTower(f"{config.tag!r} was trained with QuickGELU, {arch!r} is not: name the model {quick!r}")
    licence = about.license or ""
    mean, std = tuple(weights.get("mean", about.mean)), tuple(weights.get("std", about.std))
    size = config.image_size or _open_clip_size(model) or tags.own_size(arch)
    return Tower(model, arch, None, size, mean, std, licence)


def _open_clip_size(name: str) -> int | None:
    """Pixels a side of open_clip's entry of that name, if it has one: timm's may be of another size."""
    file = _open_clip_models() / f"{name}.json"
    size = json.loads(file.read_text(encoding="utf-8"))["vision_cfg"].get("image_size") if file.is_file() else None
    return size if isinstance(size, int) else None


def open_clip_names() -> list[str]:
    """All names in open_clip's catalogue."""
    return sorted(file.stem for file in _open_clip_models().glob("*.json"))


def nearest(name: str, names: Iterable[str]) -> str:
    """Words on the names that are most like this one."""
    by_key = {_plain(each): each for each in names}
    close = difflib.get_close_matches(_plain(name), by_key, n=5, cutoff=0.5)
    if not close:
        return f"choose from {sorted(by_key.values())}"
    return f"did you mean {by_key[close[0]]!r}?" + (
        f" Near it: {', '.join(by_key[key] for key in close[1:])}" if close[1:] else ""
    )


def _plain(name: str) -> str:
    return name.lower().replace("/", "-").replace("_", "-")


def _open_clip_models() -> Path:
    return tags.open_clip_folder() / "model_configs"
