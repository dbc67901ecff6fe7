"""Where an encoder's weights come from: a file, a hub's cache or a download; and the activation that they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rine.encoder import tags
from rine.encoder.catalogue import Tower
from rine.encoder.config import EncoderConfig
from rine.encoder.reach import asked, said

_TIMMS = "model.safetensors"
_FREE = {"apache-2.0", "mit", "bsd-3-clause"}
_ELSEWHERE = (
    "(any place will do whose path is `pretrained` in params.yaml, or of a model from elsewhere in "
    "`rine import --pretrained PATH`)"
)


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit; the message says what to do."""


@dataclass(frozen=True)
class Way:
    """A way to a file of weights: whom to ask, how to fetch it, and what a person would do."""

    address: str
    fetch: Callable[[], str]
    words: str


def require(config: EncoderConfig) -> None:
    """Say that an entry's weights are not on this machine and nobody can be asked for them, as soon as it is known.

    Nothing is imported but what knows where they lie: of timm's models that is timm, of open_clip's with other weights
    than OpenAI's a file of it that imports PyTorch. Raises `WeightsError`; a tag that there is not is for
    `catalogue.look_up` to refuse.
    """
    if config.file:
        _named(config, config.file)
    if not config.tag or on_this_machine(config, at_once=True):
        return
    timms = config.catalogue == "timm"
    answers = asked([_hub()] if timms else [way.address for way in _ways(config)])  # while timm is imported
    if (timms and on_this_machine(config)) or not (ways := _ways(config)):
        return
    if len(silent := answers()) == len(ways):
        raise _lacking(config, ways, silent)


def locate(config: EncoderConfig) -> Path:
    """The file that holds an entry's weights, downloaded where it has to be.

    Raises `WeightsError` that says which file to get, how large it is and under which licence, and where to put it.
    """
    if config.file:
        return _named(config, config.file)
    return on_this_machine(config) or _fetched(config, _ways(config))


def on_this_machine(config: EncoderConfig, at_once: bool = False) -> Path | None:
    """The file where it lies already, in a cache of a hub's or by its own path; None where it does not.

    With `at_once`, one of timm's is looked for where most of them lie: timm, which knows better, is not asked.
    """
    if config.file:
        return config.file if config.file.is_file() else None
    model, tag = str(config.model), config.tag
    if not tag:
        return None
    if config.catalogue == "timm":
        if at_once:
            return _cached(f"timm/{model}.{tag}", [_TIMMS])
        timms = tags.timm_tag(model, tag)
        return _cached(timms.hf_hub_id, [timms.hf_hub_filename or _TIMMS]) if timms else None
    record = tags.open_clip_tag(model, tag)
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


def _ways(config: EncoderConfig) -> list[Way]:
    """The ways to an entry's weights, in the order in which they are tried."""
    model, tag = str(config.model), config.tag
    if config.catalogue == "timm":
        return [_to_timms(model, found)] if (found := tags.timm_tag(model, tag)) else []
    record = tags.open_clip_tag(model, tag)
    url, hub = record.get("url", ""), record.get("hf_hub", "").strip("/")
    page = f"open_clip_model.safetensors of https://huggingface.co/{hub}"
    ways = [Way(_hub(), partial(tags.download, record, prefer_hf_hub=True), page)] if hub else []
    if url:
        put = f"{url} and put it at {_in_open_clips_cache(url)}"
        ways.append(Way(url, partial(tags.download, record, prefer_hf_hub=False), put))
    return ways


def _to_timms(model: str, record: Any) -> Way:
    file = record.hf_hub_filename or _TIMMS

    def fetch() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(record.hf_hub_id, file)

    free = "" if record.license in _FREE else ", which is not free: read it first"
    size = f"about {tags.timms_megabytes(model):,.0f} MB"
    page = f"{file} of https://huggingface.co/{record.hf_hub_id} (licence {record.license}{free}, {size})"
    return Way(_hub(), fetch, page)


def _fetched(config: EncoderConfig, ways: Sequence[Way]) -> Path:
    """What the first of these ways brings."""
    reasons = asked([way.address for way in ways])()
    for way in [each for each in ways if each.address not in reasons]:
        try:
            if file := way.fetch():
                return Path(file)
            reasons[way.address] = "nothing came"
        except Exception as error:  # a missing network shows itself in many ways
            reasons[way.address] = said(error)
    raise _lacking(config, ways, reasons)


def _lacking(config: EncoderConfig, ways: Sequence[Way], reasons: Mapping[str, str]) -> WeightsError:
    get = "\n  or ".join(way.words for way in reversed(ways))  # a plain address first
    return WeightsError(
        f"the weights {config.tag!r} of {str(config.model)!r} are not on this machine and cannot be downloaded "
        f"({[*reasons.values()][-1]}).\nGet {get}\n{_ELSEWHERE}."
    )


def _hub() -> str:
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


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
