"""`rine store`: what the feature store holds, and how to make it smaller."""

from __future__ import annotations

from typing import Annotated

import typer

from rine.commands.options import ARTIFACTS, Artifacts, plain_errors
from rine.paths import Paths, store_folder
from rine.terminal import message


def store(
    prune: Annotated[bool, typer.Option("--prune", help="Delete what no feature set here is made of.")] = False,
    artifacts: Artifacts = ARTIFACTS,
) -> None:
    """Show what the feature store (.rine/store, or RINE_STORE) holds by encoder and set, and what no set is made of.

    With --prune that is deleted: it would have to be encoded again for an earlier experiment, and for other studies
    that share the store. Example: rine store --prune
    """
    with plain_errors("store"):
        from rine.commands.usage import delete, usage

        features = Paths(artifacts).features("")
        parts = list(usage(store_folder(), features))
        if prune and not any(features.glob("*/*/features.json")):
            raise ValueError(
                f"{features} holds no feature set: nothing would be left; delete {store_folder()} to mean that"
            )
        for part in parts:
            said = ", ".join(part.sets) or "no set here"
            size, useless = (f"{n / 1e6:,.1f} MB" for n in (part.size, part.unused))
            typer.echo(message(f"{size:>13}  {part.encoder} {part.family}: {said}; unused {useless}"))
            if prune:
                delete(part)
        unused = sum(part.unused for part in parts) / 1e6
        verb = "deleted" if prune else "unused, --prune deletes it"
        typer.echo(f"{sum(part.size for part in parts) / 1e6:10,.1f} MB in {store_folder()}; {unused:,.1f} MB {verb}")
