"""The command line: one command for each stage of the study, and the tools around it."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from rine import arithmetic
from rine.commands.explain import explain
from rine.commands.export import export
from rine.commands.import_ import import_
from rine.commands.options import PANEL
from rine.commands.predict import predict
from rine.commands.serve import serve
from rine.commands.verify import verify
from rine.params import Params, ParamsError, read

app = typer.Typer(
    help="RINE: a detector of synthetic images, as a DVC pipeline. `dvc repro` runs the stages; each is a command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        from rine import __version__

        typer.echo(f"rine {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


STUDY = "The study, stage by stage (dvc.yaml calls these)"
ParamsFile = Annotated[Path, typer.Option("--params", help="The study in force.")]
Artifacts = Annotated[Path, typer.Option(help="Where the stages keep their large results.")]
Metrics = Annotated[Path, typer.Option(help="Where the stages write their metrics.")]
Encoder = Annotated[str, typer.Argument(help="A name under `encoders` of the params file.")]
Setting = Annotated[str, typer.Argument(help="A name under `settings` of the params file.")]

TIMINGS = Path(".rine/timings.json")


def _die_with_parent() -> None:
    """Make the kernel end this process when DVC is killed: a second `dvc repro` must not run beside an orphan."""
    if sys.platform == "linux" and "DVC_STAGE" in os.environ:
        import ctypes

        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _record(stage: str, seconds: float) -> None:
    """Keep how long a stage took, for the report; beside DVC's outputs, which hold no time."""
    try:
        times = dict(json.loads(TIMINGS.read_text()))
    except (OSError, ValueError, TypeError):  # none yet, or a damaged file: not worth the stage that has just ended
        times = {}
    times[stage] = round(seconds, 2)
    TIMINGS.parent.mkdir(exist_ok=True)
    whole = TIMINGS.with_suffix(f".{os.getpid()}")
    whole.write_text(json.dumps(times, indent=1, sort_keys=True))
    whole.replace(TIMINGS)


def stage(command: Callable[..., str]) -> Callable[..., None]:
    """Make a command of a function that returns one line on its work: that line with its time, errors without trace."""
    name = command.__name__.removesuffix("_")

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        _die_with_parent()
        start = time.perf_counter()
        try:
            line = command(*args, **kwargs)
        except (ParamsError, ValueError, OSError, ImportError) as error:
            if os.environ.get("RINE_TRACE"):
                raise
            typer.secho(f"rine {name}: {error}", fg="red", err=True)
            raise typer.Exit(1) from error
        seconds = time.perf_counter() - start
        _record("@".join([name, *(str(v) for k, v in kwargs.items() if k in _ITEMS)]), seconds)
        typer.echo(f"{name}: {line} ({seconds:.1f} s)")

    return app.command(name, rich_help_panel=STUDY)(run)


_ITEMS = ("encoder", "setting", "variant", "model", "item")


def _read(params: Path) -> Params:
    """The study in force, and its arithmetic from here on: nothing before this may import NumPy."""
    study = read(params)
    arithmetic.use(study.runtime.arithmetic)
    return study


def known(name: str, choices: Any, what: str) -> str:
    """Return `name` where it is one of `choices`; else an error that lists them."""
    if name not in choices:
        raise ValueError(f"no {what} {name!r} in the params file; choose from {sorted(choices)}")
    return name


@stage
def prepare(
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
    metrics: Metrics = Path("metrics"),
) -> str:
    """Look at every picture once: tables of what there is, what could not be read, and what gives a class away.

    Example: rine prepare
    """
    study = _read(params)
    from rine.stages.prepare import prepare as run

    return run(study.prepare, artifacts, metrics, study.settings)


# Stages of no items: name -> help. All three folders are where dvc.yaml looks for them.
WHOLE = {
    "ldm": "Train on latent diffusion and test on Synthbuster, each picture in ten crops.",
    "epochs": "Train the best configurations of each setting for longer, and look at them at several epochs.",
    "dataset_size": "Train the chosen configuration of each setting on shares of the training pictures.",
    "perturb": "Score the stored models on perturbed test pictures: blur, crop, compress, noise, all, and sweeps.",
    "validate": "Score the stored models and the baselines on every test set.",
}


def _whole(name: str, words: str) -> None:
    def command(
        params: ParamsFile = Path("params.yaml"),
        artifacts: Artifacts = Path("artifacts"),
        metrics: Metrics = Path("metrics"),
    ) -> str:
        study = _read(params)
        run = getattr(import_module(f"rine.stages.{name}"), name)
        return run(study, artifacts, metrics)

    command.__name__, command.__doc__ = name, f"{words}\n\nExample: rine {name}"
    stage(command)


for _name, _words in WHOLE.items():
    _whole(_name, _words)


@stage
def cache(
    item: Annotated[
        str, typer.Argument(help="A name under `cache.items` of the params file: <encoder>-<feature set>.")
    ],
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
) -> str:
    """Send every picture of a feature set through the frozen encoder, once for each view, and keep the tokens.

    What the feature store holds already is not encoded again. Example: rine cache tiny_16-train
    """
    study = _read(params)
    from rine.stages.cache import cache as run

    known(item, study.cache.items, "feature set under cache.items")
    return run(item, study, artifacts)


