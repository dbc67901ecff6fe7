"""Weights of an image tower: which file, and what is read from it. No file is ever allowed to run code.

Three forms are read: safetensors; a state dict or training checkpoint that `torch.save` wrote (with
`weights_only=True`, which refuses anything but tensors and plain data); and OpenAI's own TorchScript archive,
through `torch.jit.load`, whose unpickler knows tensors and TorchScript's own types only; the program in the
archive is never called.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# OpenAI's files keep these beside the weights; open_clip's do not
_OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit; the message says what to do."""


def locate(model: str, pretrained: str) -> Path:
    """The file that holds a model's weights: a path as it is, or what open_clip downloads for one of its tags.

    Raises `WeightsError` that says which file to get and where to put it.
    """
    if Path(pretrained).expanduser().is_file():
        return Path(pretrained).expanduser()
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    source = get_pretrained_cfg(model, pretrained)
    if not source:
        tags = list_pretrained_tags_by_model(model)
        raise WeightsError(
            f"pretrained = {pretrained!r} is no file here, and open_clip has no such weights for {model!r}; "
            f"allowed: random, a path to a file, or one of {tags}"
        )
    return _download(model, pretrained, source)


def _download(model: str, tag: str, source: dict[str, Any]) -> Path:
    """Fetch by open_clip's own means; first what lies on this machine already, so that no network is asked for it."""
    from open_clip.pretrained import download_pretrained

    url, hub = source.get("url", ""), source.get("hf_hub", "")
    target = Path.home() / ".cache" / "clip" / url.rsplit("/", 1)[-1]  # where open_clip puts it
    attempts = ([False] if url and target.is_file() else []) + [True, False]
    reasons = []
    for prefer_hub in attempts:
        try:
            file = download_pretrained(source, prefer_hf_hub=prefer_hub)
        except Exception as error:  # a missing network shows itself in many ways
            reasons.append(f"{type(error).__name__}: {error}".split("\n")[0])
            continue
        if file:
            return Path(file)
    where = [f"{url} and put it at {target}"] if url else []
    if hub:
        where.append(f"open_clip_model.safetensors of https://huggingface.co/{hub.strip('/')}")
    ways = "\n  or ".join(where)
    raise WeightsError(
        f"the weights {tag!r} of {model!r} are not on this machine and cannot be downloaded ({reasons[-1]}).\n"
        f"Get {ways}\n(any place will do where `pretrained` in params.yaml is the path to the file)."
    )


def read(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return the image tower's tensors by open_clip's names (without `visual.`), and whether the form is OpenAI's.

    Raises `WeightsError` for a file that would run code, cannot be read, or holds no image tower.
    """
    state = _state_dict(path)
    openai = bool(_OPENAI_MARKS & state.keys())
    state = {key.removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
    tower = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    if not tower and ("class_embedding" in state or any(key.startswith("trunk.") for key in state)):
        tower = state  # a file that holds the tower alone
    if not tower:
        raise WeightsError(f"{path} holds no CLIP image tower (no `visual.…` tensors among {len(state)})")
    return tower, openai


def _state_dict(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                # the text tower is never read
                names = [key for key in file.keys() if "visual." in key] or list(file.keys())  # noqa: SIM118
                return {key: file.get_tensor(key) for key in names}
        except SafetensorError as error:
            raise WeightsError(f"{path} is no safetensors file: {error}") from error
    try:
        if _is_torchscript(path):
            with warnings.catch_warnings():
                # torch deprecates TorchScript; OpenAI's files are what they are
                warnings.filterwarnings("ignore", message=".*torch.jit.load.*deprecated")
                return dict(torch.jit.load(path, map_location="cpu").state_dict())
        # mapped, so that the text tower of a file takes no memory
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsError(
            f"{path} is not read: it is damaged, or holds more than tensors and plain data, and a pickle is never "
            f"allowed to run code here. Save its state dict as safetensors. ({str(error).splitlines()[0]})"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    return state


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def fit(tower: torch.nn.Module, state: dict[str, Tensor], needed: Collection[str], origin: str) -> None:
    """Put tensors into a tower, in float32; raises `WeightsError` that lists what is missing, unknown or misshapen.

    `needed` names the tower's tensors that will be used: of the others any shape will do, and none is taken.
    """
    own = tower.state_dict()
    wrong = [f"lacks {key}" for key in needed if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in own]
    for key in set(needed) & state.keys():
        if own[key].shape != state[key].shape:
            wrong.append(f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}")
    if wrong:
        more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise WeightsError(f"{origin} does not fit the model: {'; '.join(sorted(wrong)[:6])}{more}")
    # assign: the tower was built without storage, and its own copy is never needed
    tower.load_state_dict({key: state[key].float() for key in needed}, strict=False, assign=True)


def digest(state: dict[str, Tensor]) -> str:
    """32 hex digits of named tensors, as float32: the same weights have one digest whatever file they came in."""
    total = hashlib.blake2b(digest_size=16)
    for key in sorted(state):
        value = state[key].detach().float().contiguous().cpu()
        total.update(f"{key} {tuple(value.shape)}\n".encode())
        total.update(value.numpy().data)
    return total.hexdigest()
