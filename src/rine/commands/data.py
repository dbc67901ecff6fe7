"""`rine data`: the entries that a folder would need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rine.commands.options import plain_errors


def data(
    path: Annotated[Path, typer.Argument(help="The folder of the data sets: `prepare.root`.")] = Path("data"),
) -> None:
    """Look at a folder and print the entries that it would need, ready to paste under prepare.datasets.

    No picture is opened. Example: rine data data
    """
    with plain_errors("data"):
        from rine.commands.looked import look

        looked = look(path)
    typer.echo(f"  root: {path}\n  datasets:")
    for guess in looked.guesses:
        remarks = "; ".join([f"{guess.pictures} pictures", *guess.remarks])
        typer.echo(f"    # {remarks}\n    {guess.name}: {flow(guess.entry)}")
    for place, why in looked.left_out.items():
        typer.echo(f"    # left out: {place}: {why}")
    n = sum(guess.pictures for guess in looked.guesses)
    typer.echo(f"data: {len(looked.guesses)} entries, {n} pictures; look at each before you use it", err=True)


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
