"""`rine calibrate`: a model's thresholds, fitted on pictures of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rine.commands.labelled import Fake, Real, Table, labelled
from rine.commands.options import Arithmetic, Device, Overwrite, free_model_file, plain_errors, prepare_libraries
from rine.terminal import message


def calibrate(
    model: Annotated[str, typer.Argument(help="A stored model (four_class, ..., best) or a model file.")],
    real: Real = None,
    fake: Fake = None,
    table: Table = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The model file to write.", show_default="MODEL.calibrated.safetensors"),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    arithmetic: Arithmetic = "fast",
) -> None:
    """Fit thresholds and probabilities of a model on your own pictures, and write it as another model file.

    A threshold for 1 % false alarms needs 99 real pictures, one for 5 % 19. Real pictures alone give thresholds, and
    verdicts `synthetic` or `inconclusive`. Pictures that the model was trained on are refused.

    Example: rine calibrate four_class --real holidays/ --fake generated/
    """
    prepare_libraries(arithmetic)
    with plain_errors("calibrate"):
        pictures = labelled(real, fake, table)
        from rine.detector.stored import find_model, require_weights

        path = find_model(model)
        name = path.parent.name if path.name == "model.safetensors" else path.stem
        out = output or Path(f"{name}.calibrated.safetensors")
        free_model_file(out, overwrite)
        require_weights(path)
        from rine.detector import Detector
        from rine.own.calibrate import fitted, said, store
        from rine.own.pictures import judge

        judged = judge(Detector.load(path, device=device), pictures)
        for note in judged.notes:
            typer.echo(message(f"caution: {note}"), err=True)
        for path_, reason in judged.skipped.itertuples(index=False):
            typer.echo(message(f"left out: {path_}: {reason}"), err=True)
        calibration = fitted(judged)  # or why not, after what may explain it
        store(path, out, calibration, judged)
    for line in said(calibration, judged):
        typer.echo(message(line))
    typer.echo(message(f"wrote {out}: rine predict ... --model {out}"), err=True)
