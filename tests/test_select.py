"""The stage `select`: from folders of scores to the choice of each setting, with no torch and in no time."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from rine import params
from rine.commands.rules import rules_beside
from rine.evaluation.selection import RULES
from rine.paths import Paths
from rine.scores import ImageScores, summarise, write_scores
from rine.stages import select

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "pipeline" / "published" / "scores.csv"
TEST_SETS = pd.DataFrame(
    {
        "generator": ["progan", "dalle2", "firefly"],
        "family": ["gan", "diffusion", "diffusion"],
        "study": ["grid", "grid", "ldm"],
        "real": ["real", "real", "raise"],
        "fake": ["a", "b", "c"],
        "released": ["2017-10-27", "2021-02-24", "2023-03-21"],
    }
)


def write_folder(folder: Path, shift: float, study: str = "grid") -> None:
    """Scores of four configurations and two seeds; q 2, P 16 is the best of them."""
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 1, 0, 1], 20)
    names = np.repeat(["real", "a", "b", "real", "a"] if study == "grid" else ["raise", "c", "c", "raise", "c"], 20)
    images = pd.DataFrame({"path": [f"{i}" for i in range(100)], "label": labels, "source": names, "category": ""})
    images = images.assign(split=np.repeat(["test", "val"], [60, 40]), digest="")
    rows = [(q, d, seed) for q in (1, 2) for d in (8, 16) for seed in (0, 1)]
    shared = {
        "study": study,
        "training_set": "progan",
        "backbone": folder.name,
        "n_classes": 1,
        "classes": "horse",
    }
    shared |= {"xi": 0.1, "batch_size": 4, "lr": 0.001, "epochs": 1, "variant": "", "fraction": np.nan}
    runs = pd.DataFrame(rows, columns=["q", "d", "seed"]).assign(**shared)
    quality = (shift + runs["q"] + runs["d"] / 16).to_numpy()[:, None] * 0.3
    logits = rng.normal(size=(8, len(images))) + quality * (2 * images["label"].to_numpy() - 1)
    scores = ImageScores(runs, images, logits.astype(np.float32))
    scores.write(folder)
    write_scores(summarise(scores, TEST_SETS), folder / "scores.csv")


STUDY = params.read(ROOT / "params.yaml")


def study(rule: str = "paper", encoder: str = "large", settings: tuple[str, ...] = ("one_class", "two_class")):
    """The sample study with encoders `large` and `small`."""
    one = STUDY.encoders[STUDY.encoder]
    return replace(
        STUDY,
        encoder=encoder,
        encoders={"large": one, "small": one},
        settings={name: ("horse",) for name in settings},
        select=params.SelectConfig(rule=rule, top=2),
        best=replace(STUDY.best, models={"ldm": "ldm"}, default="ldm"),
    )


@pytest.fixture
def paths(tmp_path) -> Paths:
    """Scores of two encoders; none of the setting two_class."""
    found = Paths(tmp_path / "artifacts", tmp_path / "metrics")
    found.index().mkdir(parents=True)
    TEST_SETS.to_csv(found.index("test_sets"), index=False)
    write_folder(found.grid("large", "one_class"), 1.0)
    write_folder(found.grid("small", "one_class"), 0.0)
    write_folder(found.ldm(), 1.0, "ldm")
    return found


def test_choices_tables_and_metrics_are_written(paths):
    line = select.run(study(), paths)
    choice = json.loads(paths.choice("one_class").read_text())
    assert {key: choice[key] for key in ("xi", "q", "proj_dim", "epochs", "rule")} == {
        "xi": 0.1, "q": 2, "proj_dim": 16, "epochs": 1, "rule": "paper",
    }  # fmt: skip
    assert choice["words"] == RULES[choice["rule"]].on_card
    assert len(choice["top"]) == 2
    assert choice["top"][0] == {key: choice[key] for key in ("xi", "q", "proj_dim", "epochs")}
    assert line == "one_class xi 0.1, q 2, P 16; ldm xi 0.1, q 2, P 16; two_class has no scores"
    assert sorted(path.name for path in paths.choice().iterdir()) == ["ldm.json", "one_class.json"]
    rules = pd.read_csv(paths.select("rules"))
    assert set(rules["encoder"]) == {"large"}
    assert len(rules) == 2 * len(RULES)
    by_generator = pd.read_csv(paths.select("generators"))
    mean = by_generator.groupby(["setting", "rule"])["ap"].mean()
    assert mean.to_numpy() == pytest.approx(
        rules.set_index(["setting", "rule"])["ap"].sort_index(), nan_ok=True, abs=1e-5
    )
    metrics = json.loads(paths.metric("select").read_text())
    assert set(metrics["one_class"]) == set(rules["rule"])
    assert set(metrics["ldm"]) == {"paper", "validation", "mean", "ensemble"}  # one generator: no nested rule
    assert metrics["one_class"]["paper"]["ap"] == pytest.approx(choice["ap"])


def test_selection_keeps_to_the_encoder_in_force_and_says_when_another_would_have_won(paths):
    line = select.run(study(encoder="small"), paths)
    assert line.startswith("one_class xi 0.1, q 2, P 16; ldm xi 0.1, q 2, P 16; large would have won one_class; ")
    encoders = pd.read_csv(paths.select("encoders")).set_index(["setting", "encoder"])
    assert encoders.loc[("one_class", "large"), "wins"]
    assert not encoders.loc[("one_class", "small"), "wins"]
    assert encoders["in_force"].to_dict()["one_class", "small"]
    small = json.loads(paths.choice("one_class").read_text())
    assert small["ap"] == pytest.approx(encoders.loc[("one_class", "small"), "ap"], abs=1e-5)


def test_where_a_rule_cannot_be_applied_the_papers_is_and_the_line_says_why(paths):
    line = select.run(study("leave_one_generator_out"), paths)
    assert "ldm xi 0.1, q 2, P 16 (by the rule paper: 1 generator; leaving one out needs two)" in line
    rule = [json.loads(paths.choice(name).read_text())["rule"] for name in ("one_class", "ldm")]
    assert rule == ["leave_one_generator_out", "paper"]


def test_nothing_to_select_from_is_no_error(tmp_path):
    paths = Paths(tmp_path, tmp_path / "metrics")
    paths.index().mkdir()
    TEST_SETS.to_csv(paths.index("test_sets"), index=False)
    said = select.run(study(settings=("four_class",)), paths)
    assert said == "four_class has no scores; ldm has no scores"
    assert pd.read_csv(paths.select("rules")).empty
    assert json.loads(paths.metric("select").read_text()) == {}


def test_the_published_grid_prints_as_a_table():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rules_beside(PUBLISHED))
    text = console.export_text()
    (row,) = [line for line in text.splitlines() if "four_class" in line and "ViT-L/14" in line and "paper" in line]
    assert [cell.strip() for cell in row.split("│")[4:10]] == ["0.2", "2", "1024", "1", "91.5", "98.8"]
    assert "(1) needs the logit of each picture" in text


def test_selecting_needs_no_torch_and_no_scikit_learn():
    code = (
        "import sys; from rine.commands.rules import rules_beside; "
        f"rules_beside({str(PUBLISHED)!r}); "
        "assert not {'torch', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "src")
