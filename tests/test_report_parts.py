"""A report of less: of a study without some stage, of one section, of a scores file alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from made_study import FEW, SMALL, places, run, study_in, write_for_report, write_index, write_stage
from page_of_report import Page
from rine.report.by_generator import draw_beside
from rine.report.section import Content, Report, Section
from rine.report.sections import SECTIONS
from rine.report.study import Study, from_scores
from rine.report.table import Row, Table, text
from rine.report.write import compile_report, write_page
from rine.scores.table import ScoresError, read_scores
from rine.stages.report import report_scores
from rine.stages.report import run as report

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole study, and a figure and its data of an earlier report."""
    folder = tmp_path_factory.mktemp("study")
    write_for_report(folder, FEW)
    (folder / "plots").mkdir()
    for name in ("epochs.png", "epochs.csv"):
        (folder / "plots" / name).write_bytes(b"of an earlier report")
    return folder


@pytest.fixture(scope="module")
def contents(whole: Path) -> Report:
    return compile_report(study_in(whole, FEW))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same study to be changed."""
    shutil.copytree(whole, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, where a test is about words and numbers."""
    monkeypatch.setattr("rine.stages.report.render", lambda report, notice="": {})


def test_what_a_study_does_without_is_not_missed(tmp_path: Path) -> None:
    study = replace(study_in(tmp_path), params=replace(SMALL, ldm=None))
    assert "training on latent diffusion" in study_in(tmp_path).missing
    assert "training on latent diffusion" not in study.missing
    assert "ldm" not in {section.key for section in compile_report(study)}


def test_scores_of_an_earlier_study_are_not_picked_up(copy: Path):
    grid = copy / "artifacts" / "grid"
    before = len(study_in(copy, FEW).scores("grid"))
    shutil.copytree(grid / f"{FEW.encoder}-four_class", grid / "old-four_class")
    assert len(study_in(copy, FEW).scores("grid")) == before


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["grid"], ["the grid"]),
        (["epochs", "dataset_size"], ["longer training", "smaller training sets"]),
        (["ablate", "perturb"], ["ablations", "perturbations"]),
        (["ldm"], ["training on latent diffusion"]),
        (["validate"], ["the chosen models"]),
        (["select", "best"], []),
        (["index"], []),
    ],
)
def test_a_study_without_some_stage_is_reported_and_says_so(copy: Path, gone: list[str], words: list[str]):
    for stage in gone:
        shutil.rmtree(copy / "artifacts" / stage)
    assert (copy / "plots" / "epochs.png").is_file()
    line = report(FEW, places(copy))
    text = (copy / "report" / "report.md").read_text()
    for each in words:
        assert each in line
        assert f"Not in this report, since it has not been run: {each}" in text
    Page((copy / "report" / "index.html").read_text())
    if "epochs" in gone:
        assert not (copy / "plots" / "epochs.png").exists()


def test_a_study_of_nothing_is_a_report_that_says_so(whole: Path, tmp_path: Path):
    shutil.copy(whole / "plots.html", tmp_path)
    line = report(SMALL, places(tmp_path))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "0 figures" in line
    assert text.count("Not in this report") == 7
    assert "Published: what" not in text  # nothing is
    assert "No model has been scored on the test sets yet." in text


def test_one_test_set_and_one_setting_are_enough(whole: Path, tmp_path: Path):
    shutil.copy(whole / "plots.html", tmp_path)
    write_index(tmp_path / "artifacts" / "index")
    runs = [run("validate", ("horse",), 0)]
    write_stage(tmp_path / "artifacts" / "validate", runs, "ldm")
    assert "figures" in report(SMALL, places(tmp_path))


def test_the_figure_of_one_generator_is_not_squashed():
    one = pd.DataFrame({"setting": "mine", "generator": "one", "metric": ["acc", "ap"], "ours": 0.8, "published": None})
    assert draw_beside(one).get_size_inches()[1] > 3  # two panels, one above the other


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.key)
def test_a_section_is_made_of_the_folders_that_it_names(
    whole: Path, contents: Report, tmp_path: Path, section: Section
):
    for name in ("published", "timings.json"):
        (tmp_path / name).symlink_to(whole / name)
    (tmp_path / "artifacts").mkdir()
    for name in section.reads:
        (tmp_path / "artifacts" / name).symlink_to(whole / "artifacts" / name)
    alone, among_all = section.make(study_in(tmp_path, FEW)), contents.get(section)
    if section.key in {"detectors", "one_class", "left_out"}:  # this study names none
        assert alone is among_all is None
        return
    assert alone is not None
    assert among_all is not None
    for part in ("text", "tables", "warnings"):
        assert getattr(alone, part) == getattr(among_all, part)
    assert [figure.key for figure in alone.figures] == [figure.key for figure in among_all.figures]
    for one, other in zip(alone.figures, among_all.figures, strict=True):
        pd.testing.assert_frame_equal(one.data, other.data)


