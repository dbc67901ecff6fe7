"""An exported graph gives the detector's numbers for any batch, or is not written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tiny_model
from rine import Detector
from rine.detector import export as exports
from rine.detector.export import ExportError, Input, export_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="rine[onnx] is not installed")
pytest.importorskip("onnxscript", reason="rine[onnx] is not installed")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with tiny_model.model_in(tmp_path_factory.mktemp("study")) as path:
        yield Detector.load(path, device="cpu")


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_the_graph_gives_the_detectors_numbers_for_any_batch(detector: Detector, tmp_path: Path, pixels: Input) -> None:
    path = tmp_path / "new" / "model.onnx"
    assert export_onnx(detector, path, pixels) <= 1e-4
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3, 7):
        crops = np.stack([tiny_model.crop(i) for i in range(batch)])
        given = crops.transpose(0, 3, 1, 2)
        given = given if pixels == "uint8" else (given / 255).astype(np.float32)
        logit, probability = session.run(None, {"crops": given})
        verdicts = detector(crops)
        # random blocks magnify the last digits of float32 sums, which trained ones do not
        assert logit == pytest.approx(np.array([v.logit for v in verdicts]), abs=1e-3)
        assert probability == pytest.approx(np.array([v.probability for v in verdicts]), abs=1e-3)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["model"] == "four_class"
    assert json.loads(facts["encoder"])["weights"] == detector.encoder.weights_digest
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]  # one file, and nothing half-made


def test_a_graph_with_other_numbers_is_not_written(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the one before")
    # `_write` puts a graph with another mean: what a wrong exporter might do
    write = exports._write

    def wrong(graph: exports.Graph, *rest: object) -> None:
        graph.mean += 20
        write(graph, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(exports, "_write", wrong)
    with pytest.raises(ExportError, match="differs from PyTorch"):
        export_onnx(detector, path)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]
