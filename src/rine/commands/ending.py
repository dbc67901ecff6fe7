"""How a stage's command ends: with one line and its time, which the report shows, or with one line on what is wrong."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import typer

from rine.files import write_whole
from rine.paths import Paths
from rine.terminal import message, reason

ITEMS = ("encoder", "setting", "model", "feature_set")  # arguments that say which item of a stage is run
TIMINGS = Paths().timings
LEAST_MEMORY = 2 << 30  # bytes of addresses, most of them of libraries
INTERRUPTED = 128 + signal.SIGINT
_PARENT = os.getppid()


def timed(command: Callable[..., str]) -> Callable[..., None]:
    """Make a command of a function that returns one line on its work: that line with its time, errors without trace."""
    name = command.__name__

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        _die_with_parent()
        _end_in_order()
        start = time.perf_counter()
        try:
            refuse_too_little_memory()
            line = command(*args, **kwargs)
        except KeyboardInterrupt:
            typer.secho(f"rine {name}: interrupted; what was finished is kept, run it again to go on", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            typer.secho(message(f"rine {name}: {reason(error)}"), fg="red", err=True)
            raise typer.Exit(1) from error
        seconds = time.perf_counter() - start
        item = "-".join(str(value) for key, value in kwargs.items() if key in ITEMS)
        _record(f"{name}@{item}" if item else name, seconds)  # as DVC calls it
        typer.echo(message(f"{name}: {line} ({seconds:.1f} s)"))

    return run


def refuse_too_little_memory() -> None:
    """Raise `MemoryError` where `ulimit -v` leaves too little to import what computes.

    Asked before that: NumPy's BLAS tries for ever to get memory that it does not get.
    """
    if sys.platform == "linux":
        import resource

        allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
        if 0 <= allowed < LEAST_MEMORY:
            raise MemoryError(f"`ulimit -v` allows {allowed >> 20:,} MB, and {LEAST_MEMORY >> 20:,} MB are needed")


def _end_in_order() -> None:
    """Let SIGTERM clear up as Ctrl+C does: half-written files go, and one line is said."""

    def end(*_: object) -> None:
        typer.secho("rine: ended by SIGTERM; what was finished is kept, run it again to go on", err=True)
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


def _die_with_parent() -> None:
    """Make the kernel end this process when DVC is killed: a second `dvc repro` must not run beside an orphan."""
    if sys.platform == "linux" and "DVC_STAGE" in os.environ:
        import ctypes

        pr_set_pdeathsig = 1  # linux/prctl.h
        # not SIGTERM: what clears up first would still be at it when the next run starts
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != _PARENT:  # it was killed while this process started
            os.kill(os.getpid(), signal.SIGKILL)


def _record(stage: str, seconds: float) -> None:
    """Keep how long a stage took, for the report; beside DVC's outputs, which hold no time."""
    try:
        times = dict(json.loads(TIMINGS.read_text()))
    except (OSError, ValueError, TypeError):  # none yet, or a damaged file: not worth the stage that has just ended
        times = {}
    times[stage] = round(seconds, 2)
    TIMINGS.parent.mkdir(exist_ok=True)
    write_whole(TIMINGS, json.dumps(times, indent=1, sort_keys=True).encode())
