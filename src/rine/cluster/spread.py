"""Items over the actors of a cluster, from the connection to the last answer."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

from rine import arithmetic
from rine.cluster.actor import Actor, Built, Done, libraries
from rine.cluster.connection import LOCAL, connected, machines
from rine.cluster.crew import AHEAD, Crew
from rine.progress import Bar


@dataclass(frozen=True)
class Wanted:
    """What the actors are for: `make`, which pickle can carry, gives on each the function that does an item.

    `gpu`: one actor a GPU. Otherwise `n` actors, which share the cores; None: one a machine.
    """

    make: Callable[[], Callable[[Any], Done]]
    gpu: bool = False
    n: int | None = None
    unit: str = "items"
    weigh: Callable[[Any], int] = lambda _: 1


def spread(address: str, wanted: Wanted, items: Iterable[Any], bar: Bar) -> Generator[tuple[Any, Done], None, None]:
    """Have every item done by some actor; each with what was done, in the order in which they end.

    Raises what `connected` does, `Unfit` where no actor is fit, and what an item ended with everywhere. Close
    it where it is not read to its end: that ends the actors, and what they have finished is kept.
    """
    with connected(address) as (ray, kept_open):
        crew = crew_of(ray, address, wanted)
        try:
            yield from crew.run(items, bar)
        finally:
            if kept_open:  # else they end with the connection, and Ray has nothing to say of what they had in hand
                crew.end()


def crew_of(ray: Any, address: str, wanted: Wanted) -> Crew:
    """As many actors as are wanted and the cluster has places for; `Crew.end` ends them."""
    n, cores = _places(machines(ray), wanted, address)
    built = Built(pickle.dumps(wanted.make), arithmetic.mode(), cores, libraries())
    # one thread for each item that an actor may have
    kept: dict[str, Any] = {"max_restarts": -1, "max_task_retries": -1, "max_concurrency": AHEAD}
    if address != LOCAL and arithmetic.mode() == "portable":
        # before anything is imported; the processes of this machine's own cluster inherit it
        kept["runtime_env"] = {"env_vars": arithmetic.variables()}
    hired = ray.remote(num_cpus=cores, num_gpus=int(wanted.gpu), **kept)(Actor)
    return Crew(ray, lambda: hired.remote(built), n, wanted.unit, wanted.weigh)


def _places(there: list[dict[str, float]], wanted: Wanted, address: str) -> tuple[int, int]:
    """How many actors there are to be, and how many cores each has."""
    name = "this machine" if address == LOCAL else f"the cluster {address!r}"
    if wanted.gpu:
        with_gpu = [(int(each["GPU"]), int(each.get("CPU", 0))) for each in there if each.get("GPU", 0) >= 1]
        if not with_gpu:
            raise ValueError(f"runtime.device = 'cuda', and {name} has no GPU; say device: cpu")
        n = sum(gpus for gpus, _ in with_gpu)
        return min(n, wanted.n or n), max(1, min(cores // gpus for gpus, cores in with_gpu))
    cores = [int(each.get("CPU", 0)) for each in there if each.get("CPU", 0) >= 1]
    if not cores:
        raise ValueError(f"{name} has no free core for an actor")
    n = wanted.n or len(cores)
    # on machines of different sizes, what fits so often
    each = max(1, next((c for c in range(max(cores), 0, -1) if sum(have // c for have in cores) >= n), 1))
    return min(n, sum(cores)), each
