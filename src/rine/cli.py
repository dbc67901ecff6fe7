"""The command line: one command for each stage of the study, and the tools around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from rine.commands.ending import timed
from rine.commands.options import (
    ARTIFACTS,
    METRICS,
    PARAMS,
    STUDY,
    Artifacts,
    Encoder,
    FeatureSet,
    Latex,
    Metrics,
    PageFolder,
    PageOnly,
    ParamsFile,
    Part,
    Scores,
    Setting,
    StoredModel,
    With,
)
from rine.commands.panels import COMMANDS
from rine.commands.sample import sample
from rine.paths import Paths
from rine.running import read_study, run_stage

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


def whole(name: str, text: str) -> None:
    """The command of a stage that has no items."""

    def command(params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS) -> str:
        return run_stage(name, read_study(params), Paths(artifacts, metrics))

    command.__name__, command.__doc__ = name, f"{text}\n\nExample: rine {name}"
    stage(command)


stage(sample)
whole(
    "prepare",
    "Look at every picture once: tables of what there is, what could not be read, and what gives a class away.",
)


@stage
def cache(
    encoder: Encoder,
    feature_set: FeatureSet,
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    part: Part = None,
) -> str:
    """Send every picture of a feature set through the frozen encoder, once for each view, and keep the tokens.

    What the feature store holds already is not encoded again. Example: rine cache tiny_28 train
    """
    item = {"encoder": encoder, "feature_set": feature_set}
    return run_stage("cache", read_study(params), Paths(artifacts), **item, **({"part": part} if part else {}))


@stage
def grid(
    encoder: Encoder,
    setting: Setting,
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
) -> str:
    """Train every configuration of the grid for one encoder and one class setting, and score the test sets.

    Example: rine grid tiny_28 one_class
    """
    return run_stage("grid", read_study(params), Paths(artifacts, metrics), encoder=encoder, setting=setting)


whole("ldm", "Train on latent diffusion and test on Synthbuster, each picture in ten crops.")


@stage
def select(
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
    scores: Scores = None,
) -> str:
    """Choose a configuration for each setting by the rule of the params file, and lay every rule beside it.

    With a scores file, choose from that instead and print the rules.
    Example: rine select --scores pipeline/published/scores.csv
    """
    if scores is None:
        return run_stage("select", read_study(params), Paths(artifacts, metrics))
    from rine.commands.rules import print_rules

    print_rules(scores)
    return f"rules compared on {scores}"


whole("epochs", "Train the best configurations of each setting for longer, and look at them at several epochs.")
whole("dataset_size", "Train the chosen configuration of each setting on shares of the training pictures.")
whole("ablate", "Train the chosen configuration of each setting without one part of the method, part by part.")


@stage
def best(
    model: StoredModel, params: ParamsFile = PARAMS, artifacts: Artifacts = ARTIFACTS, metrics: Metrics = METRICS
) -> str:
    """Train and store the chosen model of a setting, calibrated on validation pictures, with its model card.

    Example: rine best four_class
    """
    return run_stage("best", read_study(params), Paths(artifacts, metrics), model=model)


whole(
    "perturb",
    "Score the stored models on perturbed test pictures: blur, crop, compress, noise, combined, and sweeps.",
)
whole("validate", "Score the stored models and the baselines on every test set.")
whole("detect", "Score other methods (`detectors` in the params file) on the study's pictures.")


@stage
def report(
    params: ParamsFile = PARAMS,
    artifacts: Artifacts = ARTIFACTS,
    metrics: Metrics = METRICS,
    scores: Scores = None,
    latex: Latex = False,
    page_only: PageOnly = False,
    with_: With = None,
    out: PageFolder = None,
) -> str:
    """Tables, figures and one page from whatever scores there are; says what is missing.

    With --scores a page of a scores file alone, and with --with one of the study beside others; only then nothing that
    DVC tracks is written. Example: rine report --with ../theirs/artifacts/validate
    """
    page = Paths().page
    if scores is None:
        paths, others = Paths(artifacts, metrics, page=out or page), tuple(with_ or ())
        return run_stage("report", read_study(params), paths, latex=latex, page_only=page_only, others=others)
    if with_:
        raise ValueError("--with lays scores folders beside the study's own; --scores draws a file and nothing else")
    from rine.stages.report import report_scores

    paths = Paths(artifacts, metrics, page=out or page / scores.stem)
    return report_scores(scores, paths, latex)


for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), rich_help_panel=panel)(command)


if __name__ == "__main__":
    app()
