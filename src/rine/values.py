"""What a single value of the params file may be: numbers within bounds, and names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field


def _no_bool(value: Any) -> Any:
    # pydantic reads `true` as 1; in a params file that is always a slip
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


# Strings are read as numbers on purpose: `dvc exp run -S lr=1e-5` writes `1e-05`, which YAML 1.1 reads as a string.
Integer = Annotated[int, BeforeValidator(_no_bool)]
Real = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
# no study has more of anything; what is larger is a slip, and would end in days or without memory
Count = Annotated[Integer, Field(ge=1, le=1_000_000)]
Layers = Annotated[Integer, Field(ge=1, le=1000)]
Pixels = Annotated[Integer, Field(ge=1, le=10_000_000_000)]
Seed = Annotated[Integer, Field(ge=0, lt=2**63)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Probability = Annotated[Real, Field(ge=0, le=1)]
Fraction = Annotated[Real, Field(gt=0, le=1)]
Quality = Annotated[Integer, Field(ge=1, le=100)]
# DVC addresses parameters by dotted keys, and item names become folders
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]

Mode = Literal["paper", "reference"]  # as the paper says, or as the published code does
Auto = Literal["auto"]
CropRule = Literal["centre", "ten", "grid", "resize"]  # see `rine.pixels.crops.crops_of`

STRICT = ConfigDict(extra="forbid")


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """Words on the name that is most like this one, to end a message with; none where no name is."""
    close = difflib.get_close_matches(str(name), list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
