"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0


class Bar(Protocol):
    """What `progress` hands out: tell it what was done, and a word about how."""

    def advance(self, n: float = 1, note: str = "") -> None: ...


class _Lines:
    """A line every ten seconds, for logs that are no terminal."""

    def __init__(self, total: float, unit: str, description: str) -> None:
        self.total, self.unit, self.description = total, unit, description
        self.done, self.start = 0.0, time.monotonic()
        self.next_line = self.start + SECONDS_BETWEEN_LINES

    def advance(self, n: float = 1, note: str = "") -> None:
        self.done += n
        now = time.monotonic()
        if now < self.next_line:
            return
        self.next_line = now + SECONDS_BETWEEN_LINES
        line, rate = f"{self.description}: {self.done:.0f} of {self.total:.0f}", self.done / (now - self.start)
        if rate:
            line += f", {rate:.1f} {self.unit}/s, {(self.total - self.done) / rate:.0f} s left"
        print(f"{line}, {note}" if note else line, file=sys.stderr, flush=True)


class _Rich:
    def __init__(self, bar: Progress, total: float, unit: str, description: str) -> None:
        self.bar, self.unit = bar, unit
        self.task = bar.add_task(description, total=total, rate="", note="")
        self.done, self.start = 0.0, time.monotonic()

    def advance(self, n: float = 1, note: str = "") -> None:
        self.done += n
        rate = self.done / max(time.monotonic() - self.start, 1e-9)
        self.bar.update(self.task, advance=n, rate=f"{rate:.1f} {self.unit}/s", note=note)


@contextmanager
def progress(total: float, unit: str, description: str) -> Iterator[Bar]:
    """Show how far work of `total` units is, how fast, and how long it will still take; on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(total, unit, description)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Rich(bar, total, unit, description)
