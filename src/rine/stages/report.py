"""Tables, figures and one page, from whatever scores there are: no model, no GPU, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rine.params import Params
from rine.report.offline import PLACE, write_template
from rine.report.section import Report
from rine.report.study import Study, from_scores, gather
from rine.report.write import (
    compile_report,
    figures_of,
    render,
    write_latex,
    write_metrics,
    write_page,
    write_plots,
)

PUBLISHED = "Published: what the authors of RINE published with their code."
SAMPLE = "sample"  # the profile whose figures say nothing about the method


@dataclass(frozen=True)
class Places:
    """Where the report reads and writes."""

    artifacts: Path = Path("artifacts")
    metrics: Path = Path("metrics")
    plots: Path = Path("plots")
    page: Path = Path("report")
    published: Path = Path("pipeline/published")
    timings: Path = Path(".rine/timings.json")
    dvc_page: Path = PLACE


def report(params: Params, places: Places, latex: bool = False, page_only: bool = False) -> str:
    """Write plots/, the metrics report.json and generators.json, and the page; parts that are missing are named in it.

    With `page_only` nothing that DVC tracks is written: the page alone, with the times of all stages.
    """
    study = gather(params, places.artifacts, places.published, places.timings)
    sample = params.profile == SAMPLE
    notice, stamp = _caution(params)
    lead = [
        *([] if sample else [params.about.strip()]),
        f"Encoder: {study.encoder}. {_interval_note(params)} {PUBLISHED}",
    ]
    contents = compile_report(study)
    images = _drawn(contents, places.plots) if page_only else {}
    images = images or render(contents, stamp)
    if not page_only:
        write_plots(contents, images, places.plots)
        write_metrics(study, places.metrics)
        write_template(places.dvc_page, notice)
    write_page(f"RINE: {params.profile} study", notice, lead, contents, images, places.page)
    if latex:
        write_latex(contents, places.page)
    return _line(study, contents, images, places.page)


def _caution(params: Params) -> tuple[str, str]:
    """Why a study's figures say nothing about the method, for the page and for each figure; empty where they may."""
    encoder = params.encoders[params.encoder]
    if params.profile == SAMPLE:
        return f"Sample study. {params.about.strip()}", "Sample study: says nothing about the method"
    if encoder.pretrained == "random":
        notice = f"{encoder.name} has random weights in this study: its figures say nothing about the method."
        return notice, "Random weights: says nothing about the method"
    return "", ""


def report_scores(scores: Path, places: Places, latex: bool = False) -> str:
    """Draw every table and figure that a scores file allows: of another method, say, or the published scores."""
    study = from_scores(scores, places.published)
    contents = compile_report(study)
    images = render(contents)
    lead = [f"Ours: {scores.name}. {PUBLISHED}"]
    write_page(f"RINE: {scores.name}", "", lead, contents, images, places.page)
    if latex:
        write_latex(contents, places.page)
    return _line(study, contents, images, places.page)


def _interval_note(params: Params) -> str:
    return (
        f"Intervals in brackets are of {params.report.confidence:.0%}, over the test pictures, by class and within "
        "each generator; real pictures that several generators share count once (docs/statistics.md)."
    )


def _drawn(contents: Report, plots: Path) -> dict[str, bytes]:
    """The figures as an earlier run drew them; none where one of them is missing."""
    paths = {figure.key: plots / f"{figure.key}.png" for figure in figures_of(contents)}
    return {key: path.read_bytes() for key, path in paths.items()} if all(map(Path.is_file, paths.values())) else {}


def _line(study: Study, contents: Report, images: dict[str, bytes], page: Path) -> str:
    n_tables = sum(len(content.tables) for content in contents.values())
    missing = f"; not there yet: {', '.join(study.missing)}" if study.missing else ""
    return f"{page / 'index.html'}: {n_tables} tables, {len(images)} figures{missing}"
