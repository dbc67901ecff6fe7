"""How a stage's command ends: with one line and its time, which the report shows, or with one line on what is wrong."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from rine.files import note
from rine.paths import Paths
from rine.terminal import message, reason

ITEMS = ("encoder", "setting", "model", "feature_set")  # arguments that say which item of a stage is run
TIMINGS = Paths().timings
INTERRUPTED = 128 + signal.SIGINT
_PARENT = os.getppid()
_LEAST_MEMORY = 2 << 30  # bytes of address space: with much less, OpenBLAS tries for ever to get its buffers


def timed(command: Callable[..., str]) -> Callable[..., None]:
    """Make a command of a function that returns one line on its work: that line with its time, errors without trace."""
    name = command.__name__

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        _die_with_parent()
        start = time.perf_counter()
        try:
            require_memory()
            with ended_in_order("rine: ended by SIGTERM; what was finished is kept, run it again to go on"):
                line = command(*args, **kwargs)
                seconds = time.perf_counter() - start
                if not kwargs.get("part"):  # a part's time is not its stage's
                    item = "-".join(str(value) for key, value in kwargs.items() if key in ITEMS)
                    note(TIMINGS, {f"{name}@{item}" if item else name: round(seconds, 2)})  # as DVC calls it
                typer.echo(message(f"{name}: {line} ({seconds:.1f} s)"))
        except KeyboardInterrupt:
            typer.secho(f"rine {name}: interrupted; what was finished is kept, run it again to go on", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise
        except Exception as error:
            typer.secho(message(f"rine {name}: {reason(error)}"), fg="red", err=True)
            raise typer.Exit(1) from error

    return run


@contextmanager
def ended_in_order(said: str) -> Iterator[None]:
    """Let SIGTERM clear up as Ctrl+C does: half-written files go, and one line is said."""

    def end(*_: object) -> None:
        typer.secho(said, err=True)
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():  # where no handler may be set
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def require_memory() -> None:
    """Raise `OSError` where `ulimit -v` allows less than the libraries need; asked before they are imported."""
    if sys.platform == "linux":
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
        if 0 <= allowed < _LEAST_MEMORY:  # -1 where there is no limit
            least = f"{_LEAST_MEMORY >> 30} GB are needed, of stages that use PyTorch 6 GB"
            raise OSError(f"`ulimit -v` allows {allowed >> 20} MB of address space; {least}")


def _die_with_parent() -> None:
    """Make the kernel end this process when DVC is killed: a second `dvc repro` must not run beside an orphan."""
    if sys.platform == "linux" and "DVC_STAGE" in os.environ:
        import ctypes

        pr_set_pdeathsig = 1  # linux/prctl.h
        # not SIGTERM: what clears up first would still be at it when the next run starts
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != _PARENT:  # it was killed while this process started
            os.kill(os.getpid(), signal.SIGKILL)
