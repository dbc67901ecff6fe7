"""A plain ViT image tower in a file of its own, so that a verdict needs no import of open_clip (2 s of a command's 4).

open_clip builds every tower once (`rine.encoder`); what the encoder uses of it is kept under its config's digest and
read back into bare modules, which have open_clip's names and no arithmetic: that is the encoder's. Kept only for
seeded random weights, which are in no other file; a copy of OpenAI's would be a gigabyte for a second saved.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rine import encoder as encoders
from rine.device import choose
from rine.encoder import Encoder, building, vit, weights
from rine.encoder.building import Tower
from rine.params import EncoderConfig

LARGEST = 256 * 2**20  # bytes


def folder() -> Path:
    """Where towers are kept: $RINE_CACHE, else `rine` in the user's cache folder."""
    own = os.environ.get("RINE_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rine"


def load(config: EncoderConfig, digest: str | None, device: str = "auto", precision: str = "auto") -> Encoder:
    """The encoder of a config: from its kept tower where there is one, else built, then kept.

    Its weights must have the digest; None takes whatever weights the config names: the study's own, or those that a
    published model was trained with, which were not at hand to be counted. Raises what `encoder.load` raises, and
    `ValueError` for other weights than the digest's.
    """
    if config.pretrained != "random":
        return _checked(encoders.load(config, device, precision), digest)
    path = folder() / f"{_key(config)}.safetensors"
    if path.is_file():
        kept = _read(path, config, device, precision)
        if kept is not None and digest in {None, kept.weights_digest}:
            return kept
    built = _checked(encoders.load(config, device, precision), digest)
    _keep(path, config)
    return built


def _checked(built: Encoder, digest: str | None) -> Encoder:
    if digest not in {None, built.weights_digest}:
        raise ValueError(
            f"the weights {built.config.pretrained!r} of {built.config.name} here are not those that the model was "
            f"trained with (digest {built.weights_digest}, expected {digest})"
        )
    return built


def _key(config: EncoderConfig) -> str:
    """What decides a tower with random weights: its shape, the seed, and who draws them."""
    model = config.model if isinstance(config.model, str) else asdict(config.model)
    made_by = [version("torch"), version("open_clip_torch")]
    return hashlib.blake2b(json.dumps([model, config.seed, made_by]).encode(), digest_size=16).hexdigest()


def _tower(state: dict[str, Tensor], shape: dict[str, Any]) -> Any:
    """A tree of modules with open_clip's names that holds the tensors and what the encoder reads beside them.

    Made of bare modules: building real ones to throw their initial weights away costs more than all the rest.
    """
    root: Any = nn.Module()
    root.plain, root.image_size = True, tuple(shape["image_size"])
    # by number, not by text: blocks run in the order in which they are added, and "10" sorts before "2"
    for key, value in sorted(
        state.items(), key=lambda item: [int(part) if part.isdigit() else 0 for part in item[0].split(".")]
    ):
        *folders, name = key.split(".")
        module = root
        for folder in folders:
            if folder not in module._modules:
                module.add_module(folder, nn.ModuleList() if folder == "resblocks" else nn.Module())
            module = module.get_submodule(folder)
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))
    root.conv1.kernel_size = tuple(shape["patch"])
    if not shape["ln_pre"]:
        root.ln_pre = nn.Identity()
    # a bare module has no `approximate`, which the encoder takes for QuickGELU
    gelu = nn.Identity() if shape["approximate"] is None else nn.GELU(shape["approximate"])
    for block in root.transformer.resblocks:
        block.attn.num_heads = shape["heads"]
        block.ls_1 = block.ls_2 = nn.Identity()
        if "mlp" not in block._modules:  # the last block's, which is never run, so that it was not kept
            block.mlp = nn.Module()
            block.mlp.c_fc = block.mlp.c_proj = nn.Identity()
        block.mlp.gelu = gelu
    for name, module in root.named_modules():
        if name.rsplit(".", 1)[-1].startswith("ln_") and not isinstance(module, nn.Identity):
            module.normalized_shape, module.eps = (shape["width"],), shape["eps"]
    return root


def _shape(source: Any) -> dict[str, Any]:
    block = source.transformer.resblocks[0]
    return {
        "image_size": source.image_size,
        "patch": source.conv1.kernel_size,
        "width": source.class_embedding.shape[0],
        "ln_pre": isinstance(source.ln_pre, nn.LayerNorm),
        "heads": block.attn.num_heads,
        "eps": block.ln_1.eps,
        "approximate": getattr(block.mlp.gelu, "approximate", None),
    }


def _keep(path: Path, config: EncoderConfig) -> None:
    """Write what the encoder uses of a tower, whole or not at all; a tower of another make or too large is left out."""
    module: Any
    module, tower = building.build(config)
    if not vit.is_plain(module) or not all(isinstance(b.ls_1, nn.Identity) for b in module.transformer.resblocks):
        return
    used = {key: value.contiguous() for key, value in vit.used(module).items()}
    if sum(value.numel() * value.element_size() for value in used.values()) > LARGEST:
        return
    whole = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "shape": json.dumps(_shape(module)),
            "tower": json.dumps(asdict(tower)),
            "digest": weights.digest(used),
        }
        save_file(used, whole, metadata=about)
        whole.replace(path)
    except OSError:  # a home that is read-only or full: the next start is as slow as this one, no more
        whole.unlink(missing_ok=True)


def _read(path: Path, config: EncoderConfig, device: str, precision: str) -> Encoder | None:
    """The encoder of a kept tower; None where the file is damaged: it is then made anew."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
        known = json.loads(metadata["tower"])
        module = _tower(state, json.loads(metadata["shape"]))
        tower = Tower(**{**known, "mean": tuple(known["mean"]), "std": tuple(known["std"])})
        device = choose(device)
        encoder = Encoder(module, config, tower, device, encoders.precision_for(device, precision))
        return encoder if encoder.weights_digest == metadata["digest"] else None
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError):
        return None
