"""Encoders side by side: what heads on each of them reach, which blocks they look at, and what its tokens cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from rine.dataset.generators import FAMILY_TITLE
from rine.evaluation.selection import generators_table, grid_of
from rine.params import Params
from rine.report.estimates import Intervals
from rine.report.labels import METRICS
from rine.report.reading import image_scores
from rine.report.rules import rule_intervals, rule_name
from rine.report.section import Content, Section
from rine.report.study import Study
from rine.report.table import CHANCE_NOTE, MISSING, Cell, Row, Table, difference, number, percent, text

RULE = "leave_one_generator_out"  # no configuration was chosen on the generator that it is scored on
EVERY = "Mean"  # the row over all families


@dataclass(frozen=True)
class Chosen:
    """What the rule gives for one encoder: setting, generator, family, acc, ap of each, and their intervals."""

    scores: pd.DataFrame
    intervals: Intervals


def make(study: Study) -> Content | None:
    if study.params is None or len(study.params.encoders) < 2:
        return None
    chosen = {name: _chosen(study, study.params, name) for name in study.params.encoders}
    chosen = {name: each for name, each in chosen.items() if len(each.scores)}
    tables = [accuracy_table(study, study.params, setting, chosen) for setting in _settings(chosen)]
    tables += [table for table in [importance_table(study, study.params)] if table]
    return Content(tables=[*tables, cost_table(study, study.params)]) if tables else None


def _settings(chosen: Mapping[str, Chosen]) -> list[str]:
    return list(dict.fromkeys(name for each in chosen.values() for name in each.scores["setting"]))


def _chosen(study: Study, params: Params, encoder: str) -> Chosen:
    """The rule on the grid of each setting, as `select` applies it to the encoder in force."""
    families = dict(zip(study.test_sets["generator"], study.test_sets["family"], strict=True))
    grid, tables = study.scores("grid"), []
    grid = grid[grid["backbone"] == params.encoders[encoder].name]
    for setting, runs in grid.groupby("setting", sort=False):
        table = generators_table(grid_of(runs, families))
        tables.append(table[table["rule"] == RULE].assign(setting=setting).dropna(subset="acc"))
    scores = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["setting", "generator"])
    folders = [study.artifacts / "grid" / f"{encoder}-{setting}" for setting in params.settings]
    images = image_scores(folders, study.class_labels, study.labels.values())
    made = rule_intervals(scores, images, study.sets_of, params.report)
    groups = {(setting, ""): group for (setting, _), group in made.groups.items()}
    return Chosen(scores, replace(made, groups=groups))


def accuracy_table(study: Study, params: Params, setting: str, chosen: Mapping[str, Chosen]) -> Table:
    """Accuracy and AP of every encoder by family, and the difference from the encoder in force on the same pictures."""
    base, rows = chosen.get(params.encoder), []
    families = dict.fromkeys(name for each in chosen.values() for name in each.scores["family"])
    for family in [EVERY, *families] if len(families) > 1 else [EVERY]:
        for i, (name, each) in enumerate(chosen.items()):
            cells, few = [text(params.encoders[name].name)], _of(each, setting, family)
            against = _of(base, setting, family) if base else None
            for metric in METRICS:
                value = few.scores[metric].mean()
                cells.append(percent(value, few.intervals.of(setting, metric)))
                cells.append(_difference(few, against, setting, metric) if name != params.encoder else Cell(""))
            title = FAMILY_TITLE.get(family, family)
            rows.append(Row(cells, strong=name == params.encoder, section="" if i else title))
    notes = [
        f"By the rule {rule_name(RULE)}: each generator by the configuration that is best on all others. Difference: "
        f"less {study.encoder}, on the same pictures, in points.",
        CHANCE_NOTE,
    ]
    columns = ["Encoder", *["mean", "diff."] * len(METRICS)]
    groups = [("", 1), *((label, 2) for label in METRICS.values())]
    key = f"encoders_{_key(study, setting)}"
    return Table(key, f"Encoders, {setting} (%)", columns, rows, groups, notes)


def _key(study: Study, setting: str) -> str:
    """A setting's name in the params, from its label."""
    return next((name for name, label in study.labels.items() if label == setting), setting)


