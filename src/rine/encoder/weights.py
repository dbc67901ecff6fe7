"""Where an encoder's weights come from: a file, a hub's cache or a download; and the activation that they need."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from rine.encoder import tags
from rine.encoder.catalogue import Tower, look_up
from rine.encoder.config import EncoderConfig

_PATIENCE = 3.0  # seconds in which one of the places of weights has to answer at all
_FREE = {"apache-2.0", "mit", "bsd-3-clause"}
_ELSEWHERE = (
    "(any place will do whose path is `pretrained` in params.yaml, or of a model from elsewhere in "
    "`rine import --pretrained PATH`)"
)


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit; the message says what to do."""


def require(config: EncoderConfig) -> None:
    """Have an entry's weights on this machine, as `locate` does, where that can be told without PyTorch's seconds.

    It can of a file and of OpenAI's. Where others lie is known to timm and open_clip alone, which import PyTorch: those
    are looked for when they are read.
    """
    if config.file:
        _named(config, config.file)
    elif config.catalogue == "open_clip" and tags.openais(str(config.model), config.tag):
        locate(look_up(config), config)


def locate(tower: Tower, config: EncoderConfig, megabytes: float | None = None) -> Path:
    """The file that holds an entry's weights, downloaded where it has to be.

    Raises `WeightsError` that says which file to get, how large it is and under which licence, and where to put it.
    """
    if config.file:
        return _named(config, config.file)
    if here := on_this_machine(tower, config):
        return here
    if config.catalogue == "timm":
        return _from_timm(tower, config.tag, megabytes)
    return _from_open_clip(tower.model, config.tag, tags.open_clip_tag(tower.model, config.tag))


def on_this_machine(tower: Tower, config: EncoderConfig) -> Path | None:
    """The file where it lies already, in a cache of a hub's or by its own path; None where it does not."""
    if config.file:
        return config.file if config.file.is_file() else None
    if not (tag := config.tag):
        return None
    if config.catalogue == "timm":
        assert tower.arch is not None
        timms = tags.timm_tag(tower.arch, tag)
        return _cached(timms.hf_hub_id, [timms.hf_hub_filename or "model.safetensors"]) if timms else None
    record = tags.open_clip_tag(tower.model, tag)
    target = _in_open_clips_cache(record.get("url", ""))
    if target and target.is_file():
        return target
    repository, _, file = record.get("hf_hub", "").rpartition("/")
    return _cached(repository, [file] if file else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])


def with_its_activation(tower: Tower, config: EncoderConfig, file: Path, openai: bool) -> Tower:
    """A plain tower with the activation that its weights were trained with; open_clip only warns where the two differ.

    A tag's is known to the catalogue. Raises `WeightsError` for a file of weights that seem to be of the other.
    """
    assert tower.shape is not None
    if openai or config.tag == "openai":
        return replace(tower, shape=replace(tower.shape, quick_gelu=True))
    if config.file and not tower.shape.quick_gelu and "openai" in str(file.resolve()).lower():
        raise WeightsError(
            f"{file.resolve()} seems to hold OpenAI's weights in open_clip's form, which need QuickGELU and do not "
            f"say so: name the model {tower.model + '-quickgelu'!r}, or take OpenAI's own .pt file; if they are not "
            "OpenAI's, rename the file"
        )
    return tower


def _named(config: EncoderConfig, file: Path) -> Path:
    if not file.is_file():
        raise WeightsError(f"pretrained = {config.pretrained!r}: there is no such file. Put it there {_ELSEWHERE}.")
    return file


def _from_timm(tower: Tower, tag: str, megabytes: float | None) -> Path:
    assert tower.arch is not None
    record = tags.timm_tag(tower.arch, tag)
    file = record.hf_hub_filename or "model.safetensors"

    def fetch() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(record.hf_hub_id, file)

    size = f", about {megabytes:,.0f} MB" if megabytes else ""
    free = "" if record.license in _FREE else ", which is not free: read it first"
    what = f"{file} of https://huggingface.co/{record.hf_hub_id} (licence {record.license}{free}{size})"
    return _first({_hub(): fetch}, tag, tower.model, what)


def _from_open_clip(model: str, tag: str, record: dict[str, Any]) -> Path:
    """Fetch by open_clip's own means."""

    def fetch(prefer_hf_hub: bool) -> str:
        from open_clip.pretrained import download_pretrained  # with PyTorch: not before anybody answers

        return download_pretrained(record, prefer_hf_hub=prefer_hf_hub)

    url, hub = record.get("url", ""), record.get("hf_hub", "")
    ways = [f"{url} and put it at {_in_open_clips_cache(url)}"] if url else []
    if hub:
        ways.append(f"open_clip_model.safetensors of https://huggingface.co/{hub.strip('/')}")
    fetches = {address: partial(fetch, address != url) for address in (_hub(), url) if address}
    return _first(fetches, tag, model, "\n  or ".join(ways))


def _first(fetches: Mapping[str, Callable[[], str]], tag: str, model: str, what: str) -> Path:
    """What the first of these ways, each to an address, brings."""
    reasons = _silent(fetches)
    for address in [each for each in fetches if each not in reasons]:
        try:
            if file := fetches[address]():
                return Path(file)
            reasons[address] = "nothing came"
        except Exception as error:  # a missing network shows itself in many ways
            reasons[address] = _said(error)
    raise WeightsError(
        f"the weights {tag!r} of {model!r} are not on this machine and cannot be downloaded "
        f"({[*reasons.values()][-1]}).\nGet {what}\n{_ELSEWHERE}."
    )


def _silent(addresses: Iterable[str]) -> dict[str, str]:
    """Those of the addresses where nobody answers, and why; all are asked at once: downloaders try for a minute."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return dict.fromkeys(addresses, "HF_HUB_OFFLINE forbids it")
    reasons = dict.fromkeys(addresses, f"nobody answers within {_PATIENCE:g} seconds")

    def ask(address: str) -> None:
        try:
            _reach(address)
            del reasons[address]
        except OSError as error:
            reasons[address] = _said(error)

    # what looks up names keeps no time limit: nobody waits for such a thread, nor does the end of the process
    threads = [Thread(target=ask, args=(address,), daemon=True) for address in reasons]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _PATIENCE
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return dict(reasons)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0]


def _hub() -> str:
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


def _reach(address: str) -> None:
    """Raise `OSError` where an address, or the proxy on the way, does not answer."""
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 443)
    socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE).close()


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
