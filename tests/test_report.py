"""The report: all that is there, a word on what is not, the same files twice, one page that needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from made_study import FEW, SMALL, TEST_SETS, places, study_in, write_for_report
from page_of_report import Page
from rine.drawing import png, styled
from rine.evaluation.intervals import interval
from rine.report.labels import label, labels_of
from rine.report.page import as_markdown
from rine.report.section import Report
from rine.report.sections import SECTIONS
from rine.report.sections.perturb import degradation
from rine.report.study import Study
from rine.report.write import compile_report, figures_of
from rine.scores import ImageScores
from rine.scores.table import read_scores
from rine.stages.report import run as report

ROOT = Path(__file__).parents[1]
FIGURES = {
    "rules", "generators", "roc", "pr", "ablate", "perturb", "degradation", "epochs", "dataset_size", "ldm", "grid",
    "head_size", "importance", "embeddings", "released",
}  # fmt: skip


def encoders(pretrained: str) -> dict:
    return {name: replace(encoder, pretrained=pretrained) for name, encoder in SMALL.encoders.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A folder with a whole study and its report, and what that was made of."""
    folder = tmp_path_factory.mktemp("study")
    write_for_report(folder)
    compiled: list[Report] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "rine.stages.report.compile_report", lambda study: compiled.append(compile_report(study)) or compiled[0]
        )
        line = report(SMALL, places(folder), latex=True)
    assert line.endswith("30 tables, 15 figures")
    return folder, compiled[0]


@pytest.fixture(scope="module")
def whole(made: tuple[Path, Report]) -> Path:
    return made[0]


@pytest.fixture(scope="module")
def contents(made: tuple[Path, Report]) -> Report:
    return made[1]


