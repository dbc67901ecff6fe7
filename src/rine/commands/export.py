"""`rine export`: a model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rine.commands.options import Model, Overwrite, need, plain_errors, refuse_overwriting


def export(
    onnx: Annotated[bool, typer.Option("--onnx", help=r"Write ONNX (needs rine\[onnx]).")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write.", show_default="MODEL.onnx")
    ] = None,
    overwrite: Overwrite = False,
    model: Model = "best",
    pixels: Annotated[
        Literal["uint8", "float32"], typer.Option("--input", help="Crops as uint8 in 0..255 or as floats in 0..1.")
    ] = "uint8",
) -> None:
    """Write encoder and head as one graph: crops (batch, 3, S, S) to logit and calibrated probability.

    The file is checked against PyTorch before it is put in place.

    Example: rine export --onnx --output four_class.onnx
    """
    with plain_errors("export"):
        if not onnx:
            raise ValueError("name the form to write: --onnx is the one there is")
        if output and output.suffix != ".onnx":
            raise ValueError(f"--output {output}: ONNX files end in .onnx; of safetensors, take the model file itself")
        for module in ("onnx", "onnxruntime", "onnxscript"):
            need(module, "onnx")
        from rine.detector.stored import require_weights

        require_weights(model)
        from rine.detector import Detector
        from rine.detector.export import export_onnx

        detector = Detector.load(model, device="cpu")
        path = output or Path(f"{detector.name}.onnx")
        refuse_overwriting(overwrite, path)
        difference = export_onnx(detector, path, pixels)
    size = path.stat().st_size / 1e6
    typer.echo(f"wrote {path} ({size:.1f} MB); largest difference from PyTorch {difference:.1e}")
