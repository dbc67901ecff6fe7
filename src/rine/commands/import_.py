"""`rine import`: a model that the authors of RINE published, as a model file of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rine.commands.options import Overwrite, free_model_file, plain_errors
from rine.terminal import message


def import_(
    file: Annotated[Path, typer.Argument(help="A file of the authors: model_4class_trainable.pth, ...")],
    setting: Annotated[
        str | None,
        typer.Option(help="Which it is: one_class, two_class, four_class or ldm. Its name is not trusted."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write.", show_default="FILE.safetensors, here"),
    ] = None,
    overwrite: Overwrite = False,
    encoder: Annotated[str, typer.Option(help="The encoder it was trained on, as open_clip names it.")] = "ViT-L-14",
    pretrained: Annotated[
        str, typer.Option(help="The encoder's weights: openai, or a file of them, whose digest is then kept.")
    ] = "openai",
) -> None:
    """Turn a published model into a model file, with all that is known of it and a model card beside it.

    No code in the file is ever run. Example: rine import model_4class_trainable.pth --setting four_class
    """
    with plain_errors("import"):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file")
        from rine.detector.published import ENCODER, convert
        from rine.encoder.config import EncoderConfig

        name = ENCODER.name if encoder == ENCODER.model else encoder
        config = EncoderConfig(name=name, model=encoder, pretrained=pretrained, seed=0)
        out = output or Path(f"{file.stem}.safetensors")  # here: where a download lies nobody may want to write
        free_model_file(out, overwrite)
        typer.echo(message(convert(file, out, setting, config)))