def section_of(study: Study, key: str) -> str:
    """One section's words and tables as report.md has them."""
    return as_markdown("", "", [], compile_report(study, [each for each in SECTIONS if each.key == key]))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same study to be changed."""
    shutil.copytree(whole, tmp_path / "study")
    return tmp_path / "study"


def test_every_figure_has_a_picture_and_its_data(whole: Path):
    assert {path.stem for path in (whole / "plots").glob("*.png")} == FIGURES
    assert {path.stem for path in (whole / "plots").glob("*.csv")} == FIGURES
    for path in (whole / "plots").glob("*.csv"):
        table = pd.read_csv(path)
        assert len(table), path
        assert {"panel", "series"} <= set(table), path
    for name in ("ablate", "perturb"):
        table = pd.read_csv(whole / "plots" / f"{name}.csv").dropna(subset=["low", "high"])
        assert len(table)
        assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_the_page_needs_nothing_else(whole: Path):
    page = Page((whole / "report" / "index.html").read_text())
    assert page.open == []
    assert len(page.images) == len(FIGURES)
    assert all(asked.startswith(("data:image/png;base64,", "#")) for asked in page.asked)
    assert all(image["alt"] for image in page.images)
    assert len(set(page.ids)) == len(page.ids)
    assert {asked[1:] for asked in page.asked if asked.startswith("#")} <= set(page.ids)


def test_the_page_and_every_figure_of_the_sample_say_that_it_says_nothing(
    whole: Path, contents: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = "say nothing about the method"
    assert (whole / "report" / "index.html").read_text().count(words) >= 2
    assert words in (whole / "report" / "report.md").read_text()
    [figure] = [figure for figure in figures_of(contents) if figure.key == "embeddings"]
    assert (whole / "plots" / "embeddings.png").read_bytes() != png(styled(figure.draw)())
    stamps: set[str] = set()
    monkeypatch.setattr("rine.stages.report.render", lambda report, stamp: stamps.add(stamp) or {})
    there = replace(places(whole), plots=tmp_path, page=tmp_path, metrics=tmp_path, plots_page=tmp_path / "plots.html")
    there.plots_page.write_text("<!-- no notice -->")  # or it is made anew, which takes a second
    report(replace(FEW, profile="paper", encoders=encoders("weights.pt")), there)
    assert "notice" not in re.sub(r"<style>.*?</style>", "", (tmp_path / "index.html").read_text(), flags=re.S)
    assert stamps == {""}
    report(replace(FEW, profile="own", encoders=encoders("random")), there, page_only=True)
    assert "In this study every encoder has random weights" in (tmp_path / "index.html").read_text()
    assert stamps == {"", "Random weights: says nothing about the method"}


def test_the_same_scores_give_the_same_files_and_what_dvc_tracks_holds_no_time(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn = {path.stem: path.read_bytes() for path in (whole / "plots").glob("*.png")}  # test_plots draws them twice
    few = ("ldm", "importance", "embeddings")

    def render(report: Report, notice: str) -> Mapping[str, bytes]:
        return drawn | {f.key: png(styled(f.draw)(), notice) for f in figures_of(report) if f.key in few}

    monkeypatch.setattr("rine.stages.report.render", render)
    again = replace(
        places(whole), plots=tmp_path / "plots", metrics=tmp_path / "metrics", page=tmp_path / "report",
        timings=tmp_path / "timings.json",
    )  # fmt: skip
    again.timings.write_text((whole / "timings.json").read_text().replace("1.5", "777.75"))
    report(SMALL, again, latex=True)
    for folder in ("plots", "report", "metrics"):
        first = {p.relative_to(whole / folder): p.read_bytes() for p in (whole / folder).rglob("*") if p.is_file()}
        second = {
            p.relative_to(tmp_path / folder): p.read_bytes() for p in (tmp_path / folder).rglob("*") if p.is_file()
        }
        timed = {path for path in second if b"777.8" in second[path]}
        assert {path.name for path in timed} == ({"index.html", "report.md", "timings.tex"} & {p.name for p in first})
        times = {path: second[path].replace(b"777.8", b"1.5").replace(b"798.0", b"21.8") for path in timed}
        assert first == second | times  # a stage's, and the sum


def test_page_only_touches_nothing_that_dvc_tracks(copy: Path):
    shutil.rmtree(copy / "metrics")
    before = {path: path.stat().st_mtime_ns for path in (copy / "plots").iterdir()}
    shutil.rmtree(copy / "report")
    report(FEW, places(copy), page_only=True)
    assert (copy / "report" / "index.html").is_file()
    assert not (copy / "metrics").exists()
    assert {path: path.stat().st_mtime_ns for path in (copy / "plots").iterdir()} == before


def test_main_table_holds_the_means_over_seeds(whole: Path):
    scores = read_scores(whole / "artifacts" / "validate" / "scores.csv")
    mine = scores[(scores["classes"] == "horse") & (scores["generator"] == "stylegan")]
    row = next(row for row in Page((whole / "report" / "index.html").read_text()).rows if row[:1] == ["StyleGAN⚠"])
    assert row[1].startswith(f"{100 * mine['acc'].mean():.1f}[")
    published = read_scores(whole / "published" / "scores.csv")
    theirs = published[published["classes"] == "horse"]
    best = theirs.groupby("xi")[["acc", "ap"]].mean().sum(axis=1).idxmax()
    known = theirs.loc[(theirs["generator"] == "stylegan") & (theirs["xi"] == best), "acc"]
    assert row[2] == f"{100 * known.iloc[0]:.1f}"


def test_metrics_hold_the_headline_and_every_generator(whole: Path):
    headline = json.loads((whole / "metrics" / "report.json").read_text())
    assert set(headline) == {*SMALL.settings, "ldm"}
    assert headline["one_class"]["leave_one_generator_out"] == {"acc": 0.88, "ap": 0.93}
    generators = json.loads((whole / "metrics" / "generators.json").read_text())
    home = TEST_SETS.loc[TEST_SETS["study"] == "grid", "generator"]
    assert set(generators["four_class"]) == set(home)
    assert headline["four_class"]["acc"] == pytest.approx(np.mean([generators["four_class"][g]["acc"] for g in home]))


def test_models_are_averaged_over_their_own_study_alone(whole: Path):
    study = study_in(whole)
    assert study.in_study("LDM", "dalle2")
    assert not study.in_study("LDM", "mine")
    assert not study.in_study("4-class", "glide")
    generators = json.loads((whole / "metrics" / "generators.json").read_text())
    assert set(generators["ldm"]) == {"dalle2", "glide"}


def test_intervals_stand_in_the_tables(whole: Path):
    """The interval of a mean is that over the test sets of the setting's study."""
    from rine.evaluation.intervals import scored
    from rine.scores import test_sets_of

    scores = ImageScores.read(whole / "artifacts" / "validate")
    mine = scores.take((scores.runs["classes"] == "horse").to_numpy())
    sets = test_sets_of(mine.images, TEST_SETS[TEST_SETS["study"] == "grid"])
    estimate = scored(mine.images, sets, mine.logits).mean("acc", range(len(mine.logits)))
    found = interval(estimate, SMALL.report.confidence)
    row = next(row for row in Page((whole / "report" / "index.html").read_text()).rows if row[:1] == ["Mean"])
    assert found is not None
    assert row[1].endswith(f"[{100 * found.low:.1f}, {100 * found.high:.1f}]°")
    assert "from fewer than 50 real or 50 synthetic pictures" in (whole / "report" / "report.md").read_text()


def test_a_large_difference_is_not_called_chance(whole: Path):
    text = (whole / "report" / "report.md").read_text()
    ablated = next(line for line in text.splitlines() if line.startswith("| without the contrastive loss"))
    assert "≈" not in ablated
    assert "−" in ablated


def test_findings_stand_at_the_numbers_they_concern(whole: Path):
    page = Page((whole / "report" / "index.html").read_text())
    marked = {row[0] for row in page.rows if row and "⚠" in row[0]}
    assert marked == {"StyleGAN⚠"}
    text = (whole / "report" / "report.md").read_text()
    assert "a.png (train) and b.png (test) are the same file" in text.split("## The pictures")[1]
    assert "AP without one pixel: StyleGAN (99.0)" in text


@pytest.mark.parametrize(("mode", "words"), [("paper", "as the paper describes them"), ("reference", "published code")])
def test_the_mode_of_the_perturbations_is_named(whole: Path, mode: str, words: str):
    params = replace(FEW, perturb=replace(FEW.perturb, mode=mode))
    text = section_of(study_in(whole, params), "perturb")
    assert f"Mode: {mode} (" in text
    assert words in text


