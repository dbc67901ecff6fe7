"""`rine explain`: why a picture got its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rine.commands.options import (
    Arithmetic,
    Crops,
    Device,
    Model,
    Overwrite,
    Threshold,
    plain_errors,
    prepare_libraries,
    refuse_overwriting,
)
from rine.terminal import message


def explain(
    image: Annotated[str, typer.Argument(help="A picture: a path or a file:// URL.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write; .png and .json are put in its suffix's place.",
            show_default="IMAGE.explained",
        ),
    ] = None,
    overwrite: Overwrite = False,
    cells: Annotated[int, typer.Option(min=1, max=32, help="Crops a side of the map at most.")] = 8,
    crops: Crops = "centre",
    model: Model = "best",
    device: Device = "auto",
    threshold: Threshold = None,
    arithmetic: Arithmetic = "fast",
) -> None:
    """Write a PNG and a JSON file that show what a verdict rests on.

    A map of scores over squares at native resolution, with those outlined that made the verdict; whether it holds under
    mild JPEG, resizing and cropping; the layers of the encoder; and what one has to know who gets it passed on: file,
    digest, model, what that learnt from, date, cautions.

    Example: rine explain suspect.jpg --output evidence/suspect
    """
    prepare_libraries(arithmetic)
    with plain_errors("explain"):
        from rine.commands.arguments import local_path
        from rine.detector.stored import require_weights

        path = local_path(image) if "://" in image else image
        base = output.with_suffix("") if output and output.suffix in {".png", ".json"} else output
        # beside the working folder's other files, not the picture's: a read-only archive stays as it is
        base = base or Path(f"{Path(path).stem}.explained")
        written = [base.with_name(f"{base.name}.{kind}") for kind in ("png", "json")]
        refuse_overwriting(overwrite, *written)
        require_weights(model)
        from rine.detector import Detector
        from rine.detector.explain import explain as gather
        from rine.detector.inputs import provenance_of
        from rine.detector.origin import digest_of

        detector = Detector.load(model, device=device, threshold=threshold)
        pixels = detector.pixels(path)
        evidence = gather(detector, pixels, crops, cells, path, digest_of(path), provenance_of(path))

        from rine.detector.explanation import explanation
        from rine.drawing import png
        from rine.files import write_whole

        base.parent.mkdir(parents=True, exist_ok=True)
        write_whole(written[0], png(explanation(pixels, evidence)))
        write_whole(written[1], (json.dumps(evidence.as_dict(), indent=1) + "\n").encode())
    typer.echo(f"{evidence.headline} ({evidence.stability}, logit {evidence.verdict.logit:.2f})")
    for caution in detector.cautions:
        typer.echo(message(f"caution: {caution}"), err=True)
    typer.echo(message(f"wrote {written[0]} and {written[1]}"), err=True)
