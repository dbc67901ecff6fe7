"""What `select` chose, as runs to train."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rine.training import Run


def choice(folder: Path, model: str) -> dict[str, Any]:
    """Read what was chosen for a model (a class setting or `ldm`); raises where `select` has not been run for it."""
    path = folder / "choices" / f"{model}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: `rine select` makes it")
    return json.loads(path.read_text())


def chosen_runs(folder: Path, model: str, seeds: Sequence[int]) -> list[Run]:
    """The chosen configuration of a model, once for each seed."""
    return _runs([choice(folder, model)], seeds)


def chosen_epochs(folder: Path, model: str) -> int:
    """For how many epochs the chosen configuration of a model is trained."""
    return int(choice(folder, model)["epochs"])


def top_runs(folder: Path, model: str, seeds: Sequence[int]) -> list[Run]:
    """The best few configurations of a model, each once for each seed."""
    return _runs(choice(folder, model)["top"], seeds)


def _runs(configurations: Sequence[dict[str, Any]], seeds: Sequence[int]) -> list[Run]:
    return [
        Run(q=each["q"], proj_dim=each["proj_dim"], xi=each["xi"], seed=seed)
        for each in configurations
        for seed in seeds
    ]
