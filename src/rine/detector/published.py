"""The models that the authors of RINE published (`ckpt/model_*_trainable.pth` of their code) as heads."""

from __future__ import annotations

import pickle
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rine.encoder import tags
from rine.encoder.config import EncoderConfig
from rine.encoder.facts import token_shape
from rine.heads import Head, HeadConfig
from rine.models.checkpoint import CheckpointError, fill, save


@dataclass(frozen=True)
class Published:
    """What is known of a published model; scores in percent, over the 20 test sets or Synthbuster's nine."""

    training_set: str
    classes: tuple[str, ...]
    xi: float
    q: int
    proj_dim: int
    epochs: int
    acc: float
    ap: float


PUBLISHED = {
    "one_class": Published("progan", ("horse",), 0.1, 4, 1024, 1, 90.3, 98.6),
    "two_class": Published("progan", ("chair", "horse"), 0.2, 4, 128, 1, 87.7, 98.7),
    "four_class": Published("progan", ("car", "cat", "chair", "horse"), 0.2, 2, 1024, 1, 91.5, 98.8),
    "ldm": Published("ldm", (), 0.4, 4, 1024, 5, 87.4, 90.5),
}
ENCODER = EncoderConfig(name="ViT-L/14", model="ViT-L-14", pretrained="openai", seed=0)
# how every one of them was trained (section 4 of the paper)
BATCH_SIZE, LEARNING_RATE, CROP = 128, 0.001, 224
# how they were chosen, in the words that the selection rule `paper` has for model cards
PAPER_RULE = "highest mean accuracy + AP over the test sets, so its test scores are optimistic"


def convert(
    file: Path,
    out: Path | None = None,
    setting: str | None = None,
    encoder: EncoderConfig = ENCODER,
) -> str:
    """Write the checkpoint to `out` (default: beside the file) and its model card; return a line about it.

    `setting` says which of `PUBLISHED` the file is; nothing is guessed from its name. Raises
    `CheckpointError` for a file that is no published head, `ValueError` for an encoder that it does not fit.
    """
    head = read(file)
    described = encoder.entry() | _weights(encoder, head.config)
    out = out or file.with_suffix(".safetensors")
    source = f"{file.name}, as published by the authors of RINE"
    save(out, head, meta_of(head, out.stem, described, setting, source))
    count = sum(parameter.numel() for parameter in head.parameters())
    said = setting or "its training classes are not stated: name them with --setting"
    return f"{out}: q {head.config.q}, P {head.config.proj_dim}, {count:,} parameters; {said}"


def read(path: Path) -> Head:
    """Read a published file: tensors alone, the shape found from theirs, every name and shape checked.

    Raises `CheckpointError` for a pickle that would run code, another network's file, or one that does not
    fit; it lists what is missing, unknown or of another shape. `OSError` where the file cannot be read.
    """
    state = _tensors(path)
    return fill(shape_of(state, str(path)), state, str(path))


def shape_of(state: Mapping[str, Tensor], origin: str) -> HeadConfig:
    """The head's shape, from the names and shapes of its tensors; raises where they are no head's."""
    places = [int(match[1]) for name in state if (match := re.fullmatch(r"proj[12]\.(\d+)\.weight", name))]
    widths = Counter(len(state[name]) for name in state if name.endswith(".weight") and state[name].ndim == 2)
    widths.pop(1, None)  # the last layer's
    if not places or not widths:
        names = ", ".join(list(state)[:5]) or "nothing"
        raise CheckpointError(f"{origin} is no RINE head: proj1.*.weight and proj2.*.weight are not among {names}")
    first, alpha = state.get("proj1.1.weight"), state.get("alpha")
    # of a tensor that is missing any size will do: it is then listed as missing
    return HeadConfig(
        q=(max(places) - 1) // 3 + 1,
        proj_dim=widths.most_common(1)[0][0],
        n_blocks=alpha.shape[1] if alpha is not None and alpha.ndim == 3 else 1,
        width=first.shape[1] if first is not None and first.ndim == 2 else 1,
    )


def meta_of(head: Head, name: str, encoder: Mapping[str, Any], setting: str | None, source: str) -> dict[str, Any]:
    """The checkpoint's `meta` of a published head; `setting` names which it is, None where nobody says.

    Nothing is guessed from the file's name. Raises `CheckpointError` where the shape is not the setting's.
    """
    shape = head.config
    training: dict[str, Any] = {"backbone": encoder["name"], "q": shape.q, "d": shape.proj_dim}
    meta: dict[str, Any] = {
        "name": name,
        "classes": [],
        "encoder": dict(encoder),
        "transform": {"crop": CROP},
    }
    meta |= {"training": training, "source": source}
    if setting is None:
        return meta
    if setting not in PUBLISHED:
        raise CheckpointError(f"setting = {setting!r}; choose from {sorted(PUBLISHED)}")
    stated = PUBLISHED[setting]
    if (shape.q, shape.proj_dim) != (stated.q, stated.proj_dim):
        raise CheckpointError(
            f"{source} has q {shape.q}, P {shape.proj_dim}; "
            f"the published {setting} model has q {stated.q}, P {stated.proj_dim}"
        )
    training |= {
        "training_set": stated.training_set,
        "n_classes": len(stated.classes) or None,
        "classes": " ".join(stated.classes),
        "xi": stated.xi,
        "batch_size": BATCH_SIZE,
        "lr": LEARNING_RATE,
        "epochs": stated.epochs,
        "variant": "",
        "fraction": None,
        "seed": 0,
    }
    choice = {"rule": "paper", "words": PAPER_RULE, "acc": stated.acc / 100, "ap": stated.ap / 100}
    return meta | {"classes": list(stated.classes), "choice": choice}


def _weights(encoder: EncoderConfig, head: HeadConfig) -> dict[str, Any]:
    """What is known of the encoder's weights without a network: `weights`, their digest, if in a file.

    Else None, and the SHA-256 of the file that open_clip would download, where its address bears it.
    """
    _check_shape(encoder, head)
    if not encoder.tag:
        from rine.encoder import load

        return {"weights": load(encoder, "cpu", "fp32").weights_digest}
    address = tags.open_clip_tag(str(encoder.model), encoder.tag).get("url", "")
    sha256 = re.findall(r"[0-9a-f]{64}", address)
    return {"weights": None} | ({"file_sha256": sha256[0]} if sha256 else {})


def _check_shape(encoder: EncoderConfig, head: HeadConfig) -> None:
    n_blocks, width = token_shape(encoder)
    if (n_blocks, width) != (head.n_blocks, head.width):
        raise ValueError(
            f"the head was trained on an encoder of {head.n_blocks} blocks of width {head.width}; "
            f"{encoder.name} has {n_blocks} of width {width}"
        )


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's words on other kinds of files; ours follow
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it holds more than tensors, and a pickle is never allowed to run code here "
            f"({str(error).strip().splitlines()[0]})"
        ) from error
    except Exception as error:  # a file of any other kind can fail in any way
        raise CheckpointError(f"{path} is no PyTorch file, or damaged: {type(error).__name__}: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is no state dict: it holds {_content(state)}")
    return {str(name): value.detach() for name, value in state.items()}


def _content(state: Any) -> str:
    if not isinstance(state, dict):
        return f"a {type(state).__name__}"
    others = [f"{name} ({type(value).__name__})" for name, value in state.items() if not isinstance(value, Tensor)]
    return f"things that are no tensors: {', '.join(others[:5])}"
