"""Trained heads as files that say what they are: safetensors with all that is known of a model in the header.

The header's entry `rine` is JSON: the head's shape under `head`, and `meta`, which has these keys:

- `name`; `classes`, those trained on; `training`, the run's columns in the scores table; `transform`: `crop`;
- `encoder`: `name`, `model`, `pretrained`, `seed` as in the params file, and `weights`, their digest or null;
- where there are such: `pictures` (number), `sources` (of synthetic ones), `profile` and `about` (of the study),
  `choice` (`rule`, its `words`, `acc`, `ap`), `calibration` (as `rine.scores.calibration` has it), `calibrated` (on
  what), `source` (of an imported one). `rine.models.seen` adds digests of pictures.

The reference's own files are pickles: see `rine.detector.published`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from rine.encoder.config import EncoderConfig, of_entry
from rine.files import write_whole
from rine.heads import Head, HeadConfig, make_head
from rine.models import seen
from rine.models.card import model_card
from rine.models.meta import Meta
from rine.params_errors import explained
from rine.scores.calibration import Calibration

__all__ = ["CheckpointError", "Stored", "fill", "load", "model_card", "save"]

FORMAT = 1
_HEAD = "head"
_MEAN_TOKENS = "mean_tokens"


class CheckpointError(ValueError):
    """A file that is no checkpoint of this project, or not a whole one; the message says what is wrong."""


@dataclass(frozen=True)
class Stored:
    """A checkpoint as it was read. Also a pair: `head, meta = load(path)`."""

    head: Head
    meta: dict[str, Any]
    mean_tokens: Tensor | None = None  # (L, D), of the training pictures
    digests: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of pictures: training, calibration

    def __iter__(self) -> Iterator[Any]:
        return iter((self.head, self.meta))

    @property
    def name(self) -> str:
        return self.meta["name"]

    @property
    def encoder_config(self) -> EncoderConfig:
        """The encoder that the head was trained on, as `rine.encoder.load` takes it."""
        return of_entry(self.meta["encoder"])

    @property
    def weights_digest(self) -> str | None:
        """Digest of the encoder's weights; None where they were not at hand when the model was imported."""
        return self.meta["encoder"].get("weights")

    @property
    def calibration(self) -> Calibration:
        """The calibration; an empty one that says so where there is none."""
        stored = self.meta.get("calibration")
        return Calibration(**stored) if stored else Calibration(reason="the model was stored without a calibration")


def save(
    path: Path,
    head: Head,
    meta: Mapping[str, Any],
    mean_tokens: Tensor | None = None,
    digests: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """Write a head as safetensors, and its model card beside it (`.md`): whole files, always the same bytes.

    `digests` name pictures that it has seen, for `training` or `calibration`. Raises `CheckpointError` where `meta`
    lacks a key, has an unknown one or holds what is not plain data.
    """
    try:
        plain = json.loads(json.dumps(meta, default=_plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: meta is not plain data: {error}") from error
    _check(plain, str(path))
    header = {"format": FORMAT, _HEAD: asdict(head.config), "meta": plain}
    tensors = {name: value.detach().cpu().float().contiguous() for name, value in head.state_dict().items()}
    if mean_tokens is not None:
        tensors[_MEAN_TOKENS] = mean_tokens.detach().cpu().float().contiguous()
    tensors |= seen.tensors(digests or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, to_bytes(tensors, {"rine": json.dumps(header, sort_keys=True)}))
    write_whole(path.with_suffix(".md"), model_card({**plain, _HEAD: asdict(head.config)}).encode())


def load(path: Path | str) -> Stored:
    """Read a checkpoint, strictly; the head is on the CPU, in evaluation mode. Nothing in the file is run.

    `meta` also has `head`, the head's shape. Raises `CheckpointError` for any other file, or one not whole.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()} if "rine" in metadata else {}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no model file of this project: {_kind(path)} ({error})") from error
    if "rine" not in metadata:
        raise CheckpointError(f"{path} holds another network: a safetensors file without the header entry `rine`")
    config, meta = _header(metadata["rine"], path)
    mean = tensors.pop(_MEAN_TOKENS, None)
    if mean is not None and mean.shape != (expected := (config.n_blocks, config.width)):
        raise CheckpointError(f"{path}: {_MEAN_TOKENS} is {tuple(mean.shape)}, expected {expected}")
    digests = seen.take(tensors)
    head = fill(config, tensors, str(path))
    return Stored(head, meta | {_HEAD: asdict(config)}, mean, digests)


def fill(config: HeadConfig, tensors: Mapping[str, Tensor], origin: str) -> Head:
    """A head of that shape with these weights; raises `CheckpointError` that lists all that does not fit."""
    with torch.device("meta"):  # shapes alone: a file that names a huge one takes no memory
        head = make_head(config)
    expected = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    wrong = [f"lacks {name} {shape}" for name, shape in expected.items() if name not in tensors]
    wrong += [f"has {name}, which is unknown" for name in tensors if name not in expected]
    for name in expected.keys() & tensors.keys():
        value = tensors[name]
        if tuple(value.shape) != expected[name]:
            wrong.append(f"{name} is {tuple(value.shape)}, expected {expected[name]}")
        elif not value.is_floating_point() or not torch.isfinite(value).all():
            wrong.append(f"{name} holds what is no finite number")
    if wrong:
        raise CheckpointError(f"{origin} does not fit a head of q {config.q}, P {config.proj_dim}: {_listed(wrong)}")
    head.load_state_dict({name: value.float().clone() for name, value in tensors.items()}, assign=True)
    return head.eval()


def _check(meta: Mapping[str, Any], origin: str) -> None:
    try:
        TypeAdapter(Meta).validate_python(meta)
    except ValidationError as error:
        raise CheckpointError(f"{origin}: meta: {_listed(explained(error.errors(), Meta))}") from error


def _header(text: str, path: Path) -> tuple[HeadConfig, dict[str, Any]]:
    try:
        header = json.loads(text)
        if header["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {header['format']!r}; this version reads {FORMAT}")
        config, meta = HeadConfig(**header[_HEAD]), header["meta"]
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its header cannot be read: {error!r}") from error
    except ValueError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: its header is impossible: {error}") from error
    _check(meta, str(path))
    return config, meta


def _kind(path: Path) -> str:
    """What a file that is no safetensors seems to be."""
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" or start[:1] == b"\x80":
        return "a PyTorch file, whose pickle is never run here; a published model becomes one by `rine import`"
    return "not safetensors, or damaged"


def _listed(wrong: list[str], most: int = 30) -> str:
    return "; ".join([*sorted(wrong)[:most], *([f"and {len(wrong) - most} more"] if len(wrong) > most else [])])


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__}")
