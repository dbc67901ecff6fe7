"""Turn a model that the authors of RINE published into a checkpoint of this project."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rine import checkpoint, published
from rine.heads import HeadConfig
from rine.params import EncoderConfig, TowerConfig


def import_(
    file: Path,
    out: Path | None = None,
    setting: str | None = None,
    encoder: EncoderConfig = published.ENCODER,
) -> str:
    """Write the checkpoint to `out` (default: beside the file) and its model card; return a line about it.

    `setting` says which of `published.PUBLISHED` the file is; nothing is guessed from its name. Raises
    `CheckpointError` for a file that is no published head, `ValueError` for an encoder that it does not fit.
    """
    head = published.read(file)
    described = asdict(encoder) | _weights(encoder, head.config)
    out = out or file.with_suffix(".safetensors")
    source = f"{file.name}, as published by the authors of RINE"
    checkpoint.save(out, head, published.meta_of(head, out.stem, described, setting, source))
    count = sum(parameter.numel() for parameter in head.parameters())
    said = setting or "its training classes are not stated: name them with --setting"
    return f"{out}: q {head.config.q}, P {head.config.proj_dim}, {count:,} parameters; {said}"


def _weights(encoder: EncoderConfig, head: HeadConfig) -> dict[str, Any]:
    """What is known of the encoder's weights without a network: `weights`, their digest, if in a file.

    Else None, and the SHA-256 of the file that open_clip would download, where its address bears it.
    """
    _check_shape(encoder, head)
    if encoder.pretrained == "random" or Path(encoder.pretrained).expanduser().is_file():
        from rine.encoder import load

        return {"weights": load(encoder, "cpu", "fp32").weights_digest}
    from open_clip.pretrained import get_pretrained_cfg

    address = (get_pretrained_cfg(str(encoder.model), encoder.pretrained) or {}).get("url", "")
    sha256 = re.findall(r"[0-9a-f]{64}", address)
    return {"weights": None} | ({"file_sha256": sha256[0]} if sha256 else {})


def _check_shape(encoder: EncoderConfig, head: HeadConfig) -> None:
    if isinstance(encoder.model, TowerConfig):
        shape = {"layers": encoder.model.layers, "width": encoder.model.width}
    else:
        from open_clip import get_model_config, list_models

        config = get_model_config(encoder.model)
        if config is None:
            raise ValueError(f"open_clip has no model {encoder.model!r}; choose from {list_models()}")
        shape = config["vision_cfg"]
    found = (shape.get("layers"), shape.get("width"))
    if found != (head.n_blocks, head.width):
        raise ValueError(
            f"the head was trained on an encoder of {head.n_blocks} blocks of width {head.width}; "
            f"{encoder.name} has {found[0]} of width {found[1]}"
        )
