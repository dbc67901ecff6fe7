"""No dash on the page without its reason, and no family or data set under another's name."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from made_study import SMALL, TEST_SETS, write_published, write_study
from rine.drawing import line_style, styled
from rine.report.section import Report
from rine.report.sections.inside import draw_embeddings
from rine.report.sections.pictures import shortcut_table
from rine.report.study import Study, from_scores, gather
from rine.report.table import MISSING
from rine.report.write import compile_report
from rine.scores import read_scores, write_scores

OWN = TEST_SETS.replace({"generator": {"mine": "seeingdark"}, "family": {"own": "lowlevel"}})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """No calibration of one model, a rule that cannot be applied, an own set that is called as a published one is."""
    artifacts = tmp_path_factory.mktemp("study") / "artifacts"
    write_study(artifacts)
    OWN.to_csv(artifacts / "index" / "test_sets.csv", index=False)
    for file in artifacts.rglob("scores.csv"):
        scores = read_scores(file)
        write_scores(scores.assign(generator=scores["generator"].replace({"mine": "seeingdark"})), file)
    with (artifacts / "index" / "findings.csv").open("a") as findings:
        findings.write(
            ',note,"file size tells the classes of 3 sets apart (AP: train 1.00, progan 1.00, stylegan 0.95)"\n'
        )
    for name in ("rules", "generators"):
        table = pd.read_csv(artifacts / "select" / f"{name}.csv")
        if name == "rules":
            table.loc[table["rule"] == "family_out", ["acc", "ap"]] = np.nan
            table.loc[table["rule"] == "family_out", "reason"] = "none are"
        else:
            table["generator"] = table["generator"].replace({"mine": "seeingdark"})
        table.to_csv(artifacts / "select" / f"{name}.csv", index=False)
    header = {"rine": json.dumps({"meta": {"calibration": {"n": 0, "reason": "no validation set"}}})}
    save_file({"a": np.zeros(1)}, artifacts / "best" / "one_class" / "model.safetensors", metadata=header)
    write_published(artifacts.parent / "published")
    return gather(SMALL, artifacts, artifacts.parent / "published", artifacts / "none")


@pytest.fixture(scope="module")
def report(study: Study) -> Report:
    return compile_report(study)


@pytest.mark.parametrize(("reason", "aligned", "said"), [
    (None, None, "– of AP aligned: the pictures were not made alike (cache.align is null)."),
    ("one class only", 0.5, "– where the last column has the reason."),
])  # fmt: skip
def test_a_reason_is_said_to_stand_where_it_stands(reason: str | None, aligned: float | None, said: str) -> None:
    first = {"set": "a", "pictures": 20, "chance": 0.5, "ap": 0.9, "strongest": "width", "ap_aligned": aligned}
    second = first | {"ap": None, "ap_aligned": None, "reason": reason}
    table = shortcut_table(pd.DataFrame([first | {"reason": None}, second]).astype({"ap_aligned": float}), str)
    assert table.notes[-1] == said
    assert (table.rows[1].cells[-1].text == reason) == (reason is not None)


def unexplained(report: Report) -> list[str]:
    return [
        table.key
        for content in report.values()
        for table in content.tables
        if any(cell.text == MISSING for row in table.rows for cell in row.cells)
        and not any(note.startswith(MISSING) for note in table.notes)
    ]


def test_every_dash_has_its_reason(report: Report) -> None:
    assert any(cell.text == MISSING for each in report.values() for table in each.tables for row in table.rows
               for cell in row.cells)  # fmt: skip
    assert unexplained(report) == []


def test_every_dash_of_a_scores_file_has_its_reason() -> None:
    published = Path(__file__).parents[1] / "pipeline" / "published"
    assert unexplained(compile_report(from_scores(published / "scores.csv", published))) == []


def test_own_data_keep_their_names_and_are_compared_with_nothing_published(study: Study, report: Report) -> None:
    cells = {str(cell) for each in report.values() for table in each.tables for row in table.rows for cell in row.cells}
    assert "seeingdark" in cells
    assert not any(cell.startswith("SITD") for cell in cells)
    assert "seeingdark" not in set(study.published_models["generator"])
    assert study.title("progan") == "ProGAN"
    # ours on the generators that were published, not on one more
    assert len(study.rules_beside_published) > 0
    assert not study.rules_beside_published.equals(study.rules)


def test_what_was_found_in_the_pictures_is_said_in_sentences_and_by_the_names_of_the_tables(report: Report) -> None:
    text = next(content.text for section, content in report.items() if section.key == "pictures")
    assert "File size tells the classes of 3 sets apart (AP: train 1.00, ProGAN 1.00, StyleGAN 0.95)." in text
    assert all(line[0].isupper() or line[0].isdigit() for line in text)


def test_every_family_is_in_every_figure(report: Report) -> None:
    for section, content in report.items():
        for figure in content.figures:
            if section.key == "curves":
                assert {"lowlevel", "GAN", "Diffusion"} <= set(figure.data["series"])
    families = [f"family{i}" for i in range(12)]
    groups = np.repeat(["real", *families], 5)
    points = pd.DataFrame(np.random.default_rng(0).normal(size=(len(groups), 2)), columns=["x", "y"])
    figure = styled(lambda: draw_embeddings(points.assign(group=groups), "m"))()
    shown = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    looks = {
        (str(path.get_paths()[0].vertices.tolist()), str(path.get_facecolor())) for path in figure.axes[0].collections
    }
    plt.close(figure)
    assert shown == {"real", *families}
    assert len(looks) == 1 + len(families)
    assert len({str(line_style(i)) for i in range(18)}) == 18
