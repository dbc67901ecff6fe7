"""What the server lets a client ask of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

HOST = "127.0.0.1"  # this machine only: there is no log-in
SHUTDOWN = 10  # seconds that requests have to be answered in when the server ends, and then a batch to be judged in


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ServeSettings:
    """Limits of `rine serve`; beyond each a request is answered with a 4xx or a 503 that says so.

    `upload_mb` (1,000,000 bytes) and `files` are for a whole request, `pixels` and `picture_seconds` (of decoding) for
    a picture; `queue` is how many pictures may wait at once, `seconds` how long a request may take from its first byte
    to its answer; `connections` may be open at once, of which one that asks nothing is closed after `idle_seconds`.
    """

    upload_mb: Annotated[float, Field(gt=0, le=1000)] = 25
    pixels: Annotated[int, Field(ge=1)] = 50_000_000
    picture_seconds: Annotated[float, Field(gt=0)] = 10
    files: Annotated[int, Field(ge=1, le=1000)] = 32
    queue: Annotated[int, Field(ge=1)] = 256
    seconds: Annotated[float, Field(gt=0)] = 60
    connections: Annotated[int, Field(ge=1)] = 128
    idle_seconds: Annotated[float, Field(gt=0)] = 15
