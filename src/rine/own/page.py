"""The page of `rine evaluate`: verdicts, figures with intervals, curves, worst pictures, what the files give away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.dataset import doctor
from rine.dataset.facts import Facts
from rine.dataset.index import Index
from rine.dataset.records import Records
from rine.detector import Detector
from rine.detector.explain import score_map
from rine.detector.explanation import draw_map
from rine.drawing import canvas, drawable, fill_style, legend_below
from rine.own.measure import VERDICTS, Measured, counts
from rine.own.pictures import Judged
from rine.pixels.pictures import UnreadablePicture
from rine.report.section import Content, Figure, Report, Section
from rine.report.sections.curves import KINDS, curve_points, draw_curves
from rine.report.table import Row, Table, number, percent, text
from rine.scores.calibration import FEWEST

TRUTHS = ("real", "synthetic")
CELLS = 4  # crops a side of the maps of the worst pictures


def report(detector: Detector, judged: Judged, measured: Sequence[Measured], worst: int) -> Report:
    """The sections of the page, each with what these pictures allow."""
    both = judged.rows["label"].nunique() == 2
    parts = {
        "verdicts": ("Verdicts", _verdicts(judged)),
        "figures": ("Figures", Content(tables=[_table(measured)], figures=[_histogram(detector, judged)])),
        "curves": ("Curves", _curves(judged) if both else Content(["Curves need real and synthetic pictures."])),
        "worst": ("The worst pictures", _worst(detector, judged, worst)),
        "files": ("What the files give away", _files(judged) if both else Content([_ONE_CLASS])),
    }
    return {Section(key, title, (), _made(content)): content for key, (title, content) in parts.items()}


_ONE_CLASS = "Whether facts of the files alone tell the classes apart can be asked of two classes only."


def _made(content: Content) -> Callable[[object], Content]:
    return lambda _: content


def _verdicts(judged: Judged) -> Content:
    rows = []
    for row in counts(judged).to_dict("records"):
        name = f"{TRUTHS[row['label']]}, all" if not row["source"] else row["source"]
        cells = [text(name), number(row["pictures"], 0)]
        for verdict in VERDICTS:
            cells += [number(row[verdict], 0), percent(row[verdict] / row["pictures"])]
        rows.append(Row(cells, strong=not row["source"]))
    groups = [("", 2), *((f"called {verdict}", 2) for verdict in VERDICTS)]
    table = Table("verdicts", "What the model says of them", ["Truth", "pictures", *["n", "%"] * 3], rows, groups)
    left_out = [f"{path}: {reason}" for path, reason in judged.skipped.itertuples(index=False)]
    return Content(tables=[table], warnings=[*judged.notes, *(f"left out: {each}" for each in left_out)])


def _table(measured: Sequence[Measured]) -> Table:
    rows = [Row([text(each.title), percent(each.value, each.interval)]) for each in measured]
    reasons: dict[str, list[str]] = {}
    for each in measured:
        if each.value is None:
            reasons.setdefault(each.reason, []).append(each.title)
    notes = [f"– {'; '.join(titles)}: {reason}." for reason, titles in reasons.items()]
    notes.append(
        "A verdict of synthetic needs both: a logit over the threshold for 1 % false alarms, a probability above 0.5."
    )
    notes.append("In brackets: intervals of 95 % over pictures like these; of the calibration error by bootstrap.")
    return Table("figures", "In per cent", ["", "%"], rows, notes=notes)


def _histogram(detector: Detector, judged: Judged) -> Figure:
    """Where the logits of each class lie, and the model's thresholds between verdicts."""
    data = judged.rows[["label", "logit"]].assign(
        panel="logits", series=judged.rows["label"].map(dict(enumerate(TRUTHS)))
    )
    thresholds = [detector.calibration.threshold_fpr5, detector.calibration.threshold_fpr1]

    def draw() -> Drawing:
        figure, axes = canvas(1, 1, 6.4, 3.2)
        [[panel]] = axes
        edges = np.histogram_bin_edges(data["logit"], bins=30)
        for i, kind in enumerate(TRUTHS):
            some = data.loc[data["series"] == kind, "logit"]
            if len(some):
                panel.hist(some, edges, label=kind, alpha=0.8, **fill_style(i))
        for value, name, dashes in zip(thresholds, ("5 %", "1 %"), (":", "--"), strict=True):
            if value is not None:
                panel.axvline(value, color="#b00020", linestyle=dashes, label=f"threshold for {name} false alarms")
        panel.set(xlabel="logit (higher: more like synthetic ones)", ylabel="pictures")
        legend_below(figure, panel)
        return figure

    says = "How many pictures of each class got which logit, with the thresholds between verdicts."
    return Figure("logits", "Logits of both classes", says, draw, data.drop(columns="label"))


