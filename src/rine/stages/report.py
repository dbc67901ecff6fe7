"""Tables, figures and one page, from whatever scores there are: no model, no GPU."""

from __future__ import annotations

from pathlib import Path

from rine.params import Params
from rine.paths import Paths
from rine.report.offline import write_template
from rine.report.reading import refuse_undrawn
from rine.report.section import Report
from rine.report.study import Study, from_scores, gather
from rine.report.write import (
    compile_report,
    figures_of,
    render,
    write_latex,
    write_means,
    write_page,
    write_plots,
)

# all but `runtime`: the page shows them
TRACKED = (
    "profile",
    "about",
    "lr",
    "seeds",
    "encoder",
    "encoders",
    "settings",
    "prepare",
    "augmentation",
    "cache",
    "training",
    "grid",
    "select",
    "epochs",
    "dataset_size",
    "ablate",
    "best",
    "ldm",
    "perturb",
    "validate",
    "report",
    "detectors",
)
SAMPLE = "sample"  # the profile whose figures say nothing about the method


def run(
    study: Params, paths: Paths, latex: bool = False, page_only: bool = False, others: tuple[Path, ...] = ()
) -> str:
    """Write plots/, the metrics report.json and generators.json, and the page; parts that are missing are named in it.

    With `page_only` nothing that DVC tracks is written: the page alone, with the times of all stages. So it is with
    `others`, scores folders of other studies, which are laid beside.
    """
    page_only = page_only or bool(others)
    places = paths.artifacts, paths.published, paths.timings, paths.detector_times, others, paths.encoder_speeds
    results = gather(study, *places)
    sample = study.profile == SAMPLE
    notice, stamp = _caution(study)
    lead = [
        *([] if sample else [study.about.strip()]),
        f"Encoder: {results.encoder}. {_interval_note(study)}{_published(results)}",
    ]
    contents = compile_report(results)
    images = _drawn(contents, paths.plots) if page_only else {}
    images = images or render(contents, stamp)
    if not page_only:
        write_plots(contents, images, paths.plots)
        write_means(results, paths.metrics)
        write_template(paths.plots_page, notice)
    write_page(f"RINE: {study.profile} study", notice, lead, contents, images, paths.page)
    if latex:
        write_latex(contents, paths.page)
    return _line(results, contents, images, paths.page)


def _caution(params: Params) -> tuple[str, str]:
    """Why a study's figures say nothing about the method, for the page and for each figure; empty where they may."""
    if params.profile == SAMPLE:
        return f"Sample study. {params.about.strip()}", "Sample study: says nothing about the method"
    drawn = [encoder.name for encoder in params.encoders.values() if encoder.pretrained == "random"]
    if not drawn:
        return "", ""
    names = "every encoder" if 1 < len(drawn) == len(params.encoders) else " and ".join(drawn)
    has = "have" if " and " in names else "has"
    notice = f"In this study {names} {has} random weights: such figures say nothing about the method."
    in_force = params.encoders[params.encoder].pretrained == "random"
    return notice, "Random weights: says nothing about the method" if in_force else ""


def report_scores(scores: Path, paths: Paths, latex: bool = False) -> str:
    """Draw every table and figure that a scores file allows: of another method, say, or the published scores.

    Raises `ScoresError` for a row that nothing draws, and `ValueError` where the page would replace the study's.
    """
    if paths.page.resolve() == Paths().page.resolve():
        raise ValueError(f"--out {paths.page} is the page of the study: give another folder")
    study = from_scores(scores, paths.published)
    refuse_undrawn(study.all_scores, str(scores))
    contents = compile_report(study)
    images = render(contents)
    lead = [f"Ours: {scores.name}.{_published(study)}"]
    write_page(f"RINE: {scores.name}", "", lead, contents, images, paths.page)
    if latex:
        write_latex(contents, paths.page)
    return _line(study, contents, images, paths.page)


def _interval_note(params: Params) -> str:
    return (
        f"Intervals in brackets are of {params.report.confidence:.0%}, over the test pictures, by class and within "
        "each generator; real pictures that several generators share count once (docs/statistics.md)."
    )


def _published(study: Study) -> str:
    """What "published" means on the page, where something published stands beside what was scored."""
    return "" if study.published_rules.empty else " Published: what the authors of RINE published with their code."


def _drawn(contents: Report, plots: Path) -> dict[str, bytes]:
    """The figures as an earlier run drew them; none where one of them is missing."""
    paths = {figure.key: plots / f"{figure.key}.png" for figure in figures_of(contents)}
    return {key: path.read_bytes() for key, path in paths.items()} if all(map(Path.is_file, paths.values())) else {}


def _line(study: Study, contents: Report, images: dict[str, bytes], page: Path) -> str:
    n_tables = sum(len(content.tables) for content in contents.values())
    missing = f"; not there yet: {', '.join(study.missing)}" if study.missing else ""
    return f"{page / 'index.html'}: {n_tables} tables, {len(images)} figures{missing}"
