"""A feature set's units by the actors of a cluster: the driver looks up what the store lacks, and counts."""

from __future__ import annotations

import functools
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rine import device as devices
from rine import encoder as encoders
from rine.caching.decode import Source
from rine.caching.on_actor import Encoding, Errand, Work, lacks
from rine.caching.plan import Unit
from rine.caching.run import looked_up
from rine.caching.store import Store
from rine.cluster import Wanted, spread
from rine.encoder.config import EncoderConfig
from rine.params import RuntimeConfig
from rine.progress import progress

_SECONDS_TO_SEE = 120.0  # a network file system may show a new file so much later


def describe(config: EncoderConfig, runtime: RuntimeConfig) -> tuple[dict[str, Any], tuple[int, int]]:
    """What `Encoder.describe` must say on every actor, and the shape (L, D) of its tokens.

    The weights are looked at on the CPU, since this machine's GPUs are the actors'.
    """
    device = devices.choose("auto").split(":")[0] if runtime.device == "auto" else runtime.device
    if ":" in device:
        raise ValueError(f"runtime.device = {device!r} is one GPU of one machine; with a cluster, say cuda")
    precision = runtime.precision if runtime.precision != "auto" else "fp16" if device == "cuda" else "fp32"
    loaded = encoders.load(config, "cpu", "fp32")
    return loaded.describe() | {"device": device, "precision": precision}, (loaded.n_blocks, loaded.width)


def fill(
    units: Sequence[Unit],
    stores: Mapping[str, Store],
    config: EncoderConfig,
    described: dict[str, Any],
    runtime: RuntimeConfig,
    source: Source,
    name: str,
) -> int:
    """Have the stores hold every unit's shard, as `run.fill` does, by the actors of `runtime.cluster`.

    Returns how many rows were encoded; raises what `run.fill` and `cluster.spread` raise.
    """
    lacking = [unit for unit in units if len(unit.own) and not stores[unit.family].has(unit.shard)]
    if not lacking:
        return 0
    assert runtime.cluster is not None
    stores = {family: Store(store.folder.absolute(), store.shape) for family, store in stores.items()}
    source = replace(source, root=source.root.absolute())
    shards, n_encoded = {unit.shard for unit in units}, 0
    with (
        token(next(iter(stores.values())).folder) as there,
        progress(sum(len(unit.own) for unit in lacking), "views", name) as bar,
    ):
        errand = Errand(
            config,
            described,
            next(iter(stores.values())).shape,
            runtime,
            source,
            {family: store.folder for family, store in stores.items()},
            there,
            _readable(lacking, source),
        )
        make = functools.partial(Encoding, errand)
        wanted = Wanted(
            make,
            described["device"] == "cuda",
            None if runtime.actors == "auto" else runtime.actors,
            "views",
            lambda work: len(work.unit.own),
        )
        work = (Work(unit, places) for unit, places in looked_up(lacking, stores, shards))
        with closing(spread(runtime.cluster, wanted, work, bar)) as results:
            n_encoded = sum(done.value for _, done in results)
    _seen(lacking, stores)
    return n_encoded


@contextmanager
def token(folder: Path) -> Iterator[tuple[Path, str]]:
    """A file in the store that whoever shares it can read."""
    file = folder / f".seen-{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    content = secrets.token_hex(16)
    file.write_text(content)
    try:
        yield file, content
    finally:
        file.unlink(missing_ok=True)


def _readable(units: Sequence[Unit], source: Source) -> tuple[str, str] | None:
    """Path and digest of a picture that the driver can read: the first of a unit, or of the next."""
    firsts = ((unit.paths[0], unit.digests[0]) for unit in units[:8])
    return next((first for first in firsts if not lacks(source, *first)), None)


def _seen(units: Sequence[Unit], stores: Mapping[str, Store]) -> None:
    """Wait until this machine sees what the actors have stored; raises `TimeoutError`."""
    until = time.monotonic() + _SECONDS_TO_SEE
    for unit in units:
        file = stores[unit.family].path(unit.shard)
        while not file.exists():
            if time.monotonic() > until:
                raise TimeoutError(f"an actor has stored {file}, and this machine does not see it")
            next(os.scandir(file.parent), None)  # makes the system ask the server
            time.sleep(0.2)
