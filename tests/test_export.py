"""An exported graph gives the detector's numbers for any batch, or is not written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_model
from rine import Detector
from rine.detector import export as exports
from rine.detector.export import TOLERANCE, ExportError, Input, differences, export_onnx
from rine.heads import Head

onnxruntime = pytest.importorskip("onnxruntime", reason="rine[onnx] is not installed")
pytest.importorskip("onnxscript", reason="rine[onnx] is not installed")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with tiny_model.model_in(tmp_path_factory.mktemp("study")) as path:
        yield Detector.load(path, device="cpu")


@pytest.fixture(scope="module")
def exported(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "new" / "model.onnx"
    assert export_onnx(detector, path) == differences(path, detector, "uint8").logit
    return path


def test_the_graph_gives_the_detectors_verdicts_for_any_batch(detector: Detector, exported: Path) -> None:
    session = same_verdicts(detector, exported, "uint8")
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["model"] == "four_class"
    assert json.loads(facts["encoder"])["weights"] == detector.encoder.weights_digest
    assert [p.name for p in exported.parent.iterdir()] == ["model.onnx"]  # one file, and nothing half-made


def test_of_floats(detector: Detector, tmp_path: Path) -> None:
    export_onnx(detector, tmp_path / "model.onnx", "float32")
    same_verdicts(detector, tmp_path / "model.onnx", "float32")


def same_verdicts(detector: Detector, path: Path, pixels: Input) -> onnxruntime.InferenceSession:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3, 7):
        crops = np.stack([tiny_model.crop(i) for i in range(batch)])
        given = crops.transpose(0, 3, 1, 2)
        given = given if pixels == "uint8" else (given / 255).astype(np.float32)
        logit, probability = session.run(["logit", "probability"], {"crops": given})
        verdicts = detector(crops)
        # not nearer: a token may be rounded to float16 on the other side, which this head magnifies
        assert logit == pytest.approx(np.array([v.logit for v in verdicts]), abs=1e-3)
        assert probability == pytest.approx(np.array([v.probability for v in verdicts]), abs=1e-3)
        assert [detector.decide(value)[0] for value in logit] == [v.verdict for v in verdicts]
    return session


def test_last_digits_of_tokens_are_no_reason_to_refuse_however_a_head_magnifies_them(
    detector: Detector, exported: Path
) -> None:
    encoder = copy(detector.encoder)
    encoder._buffers = encoder._buffers | {"mean": encoder.mean + 0.004}  # about what deep towers' last digits are
    found = differences(exported, replace(detector, encoder=encoder), "uint8")
    assert 1e-6 < found.tokens < TOLERANCE < found.logit
    assert max(found.head, found.probability) < 1e-5


def test_another_head_and_another_calibration_are(detector: Detector, exported: Path) -> None:
    head = deepcopy(detector.head)
    with torch.no_grad():
        head.alpha[0, 0] += 0.01
    assert differences(exported, replace(detector, head=head), "uint8").head > TOLERANCE
    calibration = replace(detector.calibration, bias=detector.calibration.bias + 0.01)
    assert differences(exported, replace(detector, calibration=calibration), "uint8").probability > TOLERANCE


@pytest.mark.parametrize("what", ["tokens", "head", "probability"])
def test_a_graph_that_differs_in_either_half_is_not_written(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    found = exports.Differences(tokens=0, head=0, probability=0, logit=1)._replace(**{what: 2 * TOLERANCE})
    monkeypatch.setattr(exports, "_write", lambda graph, detector, path, pixels: path.write_bytes(b"a graph"))
    monkeypatch.setattr(exports, "differences", lambda *_: found)
    with pytest.raises(ExportError, match=f"differs from PyTorch: {what} by"):
        export_onnx(detector, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_steep_calibration_keeps_its_digits(detector: Detector) -> None:
    crops = np.stack([tiny_model.crop(i) for i in range(4)])
    middle = float(detector.logits(crops).mean())
    calibration = replace(detector.calibration, scale=1e4, bias=-1e4 * middle)
    steep = replace(detector, calibration=calibration, head=nearly(detector.head, middle))
    with torch.inference_mode():
        logits, probabilities, _ = exports.Graph(steep, "uint8")(torch.from_numpy(crops).permute(0, 3, 1, 2))
    sure = [steep.decide(float(logit))[1] for logit in logits]
    assert 0.01 < min(sure) < max(sure) < 0.99
    assert probabilities.numpy() == pytest.approx(np.array(sure), abs=1e-5)


def nearly(head: Head, logit: float) -> Head:
    """The same head but that all its logits are near one, as those of random towers are."""
    head = deepcopy(head)
    with torch.no_grad():
        last = head.head[-1]
        last.weight /= 1e5
        last.bias.fill_(logit)
    return head


def test_tokens_that_are_not_rounded_are(detector: Detector, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "half", torch.Tensor.float)
    assert differences(exported, detector, "uint8").head > TOLERANCE


def test_a_graph_with_other_tokens_is_not_written_where_its_head_hides_them_too(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the one before")
    # `_write` puts a graph with another mean: what a wrong exporter might do
    write = exports._write

    def wrong(graph: exports.Graph, *rest: object) -> None:
        graph.mean += 0.5
        write(graph, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(exports, "_write", wrong)
    head = deepcopy(detector.head)
    with torch.no_grad():
        head.head[-1].weight /= 1000
    with pytest.raises(ExportError, match="differs from PyTorch: tokens by"):
        export_onnx(replace(detector, head=head), path)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]
