"""Where an encoder's weights come from: a file, a hub's cache or a download; and the activation that they need."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from rine.encoder import catalogue, tags
from rine.encoder.catalogue import Tower
from rine.encoder.config import EncoderConfig
from rine.encoder.files import WeightsError
from rine.values import did_you_mean

# OpenAI's towers, the paper's: their file in ~/.cache/clip and their place on the hub, as open_clip has them; so that
# what lies on this machine is found without importing open_clip
_OPENAI = {
    "ViT-B-32": {"url": "ViT-B-32.pt", "hf_hub": "timm/vit_base_patch32_clip_224.openai/"},
    "ViT-B-16": {"url": "ViT-B-16.pt", "hf_hub": "timm/vit_base_patch16_clip_224.openai/"},
    "ViT-L-14": {"url": "ViT-L-14.pt", "hf_hub": "timm/vit_large_patch14_clip_224.openai/"},
    "ViT-L-14-336": {"url": "ViT-L-14-336px.pt", "hf_hub": "timm/vit_large_patch14_clip_336.openai/"},
}
_PATIENCE = 2.0  # seconds that a place of weights may take to answer at all
_FREE = {"apache-2.0", "mit", "bsd-3-clause"}


def locate(tower: Tower, config: EncoderConfig, megabytes: float | None = None) -> Path:
    """The file that holds an entry's weights, downloaded where it has to be.

    Raises `WeightsError` that says which file to get, how large it is and under which licence, and where to put it.
    """
    if catalogue.is_file(config.pretrained):
        return Path(config.pretrained).expanduser()
    if config.catalogue == "own":
        raise WeightsError(f"pretrained = {config.pretrained!r} is no file here; of an own tower: random, or a file")
    if here := on_this_machine(tower, config):
        return here
    if config.catalogue == "timm":
        return _from_timm(tower, config.pretrained, megabytes)
    record = tags.open_clip_tag(tower.model, config.pretrained)
    if not record:
        raise _no_tag("open_clip", tower.model, config.pretrained, tags.open_clip_tags(tower.model))
    return _from_open_clip(tower.model, config.pretrained, record)


def on_this_machine(tower: Tower, config: EncoderConfig) -> Path | None:
    """The file where it lies already, in a cache of a hub's or by its own path; None where it does not."""
    tag = config.pretrained
    if catalogue.is_file(tag):
        return Path(tag).expanduser()
    if tag == "random" or config.catalogue == "own":
        return None
    if config.catalogue == "timm":
        assert tower.arch is not None
        timms = tags.timm_tag(tower.arch, tag)
        return _cached(timms.hf_hub_id, [timms.hf_hub_filename or "model.safetensors"]) if timms else None
    openais = _OPENAI.get(tower.model.removesuffix("-quickgelu")) if tag == "openai" else None
    record = openais or tags.open_clip_tag(tower.model, tag)
    target = _in_open_clips_cache(record.get("url", ""))
    if target and target.is_file():
        return target
    repository, _, file = record.get("hf_hub", "").rpartition("/")
    return _cached(repository, [file] if file else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])


def with_its_activation(tower: Tower, config: EncoderConfig, file: Path, openai: bool) -> Tower:
    """The tower with the activation that its weights were trained with; open_clip only warns where the two differ.

    Raises `WeightsError` for weights of the other activation, or that seem to be.
    """
    model, pretrained = tower.model, config.pretrained
    if tower.shape is None:
        quick = (tower.arch or "").replace("_clip_", "_clip_quickgelu_")
        if quick != tower.arch and config.catalogue == "timm" and pretrained in tags.timm_tags(quick):
            raise WeightsError(f"{pretrained!r} was trained with QuickGELU, {model!r} is not: name the model {quick!r}")
        return tower
    if openai or pretrained == "openai":
        return replace(tower, shape=replace(tower.shape, quick_gelu=True))
    here = tower.shape.quick_gelu
    if catalogue.is_file(pretrained) or config.catalogue == "own":
        if not here and "openai" in str(file.resolve()).lower():
            raise WeightsError(
                f"{file.resolve()} seems to hold OpenAI's weights in open_clip's form, which need QuickGELU and do not "
                f"say so: name the model {model + '-quickgelu'!r}, or take OpenAI's own .pt file; if they are not "
                "OpenAI's, rename the file"
            )
    elif bool(tags.open_clip_tag(model, pretrained).get("quick_gelu", False)) != here:
        plain = model.removesuffix("-quickgelu")
        right = plain if here else f"{plain}-quickgelu"
        raise WeightsError(
            f"{pretrained!r} was trained with {'GELU' if here else 'QuickGELU'}, {model!r} is not: "
            f"name the model {right!r}"
        )
    return tower