def _of(chosen: Chosen, setting: str, family: str) -> Chosen:
    """The part of one setting and family."""
    rows = chosen.scores[chosen.scores["setting"] == setting]
    rows = rows if family == EVERY else rows[rows["family"] == family]
    made, runs = chosen.intervals.groups.get((setting, ""), (None, {}))
    few = {name: runs[name] for name in rows["generator"] if name in runs}
    return Chosen(rows, replace(chosen.intervals, groups={(setting, ""): (made, few)} if made and few else {}))


def _difference(each: Chosen, base: Chosen | None, setting: str, metric: str) -> Cell:
    """The mean over the generators that both have, less the other's."""
    if base is None:
        return Cell(MISSING)
    ours, theirs = (chosen.scores.set_index("generator")[metric] for chosen in (each, base))
    paired = each.intervals.paired_difference(setting, metric, base.intervals, setting)
    return difference((ours - theirs).mean(), paired)


def importance_table(study: Study, params: Params) -> Table | None:
    """Share of the embedding's dimensions that each block leads, of the models that are stored."""
    stored = {label: study.table(f"best/{name}/importance.csv") for name, label in study.labels.items()}
    shares = {label: table.set_index("block")["share"] for label, table in stored.items() if len(table)}
    if not shares:
        return None
    blocks = sorted({int(block) for share in shares.values() for block in share.index})
    rows = [
        Row([text(f"{study.encoder}, {label}"), *(percent(share.get(block)) for block in blocks)])
        for label, share in shares.items()
    ]
    without = [encoder.name for name, encoder in params.encoders.items() if name != params.encoder]
    notes = [
        "Share of the embedding's dimensions whose largest importance lies in that block. No models are stored of "
        f"{', '.join(without)}: `best` trains those of the encoder in force."
    ]
    return Table("encoders_importance", "Importance of each block (%)", ["Model", *map(str, blocks)], rows, notes=notes)


def cost_table(study: Study, params: Params) -> Table:
    """What tokens cost: what is run for them, their size in the store, and how fast they were made where it is known."""
    from rine.encoder.facts import facts  # with PyTorch's seconds, for towers without numbers

    rows, speeds = [], _speeds(study, params)
    for name, encoder in params.encoders.items():
        seen = facts(encoder)
        n_values = seen.n_blocks * seen.token_width
        rows.append(
            Row(
                [
                    text(encoder.name),
                    text(encoder.words),
                    number(seen.tower.image_size, 0),
                    text(f"{seen.n_blocks} x {seen.token_width}"),
                    number(seen.parameters / 1e6, 2),
                    number(seen.operations / 1e9, 2),
                    number(2 * n_values, 0),
                    number(speeds.get(name), 1),
                ],
                strong=name == params.encoder,
            )
        )
    columns = ["Encoder", "Kept", "Pixels", "Tokens", "Parameters (M)", "GFLOP", "Bytes", "Pictures/s"]
    notes = [
        "Parameters and GFLOP: of what is run for the tokens of a picture; bytes: of all its tokens in float16. "
        "Pictures/s: the training and test pictures by the time that `cache` last took for them, with reading and all "
        "their views; higher than the encoder's own speed where tokens were in the store already."
    ]
    return Table("encoders_cost", "What each encoder costs", columns, rows, notes=notes)


def _speeds(study: Study, params: Params) -> dict[str, float]:
    """Training and test pictures a second, of the encoders whose times are there."""
    times = json.loads(study.timings.read_text(encoding="utf-8")) if study.timings.is_file() else {}
    pictures = {name: len(study.table(f"index/{name}.csv")) for name in ("train", "test")}
    speeds = {}
    for encoder in params.encoders:
        seconds = [times.get(f"cache@{encoder}-{name}") for name in pictures]
        if all(pictures.values()) and all(seconds):
            speeds[encoder] = sum(pictures.values()) / sum(seconds)
    return speeds


SECTION = Section("encoders", "Encoders", ("grid", "best", "index"), make)
