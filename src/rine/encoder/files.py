"""What is read from a file of weights, and how it gets into a tower. No file is ever allowed to run code.

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
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rine.encoder.weights import WeightsError

# OpenAI's files keep these beside the weights; open_clip's do not
_OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}


def read(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return an image tower's tensors, of a whole CLIP those under `visual.`, and whether the form is OpenAI's.

    Raises `WeightsError` for a file that would run code, cannot be read, or holds no image tower.
    """
    state = _state_dict(path)
    openai = bool(_OPENAI_MARKS & state.keys())
    state = {key.removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
    whole = any(key.startswith("visual.") for key in state)
    tower = {
        key.removeprefix("visual."): value for key, value in state.items() if not whole or key.startswith("visual.")
    }
    tower = {key.removeprefix("trunk."): value for key, value in tower.items()}  # open_clip's name for one of timm's
    if not {"class_embedding", "positional_embedding"} & tower.keys() and not any("blocks.0." in key for key in tower):
        raise WeightsError(f"{path} holds no image tower (no `visual.…` and no blocks among {len(state)} tensors)")
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


def fit(
    tower: torch.nn.Module, state: dict[str, Tensor], origin: str, needless: Callable[[Iterable[str]], set[str]]
) -> None:
    """Put tensors into a tower, in float32; raises `WeightsError` that lists what is missing, unknown or misshapen.

    `needless` picks from names those that no token depends on: of these any shape will do, and none is taken.
    """
    own = tower.state_dict()
    wrong = [f"lacks {key}" for key in own if key not in state]
    wrong += [f"{key} is unknown" for key in state.keys() - own.keys() - needless(state)]
    for key in own.keys() & state.keys():
        if own[key].shape != state[key].shape:
            wrong.append(f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}")
    if wrong:
        raise WeightsError(f"{origin} does not fit the model: {listed(wrong)}")
    # assign: the tower was built without storage, and its own copy is never needed
    tower.load_state_dict({key: state[key].float() for key in own}, assign=True)


def listed(wrong: Collection[str]) -> str:
    """The first of a list of faults, and how many more there are."""
    return "; ".join(sorted(wrong)[:6]) + (f" and {len(wrong) - 6} more" if len(wrong) > 6 else "")


def digest(state: dict[str, Tensor]) -> str:
    """32 hex digits of named tensors, as float32: the same weights have one digest whatever file they came in."""
    total = hashlib.blake2b(digest_size=16)
    for key in sorted(state):
        value = state[key].detach().float().contiguous().cpu()
        total.update(f"{key} {tuple(value.shape)}\n".encode())
        total.update(value.numpy().data)
    return total.hexdigest()