def _from_timm(tower: Tower, tag: str, megabytes: float | None) -> Path:
    assert tower.arch is not None
    record = tags.timm_tag(tower.arch, tag)
    if record is None:
        raise _no_tag("timm", tower.arch, tag, tags.timm_tags(tower.arch))
    file = record.hf_hub_filename or "model.safetensors"

    def fetch() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(record.hf_hub_id, file)

    size = f", about {megabytes:,.0f} MB" if megabytes else ""
    free = "" if record.license in _FREE else ", which is not free: read it first"
    what = f"{file} of https://huggingface.co/{record.hf_hub_id} (licence {record.license}{free}{size})"
    return _first([(_hub(), fetch)], tag, tower.model, what)


def _from_open_clip(model: str, tag: str, record: dict[str, Any]) -> Path:
    """Fetch by open_clip's own means."""
    from open_clip.pretrained import download_pretrained

    url, hub = record.get("url", ""), record.get("hf_hub", "")
    ways = [f"{url} and put it at {_in_open_clips_cache(url)}"] if url else []
    if hub:
        ways.append(f"open_clip_model.safetensors of https://huggingface.co/{hub.strip('/')}")
    fetches = [
        (address, partial(download_pretrained, record, prefer_hf_hub=address != url)) for address in (_hub(), url)
    ]
    return _first([(address, fetch) for address, fetch in fetches if address], tag, model, "\n  or ".join(ways))


def _first(fetches: Sequence[tuple[str, Callable[[], str]]], tag: str, model: str, what: str) -> Path:
    """What the first of these ways, each to an address, brings."""
    reasons = []
    for address, fetch in fetches:
        try:
            _reach(address)
            file = fetch()
        except Exception as error:  # a missing network shows itself in many ways
            reasons.append(f"{type(error).__name__}: {error}".split("\n")[0])
            continue
        if file:
            return Path(file)
    raise WeightsError(
        f"the weights {tag!r} of {model!r} are not on this machine and cannot be downloaded ({reasons[-1]}).\n"
        f"Get {what}\n(any place will do whose path is `pretrained` in params.yaml, or of a model from elsewhere in "
        "`rine import --pretrained PATH`)."
    )


def _hub() -> str:
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


def _reach(address: str) -> None:
    """Raise `OSError` where an address, or the proxy on the way, does not answer: downloaders try for a minute."""
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 443)
    socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE).close()


def _no_tag(whose: str, model: str, tag: str, there: list[str]) -> WeightsError:
    return WeightsError(
        f"pretrained = {tag!r} is no file here, and {whose} has no such weights for {model!r}; "
        f"allowed: random, a path to a file, or one of {there}{did_you_mean(tag, ['random', *there])}"
    )


def _in_open_clips_cache(url: str) -> Path | None:
    """Where open_clip puts what it downloads from an address."""
    return Path.home() / ".cache" / "clip" / url.rsplit("/", 1)[-1] if url else None


def _cached(repository: str | None, files: Sequence[str]) -> Path | None:
    """The first of these files that is in the hub's cache on this machine."""
    if not repository:
        return None
    from huggingface_hub import try_to_load_from_cache

    paths = (try_to_load_from_cache(repository, file) for file in files)
    return next((Path(path) for path in paths if isinstance(path, str)), None)
