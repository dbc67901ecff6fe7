"""The records that timm and open_clip have of published weights, by name and tag; asking imports the library."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from rine.values import did_you_mean

_OPENAIS = "https://openaipublic.azureedge.net/clip/models"
# OpenAI's towers, the paper's, as open_clip has them: so that whether they are here, and where to get them, is known
# without importing open_clip
_OPENAI = {
    "ViT-B-32": {
        "url": f"{_OPENAIS}/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        "hf_hub": "timm/vit_base_patch32_clip_224.openai/",
    },
    "ViT-B-16": {
        "url": f"{_OPENAIS}/5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",
        "hf_hub": "timm/vit_base_patch16_clip_224.openai/",
    },
    "ViT-L-14": {
        "url": f"{_OPENAIS}/b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
        "hf_hub": "timm/vit_large_patch14_clip_224.openai/",
    },
    "ViT-L-14-336": {
        "url": f"{_OPENAIS}/3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
        "hf_hub": "timm/vit_large_patch14_clip_336.openai/",
    },
}


class UnknownTower(ValueError):
    """A name or setting that no catalogue has; the message says what there is."""


def of_open_clip(name: str, tag: str) -> dict[str, Any]:
    """open_clip's record of a model's weights, empty without a tag; raises `UnknownTower` for a tag that it has not."""
    if not tag:
        return {}
    return open_clip_tag(name, tag) or _no_tag("open_clip", name, tag, open_clip_tags(name))


def of_timm(arch: str, tag: str) -> Any:
    """timm's record of an architecture's weights, None without a tag; raises `UnknownTower` for one that it has not."""
    return (timm_tag(arch, tag) or _no_tag("timm", arch, tag, timm_tags(arch))) if tag else None


def _no_tag(whose: str, model: str, tag: str, there: list[str]) -> NoReturn:
    raise UnknownTower(
        f"pretrained = {tag!r} is no file here, and {whose} has no such weights for {model!r}; "
        f"allowed: random, a path to a file, or one of {there}{did_you_mean(tag, ['random', *there])}"
    )


def openais(name: str, tag: str) -> dict[str, str]:
    """Where OpenAI's weights of a model lie, as open_clip has it; empty of another's, or where there are none."""
    return _OPENAI.get(name.removesuffix("-quickgelu"), {}) if tag == "openai" else {}


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


def timms_megabytes(arch: str) -> float:
    """Of an architecture's weights in timm, as they are published: four bytes a number."""
    import timm
    import torch

    with torch.device("meta"):
        return sum(value.numel() for value in timm.create_model(arch).state_dict().values()) * 4e-6


def open_clip_tag(name: str, tag: str) -> dict[str, Any]:
    """open_clip's record of a model's weights; empty where it has none. Of others than OpenAI's it imports PyTorch."""
    return openais(name, tag) or _open_clips().get_pretrained_cfg(name, tag)


def open_clip_tags(name: str) -> list[str]:
    """The tags of a model's weights in open_clip. Imports PyTorch."""
    return _open_clips().list_pretrained_tags_by_model(name)


def download(record: dict[str, Any], prefer_hf_hub: bool) -> str:
    """The file of an open_clip's record, fetched by open_clip's own means."""
    return _open_clips().download_pretrained(record, prefer_hf_hub=prefer_hf_hub)


@cache
def open_clip_folder() -> Path:
    """Where open_clip is installed."""
    package = importlib.util.find_spec("open_clip")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent


@cache
def _open_clips() -> ModuleType:
    """open_clip's module of published weights, without the package, whose import takes seconds (torchvision, timm)."""
    alone = ModuleType("rine_open_clip")
    alone.__path__ = [str(open_clip_folder())]
    sys.modules[alone.__name__] = alone
    return importlib.import_module(f"{alone.__name__}.pretrained")
