"""Options that several commands share, and how they end when something is wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from rine import arithmetic, extensions
from rine.arithmetic import Mode
from rine.commands.ending import ended_in_order, require_memory
from rine.paths import Paths
from rine.terminal import message, reason

PANEL = "Use a model"
UNUSABLE = 2  # exit status: nothing was judged. 1 says that something could not be read.

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A model that `rine best` stored (four_class, ...), or a model file; best: that of `best.default` in "
        "params.yaml.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Crops = Annotated[
    Literal["centre", "ten", "grid"],
    typer.Option(
        help="What of a picture is judged: its centre, ten crops, or a grid over all of it; crops get a mean logit."
    ),
]
Arithmetic = Annotated[
    Mode,
    typer.Option(
        help="portable: for a model of a portable study, the very bits of its scores; fast: other last digits, sooner."
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Call it synthetic from this probability, else real; no third verdict."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")]

# of the stages
STUDY = "The study, stage by stage (dvc.yaml calls these)"
ParamsFile = Annotated[Path, typer.Option("--params", help="The study in force.")]
Artifacts = Annotated[Path, typer.Option(help="Where the stages keep their large results.")]
Metrics = Annotated[Path, typer.Option(help="Where the stages write their metrics.")]
Encoder = Annotated[str, typer.Argument(help="A name under `encoders` of the params file.")]
Setting = Annotated[str, typer.Argument(help="A name under `settings` of the params file.")]
FeatureSet = Annotated[str, typer.Argument(help="train, test, ldm, synthbuster or perturb.")]
Part = Annotated[
    str | None,
    typer.Option(
        help="Fill the store with every 16th unit (3/16), or with what Slurm, ... says (auto): docs/clusters.md."
    ),
]
StoredModel = Annotated[str, typer.Argument(help="A name under `best.models` of the params file.")]
Scores = Annotated[
    Path | None, typer.Option(help="A scores file (docs/scores.md) to take instead of the study, and nothing else.")
]
Latex = Annotated[bool, typer.Option(help="Also write each table as LaTeX.")]
PageOnly = Annotated[bool, typer.Option(help="Write the page alone, nothing that DVC tracks.")]
With = Annotated[
    list[Path] | None,
    typer.Option("--with", help="A scores folder of another study to lay beside (docs/scores.md); repeatable."),
]
PageFolder = Annotated[
    Path | None, typer.Option(help="Folder of the page.", show_default="report, or report/FILE with --scores FILE")
]

# the defaults are the names in dvc.yaml
PARAMS, ARTIFACTS, METRICS = Path("params.yaml"), Paths().artifacts, Paths().metrics


@contextmanager
def plain_errors(command: str) -> Iterator[None]:
    """Show what the user can mend as one message, without a trace (RINE_TRACE=1 shows it), and exit with status 2."""
    try:
        require_memory()
        with ended_in_order(f"rine {command}: ended by SIGTERM"):
            yield
    except KeyboardInterrupt:
        typer.secho(f"rine {command}: interrupted", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        raise
    except Exception as error:
        typer.secho(message(f"rine {command}: {reason(error)}"), fg="red", err=True)
        raise typer.Exit(UNUSABLE) from error


def refuse_overwriting(asked: bool, *files: Path) -> None:
    """Raise `FileExistsError` where one of the files is there and nobody asked for another in its place."""
    there = [str(file) for file in files if file.exists()]
    if there and not asked:
        are = "is" if len(there) == 1 else "are"
        raise FileExistsError(f"{' and '.join(there)} {are} there already: add --overwrite, or write elsewhere")


def free_model_file(out: Path, overwrite: bool) -> None:
    """Raise `ValueError` for another name than .safetensors, `FileExistsError` where the file or its card is."""
    if out.suffix != ".safetensors":
        raise ValueError(f"--output {out}: a model file ends in .safetensors (its card, beside it, in .md)")
    refuse_overwriting(overwrite, out, out.with_suffix(".md"))


def need(module: str, extra: str) -> None:
    """Raise `ImportError` that says what to install where an optional part of the project is missing."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise ImportError(f"this needs {module}, which is not installed: pip install 'rine[{extra}]'")


def prepare_libraries(mode: Mode) -> None:
    """Choose the arithmetic, and let PyTorch's threads sleep while they wait for each other; call before its import.

    They spin by default, and where anything else wants the cores one small picture then takes a second, not a fiftieth
    of one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # which holds texts for pandas, and by its own allocator takes nearly twice their size
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    arithmetic.use(mode)
    extensions.load()