def test_dvc_runs_the_report_again_where_a_folder_that_a_section_names_changed():
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["deps"]
    folders = {dep.removeprefix("artifacts/") for dep in deps if dep.startswith("artifacts/")}
    assert folders == {folder for section in SECTIONS for folder in section.reads}


def test_a_section_of_ones_own_is_one_record(whole: Path, tmp_path: Path):
    def count(study: Study) -> Content:
        table = Table("sets", "Sets", ["Family"], [Row([text(name)]) for name in study.test_sets["family"].unique()])
        return Content([f"{len(study.test_sets)} test sets"], [table])

    own = Section("own", "A section of one's own", ("index",), count)
    silent = Section("silent", "Nothing to say", (), lambda study: None)
    made = compile_report(study_in(whole, FEW), [own, silent])
    assert list(made) == [own]
    write_page("Own", "", [], made, {}, tmp_path)
    page = Page((tmp_path / "index.html").read_text())
    assert "section-own" in page.ids
    assert ["own"] in page.rows
    assert "7 test sets" in (tmp_path / "report.md").read_text()


def test_the_report_needs_no_torch():
    code = (
        "import sys; import rine.stages.report; from rine import params; from rine.encoder.facts import facts; "
        "[facts(each) for each in params.read('params.yaml').encoders.values()]; "
        "sys.exit(bool({'torch', 'open_clip', 'timm'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_scores_alone_make_every_table_and_figure_they_can(whole: Path, tmp_path: Path):
    published = ROOT / "pipeline" / "published"
    there = replace(places(tmp_path), published=published)
    line = report_scores(published / "scores.csv", there, latex=True)
    assert "6 figures" in line
    assert {path.stem for path in (tmp_path / "report" / "figures").iterdir()} == {
        "rules", "generators", "epochs", "ldm", "grid", "head_size",
    }  # fmt: skip
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| **4-class** | **91.5** | **91.5** | **87.8** | **91.5** | **+3.6** |" in text
    assert not (tmp_path / "plots").exists()
    latex = {path.stem for path in (tmp_path / "report" / "latex").iterdir()}
    assert {"headline", "generators_acc", "generators_ap", "ldm_acc", "head_sizes", "epochs"} <= latex


def test_another_method_without_hyper_parameters_is_laid_beside(tmp_path: Path):
    there = replace(places(tmp_path), published=ROOT / "pipeline" / "published")
    theirs = read_scores(there.published / "scores.csv").query("study == 'grid' and classes == 'horse'").head(20)
    empty = dict.fromkeys(["xi", "q", "d", "batch_size", "lr", "epochs", "val_acc", "val_loss"])
    theirs.assign(study="validate", backbone="ResNet-50", **empty).to_csv(tmp_path / "mine.csv", index=False)
    assert "1 figures" in report_scores(tmp_path / "mine.csv", there)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| ProGAN | 95.9 | 99.8 | −4.0 |" in text
    assert "Published: what the authors of RINE published" in text


def test_scores_that_cannot_be_used_name_line_and_column(tmp_path: Path):
    there = replace(places(tmp_path), published=ROOT / "pipeline" / "published")
    text = (there.published / "scores.csv").read_text().splitlines()
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join([*text[:5], text[5].rsplit(",", 1)[0] + ",nan"]))
    with pytest.raises(ScoresError, match=r"line 6, column ap"):
        report_scores(broken, there)


def test_from_scores_takes_the_better_encoder_of_the_grid():
    study = from_scores(ROOT / "pipeline" / "published" / "scores.csv", ROOT / "pipeline" / "published")
    assert study.encoder == "ViT-L/14"
    assert study.missing == [
        "longer training", "smaller training sets", "ablations", "the chosen models on every test set", "perturbations",
    ]  # fmt: skip
