"""The params file as plain data, whoever wrote it: what no study can be is refused before it takes time or memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1_000_000  # of the file, and of all that stands in it where an alias is written out
DEEPEST = 50  # levels


def read_plain(path: Path) -> Any:
    """Dicts, lists and scalars of a YAML file; a tag that makes anything else is an error.

    Raises `ValueError` for what is no YAML, too large, too deep, or goes round in a circle of aliases.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} has more than the {MOST_BYTES:,} bytes that a study may have")
    try:
        plain = yaml.safe_load(content.decode())
    except RecursionError:
        raise ValueError(f"{path} is nested deeper than the {DEEPEST} levels that a study may have") from None
    except (yaml.YAMLError, ValueError) as error:  # the second of a date in the 13th month, or 5,000 digits
        raise ValueError(f"{path} is not YAML: {error}") from error
    _measure(plain, path)
    return plain


def _measure(plain: Any, path: Path) -> None:
    left: list[tuple[Any, int]] = [(plain, 1)]
    size = 0
    while left:
        value, depth = left.pop()
        size += len(value) if isinstance(value, str) else 1
        if depth > DEEPEST:
            raise ValueError(f"{path} is nested deeper than the {DEEPEST} levels that a study may have")
        if size > MOST_BYTES:
            raise ValueError(f"{path} has aliases that stand for more than {MOST_BYTES:,} bytes")
        if isinstance(value, dict):
            left += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            left += [(part, depth + 1) for part in value]
