"""What other packages add to the registries (docs/extending.md): modules under the entry point group `rine`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

GROUP = "rine"


@cache
def load() -> None:
    """Import every module of the group, once; each adds its records as it is imported.

    Raises `ImportError` that names the one that cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            raise ImportError(f"the extension {entry.name} = {entry.value!r} cannot be loaded: {error}") from error
