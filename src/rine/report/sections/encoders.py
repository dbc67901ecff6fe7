"""Encoders side by side: what heads on each of them reach, which blocks they look at, and what its tokens cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from rine.dataset.generators import family_title
from rine.evaluation.selection import generators_table, grid_of
from rine.files import noted
from rine.params import Params
from rine.report.estimates import Intervals
from rine.report.labels import PAPER_METRICS
from rine.report.reading import image_scores
from rine.report.rules import rule_intervals, rule_name
from rine.report.section import Content, Section
from rine.report.study import Study
from rine.report.table import CHANCE_NOTE, MISSING, Cell, Row, Table, difference, number, percent, text

RULE = "leave_one_generator_out"  # no configuration was chosen on the generator that it is scored on
SHARES = ["setting", "block", "share"]
EVERY = "Mean"  # the rows over all families


@dataclass(frozen=True)
class Chosen:
    """What the rule gives for one encoder, of each setting and generator.

    `scores` has setting, generator, family, acc, ap and the configuration; `shares` the importance of blocks of the
    heads of these configurations, with the columns `SHARES`.
    """

    scores: pd.DataFrame
    intervals: Intervals
    shares: pd.DataFrame

    def of(self, setting: str, family: str) -> Chosen:
        """The part of one setting and family."""
        rows = self.scores[self.scores["setting"] == setting]
        rows = rows if family == EVERY else rows[rows["family"] == family]
        made, runs = self.intervals.groups.get((setting, RULE), (None, {}))
        few = {name: runs[name] for name in rows["generator"] if name in runs}
        intervals = Intervals({(setting, ""): (made, few)} if made and few else {}, self.intervals.confidence)
        return replace(self, scores=rows, intervals=intervals)


def make(study: Study) -> Content | None:
    params = study.params
    if params is None or len(params.encoders) < 2:
        return None
    chosen = {name: _chosen(study, params, name) for name in params.encoders}
    chosen = {name: each for name, each in chosen.items() if len(each.scores)}
    settings = [
        (name, label)
        for name, label in study.labels.items()
        if any((each.scores["setting"] == label).any() for each in chosen.values())
    ]
    if not settings:
        return None
    tables = [accuracy_table(study, params, setting, chosen) for setting in settings]
    tables += importance_table(params, [label for _, label in settings], chosen)
    return Content(tables=[*tables, cost_table(study, params)])


def _chosen(study: Study, params: Params, encoder: str) -> Chosen:
    """The rule on the grid of each setting, as `select` applies it to the encoder in force."""
    families = dict(zip(study.test_sets["generator"], study.test_sets["family"], strict=True))
    grid = study.scores("grid")
    grid, tables, shares = grid[grid["backbone"] == params.encoders[encoder].name], [], []
    folders = {label: f"grid/{encoder}-{setting}" for setting, label in study.labels.items()}
    for setting, runs in grid.groupby("setting", sort=False):
        table = generators_table(grid_of(runs, families))
        tables.append(table[table["rule"] == RULE].assign(setting=setting).dropna(subset="acc"))
        importance = study.table(f"{folders[str(setting)]}/importance.csv")
        if len(importance):
            both = tables[-1][["setting", "xi", "q", "proj_dim"]].merge(importance, on=["xi", "q", "proj_dim"])
            shares.append(both.groupby(["setting", "block"], sort=False)["share"].mean().reset_index())
    scores = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["setting", "generator"])
    if encoder == params.encoder:
        images = study.images("grid")
    else:
        scored = [study.artifacts / folder for folder in folders.values()]
        images = image_scores(scored, study.class_labels, study.labels.values())
    intervals = rule_intervals(scores, images, study.sets_of, params.report)
    return Chosen(scores, intervals, pd.concat(shares) if shares else pd.DataFrame(columns=SHARES))


def accuracy_table(study: Study, params: Params, setting: tuple[str, str], chosen: Mapping[str, Chosen]) -> Table:
    """Accuracy and AP of every encoder by family, and the difference from the encoder in force on the same pictures."""
    key, label = setting
    families = dict.fromkeys(name for each in chosen.values() for name in each.scores["family"])
    rows = []
    for family in [EVERY, *families] if len(families) > 1 else [EVERY]:
        parts = {name: each.of(label, family) for name, each in chosen.items()}
        parts = {name: part for name, part in parts.items() if len(part.scores)}
        for i, (name, part) in enumerate(parts.items()):
            cells = [text(params.encoders[name].name)]
            for metric in PAPER_METRICS:
                cells.append(percent(part.scores[metric].mean(), part.intervals.of(label, metric)))
                against = parts.get(params.encoder)
                cells.append(Cell("") if part is against else _difference(part, against, label, metric))
            rows.append(Row(cells, name == params.encoder, "" if i else family_title(family)))
    notes = [
        f"By the rule {rule_name(RULE)}: each generator by the configuration that is best on all others. Difference: "
        f"less {study.encoder}, on the same pictures, in points.",
        CHANCE_NOTE,
    ]
    columns = ["Encoder", *["mean", "diff."] * len(PAPER_METRICS)]
    groups = [("", 1), *((title, 2) for title in PAPER_METRICS.values())]
    return Table(f"encoders_{key}", f"Encoders, {label} (%)", columns, rows, groups, notes, "not scored by both")


def _difference(each: Chosen, base: Chosen | None, setting: str, metric: str) -> Cell:
    """The mean over the generators that both have, less the other's."""
    if base is None:
        return Cell(MISSING)
    ours, theirs = (chosen.scores.set_index("generator")[metric] for chosen in (each, base))
    paired = each.intervals.paired_difference(setting, metric, base.intervals, setting)
    return difference((ours - theirs).mean(), paired, bounds=True)


