"""A whole study in small: 46 pictures of 48 pixels, a tiny tower, every stage called as its command calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import graph
from graph import ROOT, Item, items
from rine import params
from rine.params import Params
from rine.paths import Paths
from rine.running import run_stage as run
from tiny_model import picture

# the report draws for longer than all others run; tests/test_report.py has a study for it
STAGES = [name for name in graph.STAGES if name != "report"]
# data set -> (split, study, pictures of each class)
DATASETS = {
    "shapes": ("train", "grid", 8),
    "held": ("val", "grid", 6),
    "gan": ("test", "grid", 3),
    "latent": ("train", "ldm", 4),
    "buster": ("test", "ldm", 2),
}


@dataclass
class StageRun:
    """What one run of a stage wrote: files that are new after it, and how often it wrote each text file."""

    stage: str
    item: Item
    line: str
    new: set[Path] = field(default_factory=set)
    texts: list[Path] = field(default_factory=list)


@dataclass
class SmallStudy:
    """The study, where it lies, and every run of its stages."""

    study: Params
    folder: Path
    runs: list[StageRun]

    @property
    def paths(self) -> Paths:
        return Paths(self.folder / "artifacts", self.folder / "metrics")


def write_data(root: Path) -> None:
    """Pictures whose synthetic ones are darker."""
    for number, (name, (_, _, n)) in enumerate(DATASETS.items()):
        for label, kind in enumerate(("real", "fake")):
            write_pictures(root / name / kind, n, 1000 * number + 100 * label, dark=bool(label))


def write_pictures(folder: Path, n: int, seed: int, dark: bool) -> None:
    """`n` pictures of a seed each, 0.png, 1.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        pixels = picture(seed + i, 48, 48) // (2 if dark else 1)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")


OWN: dict[str, dict[str, Any]] = {
    name: {"real": [f"{name}/real/*"], "fake": [f"{name}/fake/*"], "split": split, "study": study}
    for name, (split, study, _) in DATASETS.items()
}
OWN["held"]["category"] = "shapes"


def study_of(root: Path, datasets: Mapping[str, Any] = OWN, settings: Mapping[str, list[str]] | None = None) -> Params:
    return params.parse(raw_of(str(root), datasets, settings))


def raw_of(
    root: str, datasets: Mapping[str, Any] = OWN, settings: Mapping[str, list[str]] | None = None
) -> dict[str, Any]:
    """The sample study with other data, a tower of 32 pixels, and little of everything, as its params file has it."""
    settings = settings or {"shapes": ["shapes"]}
    raw: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    tower = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
    raw["encoders"] = {"tiny": {"name": "ViT-tiny", "model": tower, "pretrained": "random", "seed": 0}}
    raw["encoder"], raw["settings"] = "tiny", dict(settings)
    raw["prepare"]["root"] = root
    raw["prepare"]["datasets"] = dict(datasets)
    raw["augmentation"]["views"] = 2
    raw["grid"] |= {"epochs": 1, "xi": [0.1], "q": [1, 2], "proj_dim": [8]}
    raw["ldm"] |= {"epochs": [1], "xi": [0.2], "q": [1], "proj_dim": [8]}
    raw["epochs"]["epochs"], raw["dataset_size"]["fractions"] = [1, 2], [0.5, 1.0]
    raw["best"] = {"models": dict.fromkeys(settings, "train"), "default": next(iter(settings))}
    if any(each.get("study") == "ldm" for each in datasets.values()):
        raw["best"]["models"]["ldm"] = "ldm"
    else:
        raw["ldm"] = None
    raw["validate"] |= {"tsne_pictures": 6, "tsne_perplexity": 2}
    raw["perturb"]["degrade"] = {"pictures": 2, "strengths": {"jpeg": [50]}}
    raw["runtime"] |= {"device": "cpu", "workers": 0}
    return raw


def run_study(folder: Path) -> SmallStudy:
    """Run every stage but the report in `folder`, in the order of the graph, one item after the other."""
    write_data(folder / "data")
    return run_stages(SmallStudy(study_of(folder / "data"), folder, []))


def run_stages(made: SmallStudy, stages: Sequence[str] = STAGES) -> SmallStudy:
    """Every item of these stages, by default all but the report, on data that are there."""
    with settled(made.folder):
        for stage in stages:
            for item in items(stage, made.study):
                made.runs.append(run_stage(made, stage, item))
    return made


def run_stage(made: SmallStudy, stage: str, item: Item) -> StageRun:
    """One run of a stage, as its command calls it."""
    before, texts = files_in(made.folder), []
    names = {"cache": ["encoder", "feature_set"], "grid": ["encoder", "setting"], "best": ["model"]}.get(stage, [])
    write = Path.write_text

    def noted(path: Path, *args: Any, **kwargs: Any) -> int:
        texts.append(path.relative_to(made.folder) if path.is_relative_to(made.folder) else path)
        return write(path, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_text", noted)
        line = run(stage, made.study, made.paths, **dict(zip(names, item.arguments, strict=True)))
    return StageRun(stage, item, line, files_in(made.folder) - before, texts)


def files_in(folder: Path) -> set[Path]:
    """Files below `folder` that a stage may leave: not the pictures, nor the store, nor notes of how fast it was."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if path.parts[0] not in {"data", "store", "cache", ".rine"}}


@contextmanager
def settled(folder: Path) -> Iterator[None]:
    """In `folder`, with a store of its own and one thread: small products gain nothing from more."""
    n_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RINE_STORE", str(folder / "store"))
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(n_threads)