def _curves(judged: Judged) -> Content:
    labels, logits = judged.rows["label"].to_numpy(), judged.rows["logit"].to_numpy()
    if len(labels) < FEWEST:
        return Content([f"{len(labels)} pictures are too few for a curve; {FEWEST} are needed."])
    figures = []
    for kind, title in KINDS.items():
        x, y = curve_points(kind, labels, logits)
        points = pd.DataFrame({"setting": "these pictures", "family": "all", "x": x, "y": y})
        says = "Of all pictures together."
        figures.append(Figure(kind, title.removesuffix(" by family"), says, _drawn(points, kind), points))
    return Content(figures=figures)


def _drawn(points: pd.DataFrame, kind: str) -> Callable[[], Drawing]:
    return lambda: draw_curves(points, kind)


def _worst(detector: Detector, judged: Judged, most: int) -> Content:
    """The real pictures that look most synthetic, and the synthetic ones that look most real, with their maps."""
    figures, tables = [], []
    for label, kind in enumerate(TRUTHS):
        part = judged.of(label).sort_values("logit", ascending=bool(label), kind="stable").head(most)
        if not len(part) or not most:
            continue
        like = TRUTHS[1 - label]
        rows = [
            Row([text("/".join(Path(path).parts[-2:])), text(verdict), number(p, 3), number(logit, 2)])
            for path, verdict, p, logit in part[["path", "verdict", "probability", "logit"]].itertuples(index=False)
        ]
        columns = ["File", "verdict", "probability of being synthetic", "logit"]
        tables.append(Table(f"worst_{kind}", f"{kind.capitalize()} pictures that look most {like}", columns, rows))
        says = (
            f"Each with the map of {CELLS} x {CELLS} crops at most: dark where a crop looks synthetic. What lies "
            "between the squares was not looked at."
        )
        title = f"{kind.capitalize()} pictures that look most {like}"
        data = part[["path", "logit"]].assign(panel=kind, series=kind)
        figures.append(Figure(f"worst_{kind}", title, says, _maps(detector, part), data))
    return Content(tables=tables, figures=figures)


def _maps(detector: Detector, part: pd.DataFrame) -> Callable[[], Drawing]:
    def draw() -> Drawing:
        columns = min(5, len(part))
        figure, axes = canvas(-(-len(part) // columns), columns, 2.4 * columns, 2.7 * -(-len(part) // columns))
        for panel in axes.flat:
            panel.set_axis_off()
        for panel, (path, p) in zip(axes.flat, part[["path", "probability"]].itertuples(index=False), strict=False):
            try:
                image = detector.pixels(path)
            except UnreadablePicture:  # gone since it was judged
                continue
            draw_map(panel, image, score_map(detector, image, CELLS), numbers=False)
            panel.set_title(f"{drawable(path.rsplit('/', 1)[-1][-28:])}\n{p:.3f}", fontsize=7, parse_math=False)
        return figure

    return draw


def _files(judged: Judged) -> Content:
    """The doctor's word: what tells the classes apart unseen makes every figure above doubtful."""
    pictures = judged.rows.sort_values("path", kind="stable")
    facts = pictures[list(Facts._fields)].astype(object)
    records = Records(list(pictures["path"]))
    for at, fact in enumerate(facts.where(facts.notna(), None).itertuples(index=False, name=None)):
        records.put(at, Facts(*fact))
    records.rank()
    numbers, label = np.arange(len(pictures), dtype=np.int32), pictures["label"].to_numpy()
    rows = pd.DataFrame({"path": numbers, "digest": records.ranks, "label": label, "category": "", "split": "test"})
    rows["source"] = rows["label"].map(dict(enumerate(TRUTHS)))
    none = rows.iloc[:0]
    test_sets = pd.DataFrame(
        [("these pictures", "own", "grid", *TRUTHS)], columns=["generator", "family", "study", "real", "fake"]
    )
    tables = {"train": none, "test": rows, "ldm": none, "synthbuster": none}
    found = doctor.examine(Index(tables, records, test_sets, none, judged.skipped.iloc[:0], len(rows), 0), None)
    said = {severity: list(part["finding"]) for severity, part in found.findings.groupby("severity")}
    shortcut = found.shortcuts.iloc[0]
    words = []
    if not shortcut["reason"]:
        words.append(
            "A classifier that sees no pixel, but format, size, JPEG quality and EXIF alone, has an average precision "
            f"of {shortcut['ap']:.2f} on these files; chance is {shortcut['chance']:.2f}. Where it is high, a detector "
            "may be right or wrong for a reason that has nothing to do with generators."
        )
    notes = [note for note in said.get("note", []) if "copy in their own split" not in note]
    return Content([*words, *notes], warnings=said.get("warning", []))
