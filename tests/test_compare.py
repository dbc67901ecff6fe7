"""docs/compare.md and docs/export.md do what they say; our own model through `onnx:` is our own model."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import tiny_model
from graph import ROOT
from rine import Detector
from rine.detector.export import export_onnx
from rine.detectors.config import DetectorConfig
from rine.detectors.onnx import load
from rine.pixels.pictures import open_rgb
from rine.scores import ImageScores
from small_study import settled
from test_detect import detect, prepare

onnx = pytest.importorskip("onnx", reason="rine[onnx] is not installed")
pytest.importorskip("onnxruntime", reason="rine[onnx] is not installed")
pytest.importorskip("onnxscript", reason="rine[onnx] is not installed")

PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
# of logits by another runtime: tokens may be rounded to float16 on the other side (`rine.detector.export.Differences`)
NEAR = {"rel": 1e-3, "abs": 1e-3}
ODD = {"odd.png": (57, 49), "small.png": (21, 40), "narrow.png": (33, 20), "turned.jpg": (50, 65)}  # height, width


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small study with pictures of odd and small sizes, one of them turned by EXIF; a model and its graph."""
    folder = tmp_path_factory.mktemp("study")
    for i, (name, (height, width)) in enumerate(ODD.items()):
        path = folder / "data" / "gan" / "real" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn it by a quarter
        Image.fromarray(tiny_model.picture(i, height, width)).save(path, exif=exif)
    prepare(folder)
    with tiny_model.model_in(folder) as model:
        export_onnx(Detector.load(model, device="cpu"), folder / "four_class.onnx")
        (folder / "model_4class_trainable.safetensors").write_bytes(model.read_bytes())
        yield folder


@pytest.fixture
def inside(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with settled(study):
        monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
        monkeypatch.setenv("RINE_CACHE", str(study / "cache"))
        yield tmp_path


def test_our_own_model_gives_its_own_logits_as_a_graph_and_as_a_file(study: Path, inside: Path) -> None:
    graph = {"onnx": "four_class.onnx", "output": "logit", "gives": "logit"}
    raw = {"graph": graph, "file": {"model": "model_4class_trainable.safetensors"}}
    _, paths = detect(inside, study, raw)
    detector = Detector.load(study / "model_4class_trainable.safetensors", device="cpu")
    for name, near in (("graph", NEAR), ("file", {"rel": 1e-6, "abs": 1e-6})):
        scores = ImageScores.read(paths.detect(name))
        assert {Path(path).name for path in scores.images["path"]} > set(ODD)
        for source in scores.images["source"].unique():
            rows = (scores.images["source"] == source).to_numpy()
            files = [study / "data" / path for path in scores.images["path"][rows]]
            verdicts = detector(files, crops="ten" if source == "buster" else "centre")
            assert scores.logits[0, rows] == pytest.approx([v.logit for v in verdicts], **near)


@pytest.mark.parametrize("small", ["pad", "resize"])
@pytest.mark.parametrize("name", ODD)
def test_the_snippet_of_the_export_page_and_an_onnx_detector_give_our_own_logit(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, small: str
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(encoding="utf-8"), re.DOTALL)
    picture = study / "data" / "gan" / "real" / name
    detector = Detector.load(study / "model_4class_trainable.safetensors", device="cpu")
    detector = replace(detector, meta=detector.meta | {"transform": {"crop": 32, "small": small}})
    graph = onnx.load(study / "four_class.onnx")
    [said] = [each for each in graph.metadata_props if each.key == "small"]
    assert said.value == "pad"
    said.value = small  # that is all it changes of the file
    onnx.save(graph, tmp_path / "four_class.onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code.replace("a.jpg", str(picture)), names)
    [verdict] = detector(picture)
    assert names["logit"] == pytest.approx([verdict.logit], **NEAR)
    assert names["probability"] == pytest.approx([verdict.probability], abs=1e-3)
    score = load(DetectorConfig(onnx="four_class.onnx", output="logit", gives="logit"))
    assert score([open_rgb(picture, 10_000)], "centre") == pytest.approx([verdict.logit], **NEAR)


def test_every_example_of_the_page_works_and_is_short(
    study: Path, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")  # where `python` is this one
    raw = {}
    for block in re.findall(r"## (?:A|An|Scores|Baselines) .*?(?=\n## )", PAGE, re.DOTALL):
        codes = re.findall(r"```(\w+)\n(.*?)```", block, re.DOTALL)
        assert sum(len(code.splitlines()) for _, code in codes) < 30
        for kind, code in codes:
            if kind == "python":
                (study / code.split()[1]).write_text(code)
            if kind == "csv":
                (study / "theirs.csv").write_text(code)
            if kind == "yaml":
                raw |= yaml.safe_load(code)
    assert len(raw) == 7
    line, paths = detect(inside, study, raw)
    images = {name: ImageScores.read(paths.detect(name)).images for name in raw}
    assert [*images["theirs"]["path"]] == ["gan/real/0.png", "gan/fake/0.png"]
    assert {len(table) for name, table in images.items() if name != "theirs"} == {22 + len(ODD)}
    assert f"not scored: {20 + len(ODD)} by theirs" in line


def test_the_study_of_the_page_is_the_sample_study_and_its_detectors_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    compare, sample = (yaml.safe_load((ROOT / name).read_text()) for name in ("pipeline/compare.yaml", "params.yaml"))
    detectors = compare.pop("detectors")
    assert compare | {"detectors": None} == sample
    assert {kind for each in detectors.values() for kind in each} >= {"onnx", "python", "command"}
    monkeypatch.syspath_prepend(ROOT)
    from pipeline.detectors.residual import scores

    smooth, rough = (Image.fromarray(np.full((32, 32, 3), 99, np.uint8)), Image.fromarray(tiny_model.crop(0)))
    assert scores([smooth])[0] == 0 < scores([rough])[0]
