"""Verdicts on a stream of pictures as rows: written one by one, taken up again where they stopped."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from rine.terminal import printable

if TYPE_CHECKING:
    from rine.detector import Verdict

Form = Literal["table", "csv", "jsonl"]
Write = Callable[["Verdict"], None]
COLUMNS = (
    "path",
    "verdict",
    "probability",
    "logit",
    "model",
    "crops",
    "seconds",
    "error",
    "remark",
    "low",
    "high",
    "c2pa",
    "generated",
    "says",
)
COLOURS = {"real": "green", "synthetic": "red", "inconclusive": "yellow"}


def row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as one row: the columns of CSV and the keys of JSON lines."""
    said = verdict.provenance
    origin = {"c2pa": said.c2pa, "generated": said.generated, "says": said.words} if said else {}
    values = asdict(verdict) | origin
    return {name: values.get(name) for name in COLUMNS}


@contextmanager
def writer(form: Form, output: Path | None, append: bool = False) -> Iterator[Write]:
    """A function that writes one verdict to a file or, for None, to standard output, and flushes it.

    Names that are not UTF-8 go out as the bytes they are, so that a reader finds the file again.
    """
    if output is None:
        # Taken now: a progress bar puts its own stream in place of sys.stdout, and rows must not end up in the bar.
        # On a terminal both share the screen, and the bar is the one to keep them apart.
        shared = form == "table" and sys.stdout.isatty()
        stream = None if shared else sys.stdout
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape", newline="" if form == "csv" else None)
        yield _format(form, stream, header=True)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    mode = "a" if append else "w"
    with output.open(mode, encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield _format(form, file, header=file.tell() == 0)


def _format(form: Form, stream: IO[str] | None, header: bool) -> Write:
    if form == "table":
        return _table(stream)
    assert stream is not None
    if form == "jsonl":

        def write_json(verdict: Verdict) -> None:
            stream.write(json.dumps(row(verdict)) + "\n")
            stream.flush()

        return write_json
    rows = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    quoted = csv.DictWriter(stream, COLUMNS, lineterminator="\n", quoting=csv.QUOTE_ALL)
    if header:
        rows.writeheader()

    def write_csv(verdict: Verdict) -> None:
        values = row(verdict)
        for name in ("probability", "logit", "seconds", "low", "high"):
            values[name] = "" if values[name] is None else f"{values[name]:.6g}"
        # Python leaves a lone carriage return unquoted, which every reader takes for a row's end
        (quoted if "\r" in f"{verdict.path}{verdict.error}" else rows).writerow(values)
        stream.flush()

    return write_csv


def _table(stream: IO[str] | None) -> Write:
    """Aligned lines as they come; paths last, since they have no width of their own."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, soft_wrap=True, highlight=False)
    console.print(Text(f"{'verdict':<12} {'probability':>11} {'logit':>8} {'seconds':>7}  path", style="bold"))

    def write(verdict: Verdict) -> None:
        name = printable(verdict.path)
        if verdict.error is not None:
            why = printable(verdict.error)
            line = Text(f"{'unreadable':<12} {'':>11} {'':>8} {verdict.seconds:>7.3f}  {name}: {why}", style="dim")
        else:
            line = Text(f"{verdict.verdict:<12}", style=COLOURS[str(verdict.verdict)])
            numbers = f" {verdict.probability:>11.3f} {verdict.logit:>8.2f} {verdict.seconds:>7.3f}  {name}"
            line.append(numbers, style="default")
            if verdict.low is not None:
                line.append(f" [{verdict.low:.3f}, {verdict.high:.3f}]", style="default")
            line.append(f" ({verdict.remark})" if verdict.remark else "", style="dim")
            line.append(f"; {printable(verdict.provenance.words)}" if verdict.provenance else "", style="dim")
        console.print(line)

    return write


@dataclass
class Tally:
    """How many verdicts there were of each kind, for the last line and the exit status."""

    real: int = 0
    synthetic: int = 0
    inconclusive: int = 0
    unreadable: int = 0

    def add(self, verdict: Verdict) -> None:
        kind = "unreadable" if verdict.error is not None else str(verdict.verdict)
        setattr(self, kind, getattr(self, kind) + 1)

    @property
    def judged(self) -> int:
        return self.real + self.synthetic + self.inconclusive

    def __str__(self) -> str:
        n = self.judged + self.unreadable
        parts = [f"{count} {kind}" for kind, count in vars(self).items() if count]
        return f"{n} {'picture' if n == 1 else 'pictures'}" + (f": {', '.join(parts)}" if parts else "")


def write_all(verdicts: Iterable[Verdict], write: Write, advance: Callable[[], None] = lambda: None) -> Tally:
    """Write every verdict as it comes; holds none of them."""
    tally = Tally()
    for verdict in verdicts:
        write(verdict)
        tally.add(verdict)
        advance()
    return tally
