"""The command line: one command for each stage of the study, and the tools around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from rine import arithmetic
from rine.commands.encoders import encoders
from rine.commands.ending import timed
from rine.commands.explain import explain
from rine.commands.export import export
from rine.commands.import_ import import_
from rine.commands.options import (
    ARTIFACTS,
    METRICS,
    PANEL,
    PARAMS,
    STUDY,
    Artifacts,
    Encoder,
    Metrics,
    ParamsFile,
    Setting,
)
from rine.commands.predict import predict
from rine.commands.sample import sample
from rine.commands.serve import serve
from rine.commands.verify import verify
from rine.params import Params, read
from rine.paths import Paths
from rine.tracked import view

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


def stage(command: Callable[..., str]) -> Callable[..., None]:
    return app.command(command.__name__, rich_help_panel=STUDY)(timed(command))


stage(sample)


def study(params_file: Path) -> Params:
    """Read the params file: here alone, and before any stage, for its arithmetic must be set before NumPy is there."""
    whole = read(params_file)
    arithmetic.use(whole.runtime.arithmetic)
    return whole


def check_choice(name: str, choices: Iterable[str], kind: str) -> None:
    """Raise an error that lists the choices where `name` is none of them."""
    if name not in choices:
        raise ValueError(f"no {kind} {name!r} in the params file; choose from {sorted(choices)}")


def run(name: str, whole: Params, artifacts: Path, metrics: Path, **item: str) -> str:
    """Run a stage with the sections of the study that it tracks."""
    module = import_module(f"rine.stages.{name}")
    return module.run(view(whole, name, module.TRACKED, **item), Paths(artifacts, metrics), **item)


@stage
def prepare(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
    """Look at every picture once: tables of what there is, what could not be read, and what gives a class away.

    Example: rine prepare
    """
    return run("prepare", study(params), artifacts, metrics)


@stage
def cache(
    item: Annotated[
        str, typer.Argument(help="A name under `cache.items` of the params file: <encoder>-<feature set>.")
    ],
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
) -> str:
    """Send every picture of a feature set through the frozen encoder, once for each view, and keep the tokens.

    What the feature store holds already is not encoded again. Example: rine cache tiny_16-train
    """
    whole = study(params)
    check_choice(item, whole.cache.items, "feature set under cache.items")
    from rine.stages.cache import cache as encode

    return encode(item, whole, artifacts)


@stage
def grid(
    encoder: Encoder,
    setting: Setting,
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
) -> str:
    """Train every configuration of the grid for one encoder and one class setting, and score the test sets.

    Example: rine grid tiny_16 one_class
    """
    whole = study(params)
    check_choice(encoder, whole.encoders, "encoder")
    check_choice(setting, whole.settings, "setting")
    return run("grid", whole, artifacts, metrics, encoder=encoder, setting=setting)


@stage
def ldm(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
    """Train on latent diffusion and test on Synthbuster, each picture in ten crops.

    Example: rine ldm
    """
    return run("ldm", study(params), artifacts, metrics)


@stage
def select(
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
    scores: Annotated[
        Path | None,
        typer.Option(help="Choose from this scores file instead (docs/scores.md), and print the rules."),
    ] = None,
) -> str:
    """Choose a configuration for each setting by the rule of the params file, and lay every rule beside it.

    Example: rine select --scores pipeline/published/scores.csv
    """
    if scores is None:
        return run("select", study(params), artifacts, metrics)
    from rine.commands.rules import print_rules

    print_rules(scores)
    return f"rules compared on {scores}"


@stage
def epochs(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
    """Train the best configurations of each setting for longer, and look at them at several epochs.

    Example: rine epochs
    """
    return run("epochs", study(params), artifacts, metrics)


@stage
def dataset_size(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
    """Train the chosen configuration of each setting on shares of the training pictures.

    Example: rine dataset_size
    """
    return run("dataset_size", study(params), artifacts, metrics)


@stage
def ablate(
    variant: Annotated[str, typer.Argument(help="What is left out: contrastive, importance or intermediate.")],
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
) -> str:
    """Train the chosen configuration of each setting without one part of the method.

    Example: rine ablate intermediate
    """
    whole = study(params)
    from rine.stages.ablate import WITHOUT

    check_choice(variant, WITHOUT, "ablation")
    return run("ablate", whole, artifacts, metrics, variant=variant)


@stage
def best(
    model: Annotated[str, typer.Argument(help="A name under `best.models` of the params file.")],
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
) -> str:
    """Train and store the chosen model of a setting, calibrated on validation pictures, with its model card.

    Example: rine best four_class
    """
    whole = study(params)
    check_choice(model, whole.best.models, "model under best.models")
    return run("best", whole, artifacts, metrics, model=model)


@stage
def perturb(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
    """Score the stored models on perturbed test pictures: blur, crop, compress, noise, all, and sweeps.

    Example: rine perturb
    """
    return run("perturb", study(params), artifacts, metrics)


@stage
def validate(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
    """Score the stored models and the baselines on every test set.

    Example: rine validate
    """
    return run("validate", study(params), artifacts, metrics)


@stage
def report(
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
    scores: Annotated[
        Path | None,
        typer.Option(help="Draw what this scores file allows (docs/scores.md), and nothing else."),
    ] = None,
    latex: Annotated[bool, typer.Option(help="Also write each table as LaTeX.")] = False,
    page_only: Annotated[bool, typer.Option(help="Write the page alone, nothing that DVC tracks.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Paths().page,
) -> str:
    """Tables, figures and one page from whatever scores there are; says what is missing.

    Example: rine report --scores pipeline/published/scores.csv --out /tmp/published
    """
    whole = None if scores else study(params)
    from rine.stages.report import Places, report_scores
    from rine.stages.report import report as draw

    places = Places(artifacts=artifacts, metrics=metrics, page=out)
    if scores is not None:
        return report_scores(scores, places, latex)
    assert whole is not None
    return draw(whole, places, latex, page_only)


COMMANDS: dict[str, Callable[..., None]] = {
    "predict": predict,
    "explain": explain,
    "serve": serve,
    "export": export,
    "import": import_,
}
for _name, _command in COMMANDS.items():
    app.command(_name, rich_help_panel=PANEL)(_command)

app.command("encoders", rich_help_panel=STUDY)(encoders)
app.command("verify", rich_help_panel=STUDY)(verify)


if __name__ == "__main__":
    app()