def importance_table(params: Params, settings: list[str], chosen: Mapping[str, Chosen]) -> list[Table]:
    """Share of the embedding's dimensions that each block leads: a row a block, a column an encoder and setting."""
    columns = {
        (setting, name): each.shares[each.shares["setting"] == setting].set_index("block")["share"]
        for setting, (name, each) in product(settings, chosen.items())
    }
    columns = {key: share for key, share in columns.items() if len(share)}
    blocks = sorted({int(block) for share in columns.values() for block in share.index})
    rows = [Row([text(str(block)), *(percent(share.get(block)) for share in columns.values())]) for block in blocks]
    there = [setting for setting, _ in columns]
    groups = [("", 1), *((setting, there.count(setting)) for setting in dict.fromkeys(there))]
    notes = [
        "Share of the embedding's dimensions whose largest importance lies in that block, by its number in the tower: "
        "the mean over the same heads as above."
    ]
    names = [params.encoders[name].name for _, name in columns]
    title = "Importance of each block (%)"
    dash = "no such block, or none that is kept"
    return [Table("encoder_importance", title, ["Block", *names], rows, groups, notes, dash)] if rows else []


def cost_table(study: Study, params: Params) -> Table:
    """What tokens cost: what is run for them, their size in the store, and how fast they were made."""
    from rine.encoder.facts import facts  # with PyTorch's seconds

    rows, speeds = [], noted(study.encoder_speeds)
    for name, encoder in params.encoders.items():
        seen = facts(encoder)
        made = [each for key, each in speeds.items() if key in {f"{name}-train", f"{name}-test"}]
        rate = sum(each["views"] for each in made) / sum(each["seconds"] for each in made) if made else None
        cells = [
            text(encoder.name),
            text(encoder.words),
            number(seen.tower.image_size, 0),
            text(f"{seen.n_blocks} x {seen.token_width}"),
            number(seen.parameters / 1e6, 2),
            number(seen.operations / 1e9, 2),
            number(2 * seen.n_blocks * seen.token_width, 0),
            number(rate, 1),
        ]
        rows.append(Row(cells, strong=name == params.encoder))
    columns = ["Encoder", "Kept", "Pixels", "Tokens", "Parameters (M)", "GFLOP", "Bytes", "Pictures/s"]
    notes = [
        "Parameters and GFLOP: of what is run for the tokens of a picture; bytes: of all its tokens in float16. "
        "Pictures/s: views of the training and test pictures, over the time that they took on this machine when they "
        "were last encoded, with reading and decoding."
    ]
    return Table("encoder_cost", "What each encoder costs", columns, rows, notes=notes,
                 dash="all its tokens were in the store")  # fmt: skip


SECTION = Section("encoders", "Encoders", ("grid", "index"), make)
