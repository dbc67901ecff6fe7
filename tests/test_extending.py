"""What docs/extending.md adds from outside the package is there for the stages that use it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import TypeAdapter

from rine import extensions
from rine.checks import check
from rine.dataset.config import DatasetConfig
from rine.dataset.layouts import LAYOUTS
from rine.encoder.config import EncoderConfig
from rine.evaluation.metrics import METRICS, evaluate
from rine.evaluation.selection import RULES
from rine.features import Features
from rine.heads import HEADS
from rine.params import Params, ParamsError, VariantConfig
from rine.paths import Paths
from rine.pixels.degradations import DEGRADATIONS
from rine.pixels.perturbations import PERTURBATIONS
from rine.report.sections import SECTIONS
from rine.report.study import gather
from rine.report.write import compile_report
from rine.running import run_stage
from small_study import SmallStudy, settled

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"## An? (.*?)\n.*?```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL))
REGISTRIES: tuple[Any, ...] = (HEADS, LAYOUTS, PERTURBATIONS, DEGRADATIONS, METRICS, RULES)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's records, in a module that an entry point names."""
    before, sections = [dict(registry) for registry in REGISTRIES], list(SECTIONS)
    code = "\n\n".join(text for title, text in BLOCKS.items() if title != "encoder")
    (tmp_path / "rine_additions.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("mine", "rine_additions", extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [entry] if group == "rine" else [])
    extensions.load.cache_clear()
    extensions.load()
    yield
    for registry, records in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(records)
    SECTIONS[:] = sections
    sys.modules.pop("rine_additions")
    extensions.load.cache_clear()


def extended(study: Params) -> Params:
    assert study.perturb is not None
    assert study.perturb.degrade is not None
    degrade = replace(study.perturb.degrade, strengths={"posterise": (8.0,)})
    entry = TypeAdapter(dict[str, EncoderConfig]).validate_python(yaml.safe_load(BLOCKS["encoder"])["encoders"])
    return replace(
        study,
        encoders=study.encoders | entry,
        perturb=replace(study.perturb, kinds=("darken",), degrade=degrade),
        select=replace(study.select, rule="worst_case"),
        ablate=replace(study.ablate, variants={"centroid": VariantConfig(pool="centroid")}),
    )


def test_each_is_shown_in_under_thirty_lines() -> None:
    assert len(BLOCKS) == 8
    assert {title: n for title, text in BLOCKS.items() if (n := len(text.splitlines())) >= 30} == {}


def test_a_study_names_what_is_added_once_it_is_there(small_study: SmallStudy, added: None) -> None:
    study = extended(small_study.study)
    assert check(study) is study
    named = (PERTURBATIONS, "darken"), (DEGRADATIONS, "posterise"), (RULES, "worst_case"), (HEADS, "centroid")
    for registry, name in named:
        record = registry.pop(name)
        with pytest.raises(ParamsError, match=f"{name!r}; choose from"):
            check(study)
        registry[name] = record


def test_the_stages_run_with_what_is_added(small_study: SmallStudy, added: None, tmp_path: Path) -> None:
    study = extended(small_study.study)
    shutil.copytree(small_study.paths.artifacts, tmp_path / "artifacts")
    paths = Paths(tmp_path / "artifacts", tmp_path / "metrics")
    with settled(small_study.folder):
        run_stage("cache", study, paths, encoder="wide", feature_set="train")
        run_stage("cache", study, paths, encoder="tiny", feature_set="perturb")
        run_stage("perturb", study, paths)
        run_stage("select", study, paths)
        run_stage("ablate", study, paths)
        whole = replace(study, training=replace(study.training, pool="centroid"))
        run_stage("best", whole, paths, model="shapes")
        run_stage("validate", replace(whole, best=replace(study.best, models={"shapes": "train"})), paths)
    assert Features.open(paths.features("wide", "train")).tokens().shape[1:] == (2, 64)
    assert set(Features.open(paths.features("tiny", "perturb")).rows["view"]) == {"darken", "posterise:8"}
    assert set(pd.read_csv(paths.perturb() / "scores.csv")["variant"]) == {"perturb:darken"}
    assert json.loads(paths.choice("shapes").read_text())["rule"] == "worst_case"
    assert "worst_case" in set(pd.read_csv(paths.select("rules"))["rule"])
    assert (paths.ablate("centroid") / "scores.csv").is_file()
    assert "centroid" in (paths.best("shapes") / "model.md").read_text()


def test_a_layout_a_metric_and_a_section(small_study: SmallStudy, added: None, tmp_path: Path) -> None:
    pictures = [*(small_study.folder / "data" / "shapes").rglob("*.png")]
    for i, (split, kind) in enumerate((s, k) for s in ("train", "val", "test") for k in ("real", "fake")):
        (tmp_path / "mine" / split / kind).mkdir(parents=True)
        shutil.copy(pictures[i], tmp_path / "mine" / split / kind)
    prepare = replace(
        small_study.study.prepare, root=str(tmp_path), datasets={"mine": DatasetConfig(layout="pairs", family="gan")}
    )
    study = replace(small_study.study, prepare=prepare, settings={"shapes": ("mine",)}, ldm=None)
    paths = Paths(tmp_path / "artifacts", tmp_path / "metrics")
    with settled(small_study.folder):
        assert run_stage("prepare", study, paths).startswith("6 pictures, 1 test sets")

    labels, logits = np.arange(20) % 2, np.linspace(-2, 2, 20)
    assert evaluate(labels, logits)["brier"].value == pytest.approx(np.mean((1 / (1 + np.exp(-logits)) - labels) ** 2))

    results = gather(study, paths.artifacts, tmp_path, tmp_path / "timings.json")
    [content] = compile_report(results, [section for section in SECTIONS if section.key == "families"]).values()
    assert content.tables[0].rows[0].cells[0].text == "gan"


def test_an_extension_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("theirs", "no_such_module", extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [entry])
    extensions.load.cache_clear()
    with pytest.raises(ImportError, match="the extension theirs = 'no_such_module' cannot be loaded: No module named"):
        extensions.load()
    extensions.load.cache_clear()
