"""Where a model lies: the one that is in force, one by its name, or a file; and whether its encoder can be had."""

from __future__ import annotations

import json
import os
from pathlib import Path

FOLDER = Path("artifacts/best")
FILE = "model.safetensors"
WIDEST_FIRST = ("four_class", "two_class", "one_class", "ldm")


class ModelNotFound(FileNotFoundError):
    """No model where one was looked for; the message says how to get one."""

    def __str__(self) -> str:  # FileNotFoundError would show its arguments
        return str(self.args[0])


def find_model(model: str | os.PathLike[str] = "best", folder: Path = FOLDER) -> Path:
    """Path of a model file. `model` is "best", a name of a stored model, a model file or a folder that holds one.

    "best" is what `best.default` of params.yaml names; without that, the one with the most training classes.
    Raises `ModelNotFound`.
    """
    text = os.fspath(model)
    there = stored_models(folder)
    if text == "best":
        wanted = _default() or next((name for name in (*WIDEST_FIRST, *there) if name in there), None)
        if wanted is None:
            raise ModelNotFound(f"no model in {folder}. {_how_to_get_one()}")
        text = wanted
    if text in there:
        return folder / text / FILE
    path = Path(text)
    if (path / FILE).is_file():
        return path / FILE
    if path.is_file():
        return path
    have = f"Stored here: {', '.join(there)}. " if there else ""
    looked = f"{folder / text / FILE}" if path.name == text and not path.suffix else text
    raise ModelNotFound(f"no model {text!r} ({looked} is not there). {have}{_how_to_get_one()}")


def require_weights(model: str | os.PathLike[str]) -> None:
    """Say that the weights of a model's encoder cannot be had, before the model is imported that would read them.

    Raises `ModelNotFound`, and `WeightsError`. What is no model file is left to
    `rine.models.checkpoint.load`, which says what is wrong with it.
    """
    from safetensors import SafetensorError, safe_open

    from rine.encoder import weights
    from rine.encoder.config import of_entry

    try:
        with safe_open(find_model(model), framework="numpy") as file:
            config = of_entry(json.loads(file.metadata()["rine"])["meta"]["encoder"])
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
    weights.require(config)


def stored_models(folder: Path = FOLDER) -> list[str]:
    """Names of the models that `rine best` stored, sorted."""
    return sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))


def _how_to_get_one() -> str:
    return (
        "Make one with `rine sample && dvc repro` (minutes; its verdicts mean nothing), train on your own pictures, or "
        "turn a published one into a model file with `rine import FILE.pth`; then `--model FILE`"
    )


def _default() -> str | None:
    """`best.default` of the params file here, if there is one: read as plain YAML, since only this name is wanted."""
    from rine.params_file import read_plain

    try:
        section = read_plain(Path("params.yaml"))["best"]["default"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return section if isinstance(section, str) else None
