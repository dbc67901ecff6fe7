"""A model as one ONNX graph: encoder, head and calibration, for runtimes without PyTorch."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from rine import __version__
from rine.detector import Detector
from rine.files import whole

Input = Literal["uint8", "float32"]
TOLERANCE = 1e-4  # of `largest_difference`


class ExportError(ValueError):
    """The exported graph does not give PyTorch's numbers; nothing was written."""


class Graph(nn.Module):
    """Crops (B, 3, S, S), uint8 or floats in 0..1, to logit (B,) and calibrated probability (B,), all in float32.

    The encoder's arithmetic without its micro-batches of one size, which are there for equal bits; with the rounding of
    tokens to float16, since heads are trained on such.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, detector: Detector, pixels: Input) -> None:
        super().__init__()
        self.body, self.head = detector.encoder.body, detector.head
        self.scale = 1.0 if pixels == "uint8" else 255.0
        self.register_buffer("mean", detector.encoder.mean.clone())
        self.register_buffer("std", detector.encoder.std.clone())
        self.slope, self.bias = detector.calibration.scale, detector.calibration.bias

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        x = (crops.float() * self.scale - self.mean) / self.std
        logit = self.head(self.body(x).half().float())[0]
        return logit, torch.sigmoid(self.slope * logit + self.bias)


def export_onnx(detector: Detector, path: Path, pixels: Input = "uint8") -> float:
    """Write a detector as ONNX with a free batch size; return its largest difference from PyTorch.

    The file is run by onnxruntime on batches of several sizes before it is put in place. Raises `ExportError` where it
    cannot be made or differs by more than `TOLERANCE`, and `ValueError` for a detector elsewhere than on the CPU.
    """
    if detector.encoder.precision != "fp32" or detector.encoder.device != "cpu":
        raise ValueError("export needs the model on the CPU in float32: Detector.load(..., device='cpu')")
    graph = Graph(detector, pixels).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        try:
            _write(graph, detector, part, pixels)
            difference = largest_difference(part, detector, pixels)
        except Exception as error:  # exporter and runtime have exceptions of their own of many kinds
            raise ExportError(f"the graph cannot be written or run: {type(error).__name__}: {error}") from error
        if not difference <= TOLERANCE:
            raise ExportError(f"the graph differs from PyTorch by {difference:.1e}, more than {TOLERANCE:.0e}")
    return difference


def _write(graph: Graph, detector: Detector, path: Path, pixels: Input) -> None:
    import onnx

    example = torch.zeros(2, 3, detector.encoder.image_size, detector.encoder.image_size)
    example = example.to(torch.uint8) if pixels == "uint8" else example
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)  # they tell of their own progress at length
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter's own internals
            program = torch.onnx.export(
                graph,
                (example,),
                input_names=["crops"],
                output_names=["logit", "probability"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                dynamo=True,
                verbose=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert program is not None
    model = program.model_proto
    for key, value in _facts(detector, pixels).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


def _facts(detector: Detector, pixels: Input) -> dict[str, str]:
    """What a reader of the file has to know, as ONNX's own key and value pairs."""
    size = detector.encoder.image_size
    scale = "0..255" if pixels == "uint8" else "0..1"
    calibration = detector.calibration
    return {
        "rine": __version__,
        "model": detector.name,
        "encoder": json.dumps(detector.meta["encoder"]),
        "input": f"crops (batch, 3, {size}, {size}), RGB, {pixels} in {scale}, at native resolution, not resized",
        "thresholds": json.dumps({"fpr1": calibration.threshold_fpr1, "fpr5": calibration.threshold_fpr5}),
        "classes": json.dumps(detector.meta["classes"]),
    }


def largest_difference(path: Path, detector: Detector, pixels: Input) -> float:
    """Largest difference between an ONNX file and the detector, on batches of crops of noise and of flat colours.

    Of the logit, relative to its size where that is above one; of the probability, to that of the same logit.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    size, rng, worst = detector.encoder.image_size, np.random.default_rng(0), 0.0
    for batch in (1, 2, 5):
        crops = rng.integers(0, 256, (batch, 3, size, size), dtype=np.uint8)
        crops[-1] = rng.integers(0, 256, (3, 1, 1))
        given = crops if pixels == "uint8" else (crops / 255).astype(np.float32)
        logit, probability = session.run(["logit", "probability"], {"crops": given})
        expected = detector.logits(torch.from_numpy(crops))
        sure = np.array([detector.decide(float(value))[1] for value in logit])
        worst = max(
            worst,
            float(np.max(np.abs(logit - expected) / np.maximum(1, np.abs(expected)))),
            float(np.max(np.abs(probability - sure))),
        )
    return worst
