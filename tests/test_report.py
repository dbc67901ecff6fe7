"""The report: all that is there, a word on what is not, the same files twice, one page that needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from made_study import SMALL, TEST_SETS, write_index, write_published, write_stage, write_study
from rine.drawing import png, styled
from rine.evaluation.intervals import interval
from rine.paths import Paths
from rine.report.labels import label, labels_of
from rine.report.page import as_markdown
from rine.report.section import Content, Report, Section
from rine.report.sections import SECTIONS
from rine.report.sections.perturb import degradation
from rine.report.study import Study, from_scores, gather
from rine.report.table import Row, Table, text
from rine.report.write import compile_report, figures_of, write_page
from rine.scores import ImageScores
from rine.scores.table import ScoresError, read_scores
from rine.stages.report import report_scores
from rine.stages.report import run as report

ROOT = Path(__file__).parents[1]
FIGURES = {
    "rules", "generators", "roc", "pr", "ablate", "perturb", "degradation", "epochs", "dataset_size", "ldm", "grid",
    "head_size", "importance", "embeddings", "released",
}  # fmt: skip


def places(folder: Path) -> Paths:
    return Paths(
        folder / "artifacts", folder / "metrics", folder / "plots", folder / "report", folder / "published",
        folder / "timings.json", folder / "plots.html",
    )  # fmt: skip


def study_in(folder: Path) -> Study:
    return gather(SMALL, folder / "artifacts", folder / "published", folder / "timings.json")


def encoders(pretrained: str) -> dict:
    return {name: replace(encoder, pretrained=pretrained) for name, encoder in SMALL.encoders.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole study and its report."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder / "artifacts")
    write_published(folder / "published")
    (folder / "timings.json").write_text('{"prepare": 1.5, "cache@tiny_28-train": 20.25}')
    (folder / "plots.html").write_text('<p class="notice" role="note">Sample study. ' + SMALL.about.strip() + "</p>")
    line = report(SMALL, places(folder), latex=True)
    assert line.endswith("30 tables, 15 figures")
    return folder


@pytest.fixture(scope="module")
def contents(whole: Path) -> Report:
    return compile_report(study_in(whole))


def section_of(study: Study, key: str) -> str:
    """One section's words and tables as report.md has them."""
    return as_markdown("", "", [], compile_report(study, [each for each in SECTIONS if each.key == key]))


def test_what_a_study_does_without_is_not_missed(tmp_path: Path) -> None:
    study = replace(study_in(tmp_path), params=replace(SMALL, ldm=None))
    assert "training on latent diffusion" in study_in(tmp_path).missing
    assert "training on latent diffusion" not in study.missing
    assert "ldm" not in {section.key for section in compile_report(study)}


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same study to be changed."""
    shutil.copytree(whole, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, where a test is about words and numbers."""
    monkeypatch.setattr("rine.stages.report.render", lambda report, notice="": {})


