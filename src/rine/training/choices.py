"""What `select` chose, as runs to train."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rine.params import Params
from rine.training.members import Run


def read_choice(file: Path) -> dict[str, Any]:
    """What was chosen for a model (a class setting or `ldm`): xi, q, proj_dim, epochs, and `top`, a list of the best.

    Raises `FileNotFoundError` where `select` has not been run for it.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: `rine select` makes it")
    return json.loads(file.read_text())


def runs_of(configurations: Sequence[Mapping[str, Any]], study: Params) -> list[Run]:
    """Each configuration once for each seed of the study."""
    return [
        Run(q=chosen["q"], proj_dim=chosen["proj_dim"], xi=chosen["xi"], pool=study.training.pool, seed=seed)
        for chosen in configurations
        for seed in study.seeds
    ]
