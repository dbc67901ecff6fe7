"""The records that timm and open_clip have of published weights, by name and tag; asking imports the library."""

from __future__ import annotations

from typing import Any


def own_size(arch: str) -> int:
    """Pixels a side for which timm builds an architecture, unless told otherwise."""
    import timm

    record = timm.get_pretrained_cfg(arch)
    return max(record.input_size[1:]) if record else 224


def timm_tag(arch: str, tag: str) -> Any:
    """timm's record of an architecture's weights; None where it has none of that tag."""
    import timm

    return timm.get_pretrained_cfg(f"{arch}.{tag}", allow_unregistered=False) if tag in timm_tags(arch) else None


def timm_tags(arch: str) -> list[str]:
    """The tags of an architecture's weights in timm."""
    import timm

    names = timm.list_models(f"{arch}.*", pretrained=True)
    return [name.partition(".")[2] for name in names]


def open_clip_tag(name: str, tag: str) -> dict[str, Any]:
    """open_clip's record of a model's weights; empty where it has none. Imports open_clip."""
    from open_clip.pretrained import get_pretrained_cfg

    return get_pretrained_cfg(name, tag)


def open_clip_tags(name: str) -> list[str]:
    """The tags of a model's weights in open_clip. Imports open_clip."""
    from open_clip.pretrained import list_pretrained_tags_by_model

    return list_pretrained_tags_by_model(name)