class Page(HTMLParser):
    """What a page asks for, its tags in order, and rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.asked += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag == "img":
            self.images.append(found)
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"} and self.rows:
            self.rows[-1].append("")
        if tag not in {"meta", "img", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data.strip()


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


def test_the_page_and_every_figure_of_the_sample_say_that_it_says_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch):
    words = "say nothing about the method"
    assert (whole / "report" / "index.html").read_text().count(words) >= 2
    assert words in (whole / "report" / "report.md").read_text()
    other = replace(SMALL, profile="paper", encoders=encoders("weights.pt"))
    there = replace(places(whole), plots=whole / "other", page=whole / "other", metrics=whole / "other")
    monkeypatch.setattr(
        "rine.report.write.figures_of", lambda report: [f for f in figures_of(report) if f.key == "grid"]
    )
    report(other, there)
    assert "notice" not in re.sub(r"<style>.*?</style>", "", (whole / "other" / "index.html").read_text(), flags=re.S)
    assert (whole / "other" / "grid.png").read_bytes() != (whole / "plots" / "grid.png").read_bytes()
    report(replace(SMALL, profile="own", encoders=encoders("random")), there, page_only=True)
    assert "In this study every encoder has random weights" in (whole / "other" / "index.html").read_text()


def test_the_same_scores_give_the_same_files(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn = {path.stem: path.read_bytes() for path in (whole / "plots").glob("*.png")}  # test_plots draws them twice
    few = ("ldm", "importance", "embeddings")
    monkeypatch.setattr(
        "rine.stages.report.render",
        lambda report, notice: (
            drawn | {f.key: png(styled(f.draw)(), notice) for f in figures_of(report) if f.key in few}
        ),
    )
    again = replace(places(whole), plots=tmp_path / "plots", metrics=tmp_path / "metrics", page=tmp_path / "report")
    report(SMALL, again, latex=True)
    for folder in ("plots", "report", "metrics"):
        first = {p.relative_to(whole / folder): p.read_bytes() for p in (whole / folder).rglob("*") if p.is_file()}
        second = {
            p.relative_to(tmp_path / folder): p.read_bytes() for p in (tmp_path / folder).rglob("*") if p.is_file()
        }
        assert first == second


@pytest.mark.usefixtures("undrawn")
def test_what_dvc_tracks_holds_no_time(copy: Path):
    for picture in (copy / "plots").glob("*.png"):
        picture.unlink()
    before = {p: p.read_bytes() for folder in ("plots", "metrics") for p in (copy / folder).rglob("*") if p.is_file()}
    (copy / "timings.json").write_text('{"prepare": 99}')
    report(SMALL, places(copy))
    assert {path: path.read_bytes() for path in before} == before
    assert "99.0" in (copy / "report" / "index.html").read_text()


def test_page_only_touches_nothing_that_dvc_tracks(copy: Path):
    shutil.rmtree(copy / "metrics")
    before = {path: path.stat().st_mtime_ns for path in (copy / "plots").iterdir()}
    shutil.rmtree(copy / "report")
    report(SMALL, places(copy), page_only=True)
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
    params = replace(SMALL, perturb=replace(SMALL.perturb, mode=mode))
    text = section_of(replace(study_in(whole), params=params), "perturb")
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


@pytest.mark.usefixtures("undrawn")
def test_published_rules_are_those_on_the_same_test_sets(copy: Path):
    study = study_in(copy)
    assert set(study.published["generator"]) <= set(study.all_scores["generator"])
    whole = study.published_rules
    extra = study.published.assign(generator=study.published["generator"] + "-elsewhere", acc=0.1, ap=0.1)
    more = replace(study, published=pd.concat([study.published, extra], ignore_index=True))
    pd.testing.assert_frame_equal(more.published_rules, whole)


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
    line = report(SMALL, places(copy))
    text = (copy / "report" / "report.md").read_text()
    for each in words:
        assert each in line
        assert f"Not in this report, since it has not been run: {each}" in text
    Page((copy / "report" / "index.html").read_text())
    if "epochs" in gone:
        assert not (copy / "plots" / "epochs.png").exists()


def test_a_study_of_nothing_is_a_report_that_says_so(tmp_path: Path):
    line = report(SMALL, places(tmp_path))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "0 figures" in line
    assert text.count("Not in this report") == 7
    assert "No model has been scored on the test sets yet." in text


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


def test_scores_that_cannot_be_used_name_line_and_column(tmp_path: Path):
    there = replace(places(tmp_path), published=ROOT / "pipeline" / "published")
    text = (there.published / "scores.csv").read_text().splitlines()
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join([*text[:5], text[5].rsplit(",", 1)[0] + ",nan"]))
    with pytest.raises(ScoresError, match=r"line 6, column ap"):
        report_scores(broken, there)


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


def test_scores_of_an_earlier_study_are_not_picked_up(copy: Path):
    shutil.copytree(copy / "artifacts" / "grid" / "tiny_28-one_class", copy / "artifacts" / "grid" / "old-one_class")
    before = len(study_in(copy).scores("grid"))
    shutil.rmtree(copy / "artifacts" / "grid" / "old-one_class")
    assert len(study_in(copy).scores("grid")) == before


def test_one_test_set_and_one_setting_are_enough(tmp_path: Path):
    from made_study import run

    write_index(tmp_path / "artifacts" / "index")
    runs = [run("validate", ("horse",), 0)]
    write_stage(tmp_path / "artifacts" / "validate", runs, "ldm")
    assert "figures" in report(SMALL, places(tmp_path))


def test_latex_has_a_file_for_each_table(whole: Path, contents: Report):
    tables = [table.key for content in contents.values() for table in content.tables]
    assert len(set(tables)) == len(tables)
    assert {path.stem for path in (whole / "report" / "latex").iterdir()} == set(tables)


def test_tables_have_a_cell_for_each_column(contents: Report):
    for content in contents.values():
        for table in content.tables:
            assert {len(row.cells) for row in table.rows} == {len(table.columns)}, table.key
            assert not table.groups or sum(span for _, span in table.groups) == len(table.columns), table.key


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.key)
def test_a_section_is_made_of_the_folders_that_it_names(
    whole: Path, contents: Report, tmp_path: Path, section: Section
):
    for name in ("published", "timings.json"):
        (tmp_path / name).symlink_to(whole / name)
    (tmp_path / "artifacts").mkdir()
    for name in section.reads:
        (tmp_path / "artifacts" / name).symlink_to(whole / "artifacts" / name)
    alone, among_all = section.make(study_in(tmp_path)), contents.get(section)
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
    made = compile_report(study_in(whole), [own, silent])
    assert list(made) == [own]
    write_page("Own", "", [], made, {}, tmp_path)
    page = Page((tmp_path / "index.html").read_text())
    assert "section-own" in page.ids
    assert ["own"] in page.rows
    assert "7 test sets" in (tmp_path / "report.md").read_text()


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


def test_the_report_needs_no_torch():
    code = "import sys, rine.stages.report; sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_from_scores_takes_the_better_encoder_of_the_grid():
    study = from_scores(ROOT / "pipeline" / "published" / "scores.csv", ROOT / "pipeline" / "published")
    assert study.encoder == "ViT-L/14"
    assert study.missing == [
        "longer training", "smaller training sets", "ablations", "the chosen models on every test set", "perturbations",
    ]  # fmt: skip