def test_degradation_starts_from_the_same_pictures_untouched(whole: Path):
    from sklearn.metrics import roc_auc_score

    study = study_in(whole)
    table = degradation(study)
    assert list(dict.fromkeys(table["kind"])) == ["JPEG quality", "blur, sigma in pixels"]
    jpeg = table[(table["setting"] == "1-class") & (table["kind"] == "JPEG quality")]
    assert jpeg["strength"].tolist() == ["none", "90", "50", "20"]
    clean, images = study.images("validate")["1-class"], study.images("validate")["1-class"].images
    source, y = images["source"], images["label"].to_numpy()
    home = TEST_SETS[TEST_SETS["study"] == "grid"]
    aucs, found = [], []
    for real, fake in zip(home["real"], home["fake"], strict=True):
        rows = np.flatnonzero(
            (((source == real) & (y == 0)) | ((source == fake) & (y == 1))) & (images["split"] == "test").to_numpy()
        )
        aucs.append(roc_auc_score(y[rows], clean.logits[0, rows]))
        found.append(np.mean(clean.logits[0, rows][y[rows] == 1] > 1.0))  # the threshold of the fixture
    assert jpeg["auc"].iloc[0] == pytest.approx(np.mean(aucs))
    assert jpeg["tpr"].iloc[0] == pytest.approx(np.mean(found))


def test_nothing_is_said_of_a_threshold_that_was_not_fitted(copy: Path):
    from safetensors.numpy import save_file

    reason = "on the validation pictures, real ones score higher than synthetic ones"
    header = {"rine": json.dumps({"meta": {"calibration": {"reason": reason}}})}
    model = copy / "artifacts" / "best" / "one_class" / "model.safetensors"
    save_file({"alpha": np.zeros(1, np.float32)}, model, metadata=header)
    table = degradation(study_in(copy)).groupby("setting")[["auc", "tpr", "fpr"]].count()
    assert table.loc["1-class", "auc"] > 0
    assert table.loc["1-class", ["tpr", "fpr"]].sum() == 0
    assert table.loc["4-class"].min() > 0
    study = study_in(copy)
    assert f"1-class: no threshold was fitted ({reason})" in section_of(study, "perturb")
    lacking = "Accuracy at the calibrated threshold, Expected calibration error, calibrated"
    assert f"– in 1-class: {lacking}: not calibrated: {reason}." in section_of(study, "metrics")


def test_published_rules_are_those_on_the_same_test_sets(copy: Path):
    study = study_in(copy)
    assert set(study.published["generator"]) <= set(study.all_scores["generator"])
    whole = study.published_rules
    extra = study.published.assign(generator=study.published["generator"] + "-elsewhere", acc=0.1, ap=0.1)
    more = replace(study, published=pd.concat([study.published, extra], ignore_index=True))
    pd.testing.assert_frame_equal(more.published_rules, whole)


def test_a_setting_is_told_from_another_with_as_many_classes():
    settings = {"one_class": ("biggan",), "two_class": ("cat", "car")}
    known = labels_of(pd.DataFrame({"classes": ["horse", "car cat"]}), settings=settings)
    assert label("progan", ["biggan"], known) == "1-class (biggan)"
    assert label("progan", ["horse"], known) == "1-class (horse)"
    assert label("progan", ["cat", "car"], known) == "2-class"
    assert label("ldm", [], known) == "LDM"


def test_a_setting_of_ones_own_is_called_by_its_name():
    known = labels_of(pd.DataFrame({"classes": ["horse", "a b"]}), settings={"my_pictures": ("b", "a")})
    assert label("progan", ["a", "b"], known) == "my pictures"
    assert label("progan", ["horse"], known) == "1-class"


def test_latex_has_a_file_for_each_table(whole: Path, contents: Report):
    tables = [table.key for content in contents.values() for table in content.tables]
    assert len(set(tables)) == len(tables)
    assert {path.stem for path in (whole / "report" / "latex").iterdir()} == set(tables)


def test_tables_have_a_cell_for_each_column(contents: Report):
    for content in contents.values():
        for table in content.tables:
            assert {len(row.cells) for row in table.rows} == {len(table.columns)}, table.key
            assert not table.groups or sum(span for _, span in table.groups) == len(table.columns), table.key


def test_dvc_plots_are_what_the_report_writes(whole: Path):
    """Every plot that DVC is told of is a file of the report with those columns, drawn by a template of ours."""
    folder = ROOT / "pipeline" / "figures"
    plots = yaml.safe_load((folder / "dvc.yaml").read_text())["plots"]
    named = set()
    for entry in plots:
        [(name, spec)] = entry.items()
        assert (ROOT / ".dvc" / "plots" / f"{spec['template']}.json").is_file(), name
        for axis in ("x", "y"):
            [(path, column)] = spec[axis].items()
            file = (folder / path).resolve().relative_to(ROOT)
            named.add(file.stem)
            assert column in pd.read_csv(whole / file), (name, path, column)
    assert named == FIGURES
