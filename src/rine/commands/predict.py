"""`rine predict`: pictures to verdicts."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rine.arithmetic import Mode
from rine.commands.arguments import Found, find
from rine.commands.options import UNUSABLE, Arithmetic, Crops, Device, Model, Threshold, plain_errors, prepare_libraries
from rine.commands.resume import resume
from rine.commands.rows import Form, Tally, write_all, writer
from rine.terminal import message

if TYPE_CHECKING:
    from rine.detector import Detector, Verdict

MANY = 20  # pictures from which a progress bar is worth its line


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders (recursively), globs, file:// URLs; - reads a list from standard input.",
            show_default=False,
        ),
    ],
    csv: Annotated[bool, typer.Option("--csv", help="Rows of CSV instead of a table.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line instead of a table.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file (.csv, .jsonl) instead of the terminal.")
    ] = None,
    resumed: Annotated[bool, typer.Option("--resume", help="Go on with a half-written CSV (--output).")] = False,
    crops: Crops = "centre",
    stable: Annotated[
        bool,
        typer.Option(
            "--stable", help="Judge each after JPEG 90, scaled by 0.9 and beside its middle too: 4 x the cost."
        ),
    ] = False,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Also read what each file says of itself: C2PA, IPTC, EXIF, texts."),
    ] = False,
    model: Model = "best",
    device: Device = "auto",
    threshold: Threshold = None,
    arithmetic: Arithmetic = "fast",
) -> None:
    """Say of each picture whether it is real or synthetic, with a calibrated probability.

    Exit status: 0 all were read, 1 some could not be read (their rows say why), 2 nothing was judged.

    Example: rine predict holiday.jpg downloads/ --csv --output verdicts.csv
    """
    start = time.perf_counter()
    with plain_errors("predict"):
        form = _form(csv, jsonl, output, resumed)
        detector = _load(model, device, threshold, arithmetic, stable)
        done = resume(output, detector.name, crops) if resumed and output else None
        seen = done.paths if done else frozenset()
        total = None if "-" in paths else sum(found.path not in seen for found in find(paths))
        wanted = (found for found in find(paths, sys.stdin) if found.path not in seen)
        try:
            verdicts = _verdicts(detector, wanted, crops)
            verdicts = map(_with_provenance, verdicts) if provenance else verdicts
            tally = _run(verdicts, total, form, output, append=resumed)
        except BrokenPipeError:  # `rine predict ... | head`: the reader has what it wanted
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
    for caution in detector.cautions:
        typer.echo(message(f"caution: {caution}"), err=True)
    before = f", {len(done.paths)} were there already" if done else ""
    seconds = time.perf_counter() - start
    typer.echo(f"{tally}{before} (model {detector.name}, {seconds:.1f} s)", err=True)
    if tally.unreadable and tally.judged == 0 and not done:
        raise typer.Exit(UNUSABLE)
    if tally.unreadable or (done and done.unreadable):
        raise typer.Exit(1)


def _form(csv: bool, jsonl: bool, output: Path | None, resumed: bool) -> Form:
    """The form of the rows, by the options or the file's name; raises `ValueError` for what does not go together."""
    if csv and jsonl:
        raise ValueError("--csv and --jsonl are two forms; choose one")
    form: Form = "csv" if csv else "jsonl" if jsonl else "table"
    if output is not None and form == "table":
        forms: dict[str, Form] = {".csv": "csv", ".jsonl": "jsonl"}
        if output.suffix not in forms:
            raise ValueError(f"--output {output}: add --csv or --jsonl, or name it .csv or .jsonl")
        form = forms[output.suffix]
    elif output is not None and output.suffix in {".csv", ".jsonl"} and output.suffix != f".{form}":
        raise ValueError(f"--{form} and --output {output} are two forms; choose one")
    if resumed and (form != "csv" or output is None):
        raise ValueError("--resume goes on with a CSV file: name it with --output FILE.csv")
    if output is not None and not resumed and output.is_file() and output.stat().st_size:
        go_on = "--resume goes on with it; else " if form == "csv" else ""
        raise ValueError(f"{output} is there already: {go_on}name another file or remove it")
    return form


def _load(model: str, device: str, threshold: float | None, arithmetic: Mode, stable: bool) -> Detector:
    prepare_libraries(arithmetic)
    from rine.detector.stored import require_weights

    require_weights(model)
    # PyTorch is most of a short command's time: nothing before this line imports it
    from rine.detector import Detector

    return Detector.load(model, device=device, threshold=threshold, stable=stable)


def _run(verdicts: Iterator[Verdict], total: int | None, form: Form, output: Path | None, append: bool) -> Tally:
    from rine.progress import progress

    bar = progress(total, "pictures", "predict") if total is not None and total >= MANY else nullcontext(None)
    with writer(form, output, append) as write, bar as shown:
        return write_all(verdicts, write, shown.advance if shown else lambda: None)


def _verdicts(detector: Detector, wanted: Iterator[Found], crops: Crops) -> Iterator[Verdict]:
    """Verdicts on what was found, in order; what could not be reached has its row too."""
    from rine.pixels.pictures import UnreadablePicture

    pictures = (found.path if found.error is None else UnreadablePicture(found.path, found.error) for found in wanted)
    return detector.stream(pictures, crops)


def _with_provenance(verdict: Verdict) -> Verdict:
    from rine.detector.inputs import provenance_of

    return verdict if verdict.error else replace(verdict, provenance=provenance_of(verdict.path))
