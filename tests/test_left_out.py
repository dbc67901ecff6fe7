"""Training data by family and by date, from the entry in the params file to the page: what is learnt without a part."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rine.checks import check
from rine.features.sets import open_sets
from rine.heads.scoring import score
from rine.params import AblateConfig, Params, ParamsError, VariantConfig
from rine.report.sections import left_out as section
from rine.report.study import gather
from rine.report.write import compile_report, write_page
from rine.scores import ImageScores, read_scores
from rine.training.choices import read_choice, runs_of
from rine.training.experiment import fit
from rine.training.left_out import left_out
from small_study import SmallStudy, run_stages, settled, study_of, write_pictures

TRAINING = pd.DataFrame(
    [("old", "gan", "2018-01-01"), ("mid", "gan", "2020-05-01"), ("new", "flow", "2022-08"), ("odd", "flow", "")],
    columns=["source", "family", "released"],
)
TESTS = pd.DataFrame(
    [("a", "gan", "2017-01-01"), ("b", "gan", "2019-01-01"), ("c", "flow", "2022-09-01"), ("d", "own", "")],
    columns=["generator", "family", "released"],
)


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(table[["left_out", "rows", "generator"]].itertuples(index=False, name=None))


def test_each_family_that_is_tested_is_left_out_where_another_remains() -> None:
    table, lacking = left_out(["family"], TRAINING, TESTS)
    assert rows(table) == [("gan", "without:gan", "a"), ("gan", "without:gan", "b"), ("flow", "without:flow", "c")]
    assert lacking == {"without:gan": {"old", "mid"}, "without:flow": {"new", "odd"}}
    table, lacking = left_out(["family"], TRAINING[:2], TESTS)
    assert table.empty
    assert not lacking


def test_by_date_the_past_is_learnt_and_the_future_tested_sliding() -> None:
    table, lacking = left_out(["released"], TRAINING, TESTS)
    assert rows(table) == [
        *(("2020-05-01", "before:2020-05-01", "c"), ("2022-08", "before:2022-08", "c")),
        # a came before all training data, d has no date
        *(("each", "before:2020-05-01", "b"), ("each", "dated", "c")),
    ]
    assert lacking == {
        "before:2020-05-01": {"mid", "new", "odd"}, "before:2022-08": {"new", "odd"}, "dated": {"odd"}
    }  # fmt: skip
    table, lacking = left_out(["released"], TRAINING[:3], TESTS)
    assert rows(table)[-1] == ("each", "", "c")  # all of it was there before
    assert left_out(["released"], TRAINING[:1], TESTS)[0].empty


DATASETS: dict[str, dict[str, Any]] = {
    "faces": {"real": ["faces/real"], "fake": ["faces/fake"], "split": "train", "family": "GAN", "val_fraction": 0.25,
              "released": "2018-10"},
    "scenes": {"real": ["scenes/real"], "fake": ["scenes/fake"], "split": "train", "family": "flow",
               "released": "2022-08-22"},
    "more": {"real": ["faces/real"], "fake": ["more"], "split": "train", "family": "flow", "released": "2023-02-01"},
    "old": {"real": ["old/real"], "fake": ["old/fake"], "split": "test", "family": "gan", "released": "2019-01-01"},
    "new": {"real": ["new/real"], "fake": ["new/fake"], "split": "test", "family": "flow", "released": "2024-01-01"},
}  # fmt: skip
STAGES = ("prepare", "cache", "grid", "select", "ablate")


def study(root: Any) -> Params:
    made = study_of(root, DATASETS, {"all": ["faces", "scenes", "more"], "one": ["faces"]})
    return replace(made, epochs=None, dataset_size=None, perturb=None, ablate=AblateConfig({}, ("family", "released")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    folder = tmp_path_factory.mktemp("left_out")
    places = sorted({place for each in DATASETS.values() for key in ("real", "fake") for place in each[key]})
    for number, place in enumerate(places):
        write_pictures(folder / "data" / place, 8, 1000 * number, dark=not place.endswith("real"))
    return run_stages(SmallStudy(study(folder / "data"), folder, []), STAGES)


def test_prepare_says_family_and_date_of_what_is_learnt(made: SmallStudy) -> None:
    table = pd.read_csv(made.paths.index("training_sets"), keep_default_na=False)
    assert table.to_numpy().tolist() == [
        ["faces", "gan", "grid", "2018-10"], ["scenes", "flow", "grid", "2022-08-22"],
        ["more", "flow", "grid", "2023-02-01"],
    ]  # fmt: skip


def test_the_stage_leaves_its_outs_and_says_what_it_left_out(made: SmallStudy) -> None:
    [done] = [done for done in made.runs if done.stage == "ablate"]
    assert done.line == "all without gan, all without flow, all without 2022-08-22, all without 2023-02-01"
    outs = [*done.item.outs, *done.item.metrics]
    assert {path for path in done.new if not any(path.is_relative_to(out) for out in outs)} == set()
    worth = json.loads(made.paths.metric("ablate", "left-out").read_text())
    assert worth["one"] == {}
    assert set(worth["all"]) == {"gan", "flow", "2022-08-22", "2023-02-01", "each"}
    scores = read_scores(made.paths.left_out() / "scores.csv").set_index(["classes", "variant", "generator"])
    acc = scores.loc[("faces more scenes", "without:gan", "old"), "acc"].mean()
    assert worth["all"]["gan"]["without"]["acc"] == pytest.approx(acc, abs=1e-5)


def test_a_run_without_a_family_depends_on_the_pictures_that_remain_alone(made: SmallStudy) -> None:
    """Reals that another set brings too are among the rest; no other picture of the family is."""
    with settled(made.folder):
        sets = open_sets(made.paths.features("tiny")).of_classes(["faces", "scenes", "more"])
        mask = sets.without({"faces"})
        train = sets.train.rows
        faces = train["source"] == "faces"
        assert mask.tolist() == (~faces | (train["label"] == 0)).tolist()  # `more` has the same reals
        assert sets.without({"faces", "more"}).tolist() == (train["source"] == "scenes").tolist()
        scores = ImageScores.read(made.paths.left_out() / "all")
        chosen = read_choice(made.paths.choice("all"))
        runs = [replace(each, rows="r") for each in runs_of([chosen], made.study)]
        [(_, heads)] = fit(sets, runs, made.study, [chosen["epochs"]], "cpu", {"r": mask})
        alone = score(heads, scores.runs[scores.runs["variant"] == "without:gan"], sets.scored, "cpu")
    assert np.array_equal(alone.logits, scores.take((scores.runs["variant"] == "without:gan").to_numpy()).logits)


def test_the_page_has_both_tables_with_paired_intervals(made: SmallStudy) -> None:
    none = made.folder / "no"
    report = compile_report(gather(made.study, made.paths.artifacts, none, none), [section.SECTION])
    content = report[section.SECTION]
    families, dates = content.tables
    assert [row.cells[0].text for row in families.rows] == ["GAN", "flow"]
    assert [row.cells[0].text for row in dates.rows] == ["2022-08-22", "2023-02-01", "its own date"]
    assert [row.cells[1].text for row in dates.rows] == ["new", "new", "old, new"]
    worth = json.loads(made.paths.metric("ablate", "left-out").read_text())["all"]["gan"]
    shown = families.rows[0].cells
    figures = [worth[key][metric] for metric in ("acc", "ap") for key in ("with", "without")]
    assert [shown[i].text for i in (2, 3, 5, 6)] == [f"{100 * value:.1f}" for value in figures]
    assert all(cell.interval for cell in shown[2:])
    write_page("", "", [], report, {}, made.folder / "report")
    page = (made.folder / "report" / "report.md").read_text()
    assert "A family left out of training (%)" in page


def test_where_nothing_can_be_left_out_the_page_says_what_it_takes(made: SmallStudy, tmp_path: Any) -> None:
    none = pd.DataFrame(columns=section.COLUMNS)
    (tmp_path / "ablate/left-out").mkdir(parents=True)
    none.to_csv(tmp_path / "ablate/left-out/scored.csv", index=False)
    content = section.make(gather(made.study, tmp_path, tmp_path / "no", tmp_path / "no"))
    assert content is not None
    assert "takes two families" in content.text[0]


@pytest.mark.parametrize(("ablate", "message"), [
    (AblateConfig(), "neither variants nor leave_out"),
    (AblateConfig({"left-out": VariantConfig(xi=0.0)}), "rename the variant"),
])  # fmt: skip
def test_an_ablation_of_nothing_or_under_the_name_of_the_folder_is_refused(
    tmp_path: Any, ablate: AblateConfig, message: str
) -> None:
    with pytest.raises(ParamsError, match=message):
        check(replace(study(tmp_path), ablate=ablate))
