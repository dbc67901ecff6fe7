"""What runs on an actor: built once, compared with the driver, then asked for one item after the other.

Nothing here imports NumPy: which arithmetic a process computes with is settled before that (`rine.arithmetic`).
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rine import arithmetic, device

LIBRARIES = ("ray", "numpy", "scipy", "pillow", "torch", "torchvision", "timm", "open_clip_torch", "safetensors")


class Unfit(ValueError):
    """An actor that must not work: what it makes would not be what the driver's machine makes. `str` says why."""


@dataclass(frozen=True)
class Done:
    """What is told of an item: how much it was, how long its pictures kept the work waiting, and what came out."""

    n: int
    waited: float = 0.0  # share of the time
    value: Any = None


@dataclass(frozen=True)
class Told:
    """The answer of an actor: what it has `Done`, why it is `Unfit`, or the error that the item ended with."""

    host: str
    pid: int
    seconds: float
    kind: Literal["done", "unfit", "error"]
    what: Any
    node: str = ""  # Ray's name of the machine


@dataclass(frozen=True)
class Built:
    """How an actor is built: by `make`, a pickled call without arguments that gives the function of an item."""

    make: bytes
    mode: arithmetic.Mode
    cores: int
    libraries: dict[str, str]


def libraries() -> dict[str, str]:
    """What a result depends on beside the study: our own source, by its digest, and the versions of what it uses."""
    source = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(source.rglob("*.py")):
        digest.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
    return {"rine": digest.hexdigest(), "Python": platform.python_version()} | {n: _version(n) for n in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


class Actor:
    """Lives in a process of its own. Two items may be in it at once: the next one's pictures are read meanwhile."""

    def __init__(self, built: Built) -> None:
        self._built, self._lock = built, threading.Lock()
        self._work: Callable[[Any], Done] | None = None

    def start(self) -> Told:
        return self._told(lambda work: Done(0))

    def do(self, item: bytes) -> Told:
        return self._told(lambda work: work(pickle.loads(item)))

    def _told(self, answer: Callable[[Any], Done]) -> Told:
        import ray

        start = time.perf_counter()

        def told(kind: Literal["done", "unfit", "error"], what: Any) -> Told:
            node = ray.get_runtime_context().get_node_id()
            return Told(platform.node(), os.getpid(), time.perf_counter() - start, kind, what, node)

        try:
            # not in the constructor: what it raises would be Ray's, and a restart would go on without being compared
            with self._lock:
                self._work = self._work or _make(self._built)
        except Exception as error:  # of whatever cannot be built here
            return told("unfit", str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {error}")
        try:
            return told("done", answer(self._work))
        except Exception as error:  # goes to the driver
            return told("error", _carried(error))


def _make(built: Built) -> Callable[[Any], Done]:
    """The function of an item; raises `Unfit` where this machine's results would be others."""
    ours = libraries()
    if other := [f"{k} {ours[k]} (the driver has {v})" for k, v in built.libraries.items() if ours[k] != v]:
        raise Unfit(f"other versions: {', '.join(other)}")
    arithmetic.use(built.mode)
    if arithmetic.mode() != built.mode:
        raise Unfit(f"its arithmetic is {arithmetic.mode()}, the driver's {built.mode}")
    device.limit_cores(built.cores)
    return pickle.loads(built.make)()


def _carried(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:  # one that pickle cannot carry
        return RuntimeError(f"{type(error).__name__}: {error}")
