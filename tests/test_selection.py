"""Selection: the published choices come out, and no rule but the paper's has seen what it is scored on."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from rine.dataset.generators import FAMILY, GRID_GENERATORS, RELEASED, TITLE
from rine.evaluation.selection import RULES, choose, generators_table, grid_of, rules_of, rules_table
from rine.scores import ImageScores, ScoresError, read_scores, summarise

PUBLISHED = read_scores(Path(__file__).parents[1] / "pipeline" / "published" / "scores.csv")
GENERATORS = ("progan", "biggan", "deepfake", "dalle2")


def published(study: str, n_classes: int | None, backbone: str = "ViT-L/14") -> pd.DataFrame:
    mine = PUBLISHED[(PUBLISHED["study"] == study) & (PUBLISHED["backbone"] == backbone)]
    return mine if n_classes is None else mine[mine["n_classes"] == n_classes]


def made_up(seed: int = 0, seeds: int = 1, generators: tuple[str, ...] = GENERATORS) -> pd.DataFrame:
    """A scores table of eight configurations with random scores."""
    rng, rows = np.random.default_rng(seed), []
    for xi, q, d, run in product((0.1, 0.4), (1, 2), (8, 16), range(seeds)):
        loss = rng.random()
        for generator in generators:
            rows.append((xi, q, d, run, loss, generator, rng.random(), rng.random()))
    table = pd.DataFrame(rows, columns=["xi", "q", "d", "seed", "val_loss", "generator", "acc", "ap"])
    return table.assign(
        study="grid",
        training_set="progan",
        backbone="ViT",
        classes="horse",
        epochs=1,
        variant="",
        fraction=np.nan,
    )


@pytest.mark.parametrize(
    ("study", "n_classes", "choice", "acc", "ap"),
    [
        ("grid", 1, (0.1, 4, 1024, 1), 90.3, 98.6),
        ("grid", 2, (0.2, 4, 128, 1), 87.7, 98.7),
        ("grid", 4, (0.2, 2, 1024, 1), 91.5, 98.8),
        ("ldm", None, (0.4, 4, 1024, 5), 87.4, 90.5),
    ],
)
def test_the_papers_rule_on_the_published_grid(study, n_classes, choice, acc, ap):
    grid = grid_of(published(study, n_classes), FAMILY)
    assert len(grid.configurations) == (48 if study == "grid" else 24)
    assert tuple(choose(grid, "paper")[0].values()) == choice
    row = rules_table(grid).set_index("rule").loc["paper"]
    assert (round(100 * row["acc"], 1), round(100 * row["ap"], 1)) == (acc, ap)
    assert (row["gap_acc"], row["gap_ap"]) == (0, 0)


def test_what_the_published_grid_says_about_choosing_on_the_test():
    rules = rules_table(grid_of(published("grid", 4), FAMILY)).set_index("rule")
    assert (100 * rules.loc["mean", ["acc", "ap"]].astype(float)).round(1).tolist() == [86.7, 97.9]
    # one configuration wins every fold: leaving a generator out costs nothing, leaving a family out does
    assert rules.loc["leave_one_generator_out", "folds"] == 1
    assert rules.loc["leave_one_generator_out", "gap_acc"] == pytest.approx(0, abs=1e-12)
    assert rules.loc["family_out", "gap_acc"] > 0.03
    assert np.isnan(rules.loc["ensemble", "acc"])
    assert "logit of each picture" in rules.loc["ensemble", "reason"]


def test_all_of_a_scores_file_at_once():
    rules = rules_of(PUBLISHED, FAMILY)
    assert len(rules) == 7 * len(RULES)
    assert set(rules["setting"]) == {"one_class", "two_class", "four_class", "ldm"}
    mine = rules[(rules["setting"] == "two_class") & (rules["encoder"] == "ViT-L/14")].set_index("rule")
    assert mine.loc["paper", "proj_dim"] == 128
    with pytest.raises(ValueError, match="nothing to select"):
        rules_of(PUBLISHED.assign(study="validate"), FAMILY)


@pytest.mark.parametrize("seed", range(5))
def test_leaving_one_generator_out_is_a_loop_over_generators(seed):
    scores = made_up(seed)
    found = generators_table(grid_of(scores, FAMILY))
    found = found[found["rule"] == "leave_one_generator_out"].set_index("generator")
    for generator in GENERATORS:
        others = scores[scores["generator"] != generator]
        means = others.groupby(["xi", "q", "d"])[["acc", "ap"]].mean().sum(axis=1)
        xi, q, d = means.idxmax()
        row = found.loc[generator]
        assert (row["xi"], row["q"], row["proj_dim"]) == (xi, q, d)
        own = scores[(scores["xi"] == xi) & (scores["q"] == q) & (scores["d"] == d)].set_index("generator")
        assert row["ap"] == own.loc[generator, "ap"]


@pytest.mark.parametrize("rule", ["leave_one_generator_out", "leave_one_family_out", "family_out"])
def test_a_nested_rule_never_chooses_by_what_it_is_scored_on(rule):
    """Change the scores of one generator: the configuration that is used for it stays the same."""
    scores = made_up(3)
    before = generators_table(grid_of(scores, FAMILY)).set_index(["rule", "generator"])
    for generator in GENERATORS:
        changed = scores.copy()
        mine = changed["generator"] == generator
        changed.loc[mine, ["acc", "ap"]] = 1 - changed.loc[mine, ["acc", "ap"]]
        after = generators_table(grid_of(changed, FAMILY)).set_index(["rule", "generator"])
        keys = ["xi", "q", "proj_dim"]
        assert after.loc[(rule, generator), keys].tolist() == before.loc[(rule, generator), keys].tolist()
        assert after.loc[(rule, generator), "ap"] != before.loc[(rule, generator), "ap"]


def test_family_out_scores_gans_by_the_rest_and_the_rest_by_gans():
    scores = made_up(1, generators=GRID_GENERATORS)
    found = generators_table(grid_of(scores, FAMILY))
    found = found[found["rule"] == "family_out"]
    gan = scores["generator"].map(FAMILY) == "gan"
    for mine, others in ((gan, ~gan), (~gan, gan)):
        best = scores[others].groupby(["xi", "q", "d"])[["acc", "ap"]].mean().sum(axis=1).idxmax()
        used = found[found["generator"].isin(scores[mine]["generator"])]
        assert set(zip(used["xi"], used["q"], used["proj_dim"], strict=True)) == {best}


def test_each_family_is_left_out_whatever_it_is_called():
    scores = made_up(4)
    families = {"progan": "GAN", "biggan": "GAN", "deepfake": "lowlevel", "dalle2": "Diffusion"}
    grid = grid_of(scores, families)
    found = generators_table(grid)
    found = found[found["rule"] == "leave_one_family_out"].set_index("generator")
    for generator, family in families.items():
        others = scores[scores["generator"].map(families) != family]
        best = others.groupby(["xi", "q", "d"])[["acc", "ap"]].mean().sum(axis=1).idxmax()
        assert tuple(found.loc[generator, ["xi", "q", "proj_dim"]]) == best
    rules = rules_table(grid).set_index("rule")
    assert np.isfinite(rules.loc["leave_one_family_out", "acc"])
    one = rules_table(grid_of(scores, dict.fromkeys(GENERATORS, "mine"))).set_index("rule")
    assert one.loc["leave_one_family_out", "reason"] == "one family, mine; leaving one out needs two"


def test_the_future_is_scored_by_what_is_best_on_the_past():
    assert RELEASED.keys() == TITLE.keys()  # all of the paper's have a date
    released = {"progan": "2017-10-27", "biggan": "2018-09-28", "deepfake": "2018-09", "dalle2": "2022-04-13"}
    scores = made_up(5, generators=(*GENERATORS, "mine"))
    grid = grid_of(scores, FAMILY, released=released)
    found = generators_table(grid)
    found = found[found["rule"] == "past_to_future"].set_index("generator")
    assert found["acc"].isna().to_dict() == {name: name in {"progan", "mine"} for name in found.index}
    for generator in ("biggan", "deepfake", "dalle2"):
        before = scores[scores["generator"].map(lambda name, g=generator: released.get(name, "9") < released[g])]
        best = before.groupby(["xi", "q", "d"])[["acc", "ap"]].mean().sum(axis=1).idxmax()
        assert tuple(found.loc[generator, ["xi", "q", "proj_dim"]]) == best
    row = rules_table(grid).set_index("rule").loc["past_to_future"]
    assert row["acc"] == pytest.approx(found["acc"].mean())
    assert row["reason"] == "without a date, and left out: mine"
    paper = generators_table(grid).set_index(["rule", "generator"]).loc["paper", "acc"]
    assert row["gap_acc"] == pytest.approx(paper[found["acc"].notna()].mean() - row["acc"])
    undated = rules_table(grid_of(scores, FAMILY)).set_index("rule").loc["past_to_future", "reason"]
    assert undated == "0 of 5 generators have a date (`released`); two dates are needed"


def test_families_of_ones_own_generators_count():
    scores = made_up(generators=("mine", "yours"))
    assert (
        rules_table(grid_of(scores, FAMILY)).set_index("rule").loc["family_out", "reason"].startswith("none of the 2")
    )
    own = rules_table(grid_of(scores, {"mine": "gan", "yours": "diffusion"})).set_index("rule")
    assert own.loc["family_out", "reason"] == ""
    assert np.isfinite(own.loc["family_out", "acc"])


def test_one_generator_leaves_the_nested_rules_empty_with_the_reason():
    rules = rules_table(grid_of(made_up(generators=("progan",)), FAMILY)).set_index("rule")
    assert rules.loc["leave_one_generator_out", "reason"] == "1 generator; leaving one out needs two"
    assert rules["acc"].notna().to_dict() == {
        "paper": True,
        "leave_one_generator_out": False,
        "leave_one_family_out": False,
        "family_out": False,
        "past_to_future": False,
        "validation": True,
        "mean": True,
        "ensemble": False,
    }


def test_validation_takes_the_lowest_loss_and_says_where_that_is_in_doubt():
    scores = made_up()
    lowest = scores.loc[scores["val_loss"].idxmin()]
    assert choose(grid_of(scores, FAMILY), "validation")[0] == {
        "xi": lowest["xi"], "q": lowest["q"], "proj_dim": lowest["d"], "epochs": 1,
    }  # fmt: skip
    tied = scores.assign(val_loss=0.5)
    assert "8 configurations share the lowest loss" in reason(tied)
    assert choose(grid_of(tied, FAMILY), "validation")[0] == {"xi": 0.1, "q": 1, "proj_dim": 8, "epochs": 1}
    some = scores.assign(val_loss=scores["val_loss"].where(scores["xi"] == 0.4))
    assert "4 configurations have no validation loss" in reason(some)
    assert choose(grid_of(some, FAMILY), "validation")[0]["xi"] == 0.4
    assert "no validation set" in reason(scores.assign(val_loss=np.nan))
    with pytest.raises(ValueError, match="cannot be applied: no validation set"):
        choose(grid_of(scores.assign(val_loss=np.nan), FAMILY), "validation")


def reason(scores: pd.DataFrame) -> str:
    return rules_table(grid_of(scores, FAMILY)).set_index("rule").loc["validation", "reason"]


def test_seeds_of_a_configuration_are_averaged():
    scores = made_up(seeds=3)
    means = scores.groupby(["xi", "q", "d", "epochs", "generator"])[["acc", "ap", "val_loss"]].mean().reset_index()
    shared = {name: scores[name].iloc[0] for name in ("study", "training_set", "backbone", "classes", "variant")}
    averaged = rules_table(grid_of(means.assign(**shared, fraction=np.nan), FAMILY))
    assert rules_table(grid_of(scores, FAMILY))["acc"].tolist() == pytest.approx(averaged["acc"].tolist(), nan_ok=True)
    assert (averaged["n_configurations"] == 8).all()


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.names_a_model])
def test_the_top_starts_with_the_choice_and_repeats_nothing(rule):
    grid = grid_of(made_up(2), FAMILY, released=RELEASED)
    top = choose(grid, rule, 8)
    assert top[0] == choose(grid, rule)[0]
    assert len({tuple(each.values()) for each in top}) == 8
    score = {tuple(row): s for row, s in zip(grid.configurations.to_numpy(), grid.score.mean(axis=1), strict=True)}
    if rule == "paper":
        values = [score[tuple(each.values())] for each in top]
        assert values == sorted(values, reverse=True)
    assert len(choose(grid, rule, 100)) == 8


@pytest.mark.parametrize("rule", ["mean", "ensemble", "best"])
def test_a_rule_that_names_no_model_is_refused(rule):
    with pytest.raises(ValueError, match=f"'{rule}' names no configuration to train; choose from paper, leave"):
        choose(grid_of(made_up(), FAMILY), rule)


def test_a_hole_in_the_grid_is_named():
    with pytest.raises(ScoresError, match=r"no row of biggan for xi 0.1, q 1, d 8, epochs 1"):
        grid_of(made_up().drop(index=1), FAMILY)
    two = made_up()
    with pytest.raises(ScoresError, match=r"column classes: \['horse', 'cat'\]"):
        grid_of(pd.concat([two, two.assign(classes="cat")]), FAMILY)


def test_the_ensemble_is_the_mean_logit_of_each_seed():
    labels = np.repeat([0, 1], 20)
    images = pd.DataFrame({"path": [f"{i}" for i in range(40)], "label": labels, "category": "", "split": "test"})
    images = images.assign(source=np.where(labels, "fake", "real"), digest="")
    test_sets = pd.DataFrame({"generator": ["progan"], "family": ["gan"], "real": ["real"], "fake": ["fake"]})
    runs = made_up(seeds=2, generators=("progan",)).drop(columns=["generator", "acc", "ap", "val_loss"])
    runs = runs.assign(n_classes=1, batch_size=4, lr=0.001)
    logits = np.random.default_rng(0).normal(size=(16, 40)) + labels
    scores = ImageScores(runs, images, logits.astype(np.float32))
    grid = grid_of(summarise(scores, test_sets), {"progan": "gan"}, scores, test_sets)
    ap = [average_precision_score(labels, logits[runs["seed"] == seed].mean(axis=0)) for seed in (0, 1)]
    row = rules_table(grid).set_index("rule").loc["ensemble"]
    assert row["ap"] == pytest.approx(np.mean(ap), abs=1e-6)
    assert row["ap"] > rules_table(grid).set_index("rule").loc["mean", "ap"]
