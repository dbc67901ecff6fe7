"""`rine sample`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer


def sample(
    root: Annotated[Path, typer.Argument(help="An empty or missing folder.")] = Path("data"),
    seed: Annotated[int, typer.Option(help="Of the pictures; data.dvc names those of seed 0.")] = 0,
) -> str:
    """Make the pictures of the sample study, in the folder layouts of the real data sets.

    Never touches a folder that holds anything else. Example: rine sample
    """
    from rine.sample import make_sample

    counts = make_sample(root, seed=seed, track=_tracked)
    new = counts.pop("new")
    return f"{sum(counts.values())} pictures in {root}/, {new} of them new"


def _tracked(things: Iterable[Any], total: int, description: str) -> Iterator[Any]:
    from rine.progress import progress

    with progress(total, "picture", description) as bar:
        for thing in things:
            yield thing
            bar.advance()
