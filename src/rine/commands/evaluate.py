"""`rine evaluate`: how often a model is right on pictures of one's own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rine.commands.labelled import Fake, Real, Table, labelled
from rine.commands.options import (
    Arithmetic,
    Crops,
    Device,
    Overwrite,
    Threshold,
    plain_errors,
    prepare_libraries,
    refuse_overwriting,
)
from rine.terminal import message

if TYPE_CHECKING:
    from rine.detector import Detector
    from rine.own.measure import Measured
    from rine.own.pictures import Judged


def evaluate(
    model: Annotated[str, typer.Argument(help="A stored model (four_class, ..., best) or a model file.")],
    real: Real = None,
    fake: Fake = None,
    table: Table = None,
    out: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("evaluation"),
    overwrite: Overwrite = False,
    worst: Annotated[int, typer.Option(min=0, max=50, help="Of how many pictures of each kind to draw a map.")] = 10,
    crops: Crops = "centre",
    device: Device = "auto",
    threshold: Threshold = None,
    arithmetic: Arithmetic = "fast",
) -> None:
    """Measure a model on your own pictures: verdicts, false alarms, what is found, curves, and the worst mistakes.

    Each figure has an interval. One kind of pictures alone gives its rate. The folder gets a page (index.html), its
    figures as evaluation.json and a row a picture as pictures.csv.

    Example: rine evaluate best --real holidays/ --fake generated/
    """
    prepare_libraries(arithmetic)
    with plain_errors("evaluate"):
        pictures = labelled(real, fake, table)
        files = [out / name for name in ("index.html", "evaluation.json", "pictures.csv")]
        refuse_overwriting(overwrite, *files)
        from rine.detector.stored import require_weights

        require_weights(model)
        from rine.detector import Detector
        from rine.own.measure import measure
        from rine.own.pictures import judge

        detector = Detector.load(model, device=device, threshold=threshold)
        judged = judge(detector, pictures, crops)
        if judged.rows.empty:
            raise ValueError(
                f"none of {len(judged.skipped)} pictures could be read: {judged.skipped['reason'].iloc[0]}"
            )
        measured = measure(judged, detector.calibration)
        _write(detector, judged, measured, worst, crops, out)
    _say(judged, measured)
    for caution in [*detector.cautions, *judged.notes]:
        typer.echo(message(f"caution: {caution}"), err=True)
    if len(judged.skipped):
        typer.echo(f"{len(judged.skipped)} could not be read: the page names them", err=True)
    typer.echo(message(f"wrote {out / 'index.html'}"), err=True)


def _write(detector: Detector, judged: Judged, measured: list[Measured], worst: int, crops: Crops, out: Path) -> None:
    from rine import __version__
    from rine.files import write_whole
    from rine.own.measure import counts
    from rine.own.page import report
    from rine.report.write import render, write_page

    contents = report(detector, judged, measured, worst)
    known = detector.meta.get("calibrated") or {}
    lead = [
        f"Model {detector.name} on {detector.encoder.config.name}, crop rule {crops}, rine {__version__}.",
        "What it says holds for pictures like these, made and saved as they were, and for no others.",
    ]
    if known:
        lead.append(f"Its thresholds were fitted on {known.get('date')} by `rine calibrate`.")
    write_page(
        f"{detector.name} on your own pictures", ". ".join(detector.cautions), lead, contents, render(contents), out
    )
    values: dict[str, Any] = {
        "model": detector.name,
        "crops": crops,
        "threshold": detector.threshold,
        "cautions": [*detector.cautions, *judged.notes],
        "verdicts": counts(judged).to_dict("records"),
        "figures": [asdict(each) for each in measured],
        "left_out": judged.skipped.to_dict("records"),
    }
    write_whole(out / "evaluation.json", (json.dumps(values, indent=1) + "\n").encode())
    columns = ["path", "label", "source", "verdict", "probability", "logit", "width", "height", "format", "digest"]
    rows = judged.rows[columns].assign(truth=judged.rows["label"].map({0: "real", 1: "synthetic"}))
    rows.drop(columns="label").to_csv(out / "pictures.csv", index=False, lineterminator="\n", errors="surrogateescape")


def _say(judged: Judged, measured: list[Measured]) -> None:
    from rine.own.measure import counts

    for row in counts(judged).to_dict("records"):
        if not row["source"]:
            kind = "synthetic" if row["label"] else "real"
            verdicts = ", ".join(f"{row[name]} {name}" for name in ("real", "inconclusive", "synthetic"))
            typer.echo(f"{row['pictures']} {kind} pictures: {verdicts}")
    for each in measured:
        if each.value is not None:
            bounds = f" [{each.interval.low:.1%}, {each.interval.high:.1%}]" if each.interval else ""
            few = " (few pictures)" if each.interval and each.interval.few else ""
            typer.echo(f"{each.title}: {each.value:.1%}{bounds}{few}")