@stage
def grid(
    encoder: Encoder,
    setting: Setting,
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
    metrics: Metrics = Path("metrics"),
) -> str:
    """Train every configuration of the grid for one encoder and one class setting, and score the test sets.

    Example: rine grid tiny_16 one_class
    """
    study = _read(params)
    known(encoder, study.encoders, "encoder")
    known(setting, study.settings, "setting")
    from rine.stages.grid import grid as run

    return run(encoder, setting, study, artifacts, metrics)


@stage
def ablate(
    variant: Annotated[str, typer.Argument(help="What is left out: contrastive, importance or intermediate.")],
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
    metrics: Metrics = Path("metrics"),
) -> str:
    """Train the chosen configuration of each setting without one part of the method.

    Example: rine ablate intermediate
    """
    study = _read(params)
    from rine.stages.ablate import WITHOUT
    from rine.stages.ablate import ablate as run

    known(variant, WITHOUT, "ablation")
    return run(variant, study, artifacts, metrics)


@stage
def best(
    model: Annotated[str, typer.Argument(help="A name under `best.models` of the params file.")],
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
    metrics: Metrics = Path("metrics"),
) -> str:
    """Train and store the chosen model of a setting, calibrated on validation pictures, with its model card.

    Example: rine best four_class
    """
    study = _read(params)
    known(model, study.best.models, "model under best.models")
    from rine.stages.best import best as run

    return run(model, study, artifacts, metrics)


@stage
def select(
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
    metrics: Metrics = Path("metrics"),
    scores: Annotated[
        Path | None,
        typer.Option(help="Choose from this scores file instead (docs/scores.md), and print the rules."),
    ] = None,
) -> str:
    """Choose a configuration for each setting by the rule of the params file, and lay every rule beside it.

    Example: rine select --scores pipeline/published/scores.csv
    """
    if scores is not None:
        from rich.console import Console

        from rine.stages.select import select_published

        console = Console()
        # the table has twelve columns: in a narrow window or a file it would be cut to nothing
        Console(width=max(console.width, 130)).print(select_published(scores))
        return f"rules compared on {scores}"
    study = _read(params)
    import pandas as pd

    from rine.stages.select import select as run

    folders = {(e, s): artifacts / "grid" / f"{e}-{s}" for e in study.encoders for s in study.settings}
    folders[study.encoder, "ldm"] = artifacts / "ldm"
    test_sets = pd.read_csv(artifacts / "index" / "test_sets.csv")
    rules = {setting: study.select.rule for _, setting in folders}
    return run(
        folders,
        rules,
        study.encoder,
        study.select.top,
        test_sets,
        artifacts / "select",
        metrics / "select.json",
    )


@stage
def sample(
    root: Annotated[Path, typer.Argument(help="An empty or missing folder.")] = Path("data"),
    seed: Annotated[int, typer.Option(help="Of the pictures; data.dvc names those of seed 0.")] = 0,
) -> str:
    """Make the pictures of the sample study, in the folder layouts of the real data sets.

    Never touches a folder that holds anything else. Example: rine sample
    """
    from rine.sample import make_sample

    counts = make_sample(root, seed=seed, track=_tracked)
    new = counts.pop("new")
    return f"{sum(counts.values())} pictures in {root}/, {new} of them new"


def _tracked(things: Iterable[Any], total: int, description: str) -> Iterator[Any]:
    from rine.progress import progress

    with progress(total, "picture", description) as bar:
        for thing in things:
            yield thing
            bar.advance()


@stage
def report(
    params: ParamsFile = Path("params.yaml"),
    artifacts: Artifacts = Path("artifacts"),
    metrics: Metrics = Path("metrics"),
    scores: Annotated[
        Path | None,
        typer.Option(help="Draw what this scores file allows (docs/scores.md), and nothing else."),
    ] = None,
    latex: Annotated[bool, typer.Option(help="Also write each table as LaTeX.")] = False,
    page_only: Annotated[bool, typer.Option(help="Write the page alone, nothing that DVC tracks.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("report"),
) -> str:
    """Tables, figures and one page from whatever scores there are; says what is missing.

    Example: rine report --scores pipeline/published/scores.csv --out /tmp/published
    """
    study = None if scores is not None else _read(params)
    from rine.stages.report import Places, report_scores
    from rine.stages.report import report as run

    places = Places(artifacts=artifacts, metrics=metrics, page=out)
    if study is None:
        assert scores is not None
        return report_scores(scores, places, latex)
    return run(study, places, latex, page_only)


COMMANDS: dict[str, Callable[..., None]] = {
    "predict": predict,
    "explain": explain,
    "serve": serve,
    "export": export,
    "import": import_,
}
for _name, _command in COMMANDS.items():
    app.command(_name, rich_help_panel=PANEL)(_command)


app.command("verify", rich_help_panel=STUDY)(verify)

# the order of the graph, not of this file
_ORDER = ["sample", "prepare", "cache", "grid", "ldm", "select", "epochs", "dataset_size", "ablate", "best"]
app.registered_commands.sort(key=lambda c: _ORDER.index(str(c.name)) if c.name in _ORDER else len(_ORDER))


if __name__ == "__main__":
    app()
