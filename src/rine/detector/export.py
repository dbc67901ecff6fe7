"""A model as one ONNX graph: encoder, head and calibration, for runtimes without PyTorch."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rine import __version__
from rine.detector import Detector
from rine.files import whole

Input = Literal["uint8", "float32"]
TOLERANCE = 1e-4  # of all `Differences` but the last; float16, to which tokens are rounded, has steps of 1e-3


class ExportError(ValueError):
    """The exported graph does not give PyTorch's numbers; nothing was written."""


class Differences(NamedTuple):
    """Largest differences between a graph and PyTorch, each relative to what it is a difference of.

    That of the whole way, `logit`, has no limit of its own: tokens that differ in their last digits may be rounded to
    float16 on either side, and a head magnifies that as much as its weights are large. So each half of the way is held:
    tokens before they are rounded, and what comes of the graph's own tokens.
    """

    tokens: float  # to the largest of its picture and block
    head: float  # of logits of the graph's own tokens, to the logit where that is above one
    probability: float  # of the graph's own logit
    logit: float  # of `Detector.logits`, to the logit where that is above one


class Graph(nn.Module):
    """Crops (B, 3, S, S), uint8 or floats in 0..1, to logit (B,), calibrated probability (B,) and tokens (B, L, D).

    All in float32. The encoder's arithmetic without its micro-batches of one size, which are there for equal bits; with
    the rounding of tokens to float16 on the way to the head, since heads are trained on such. Those that are returned
    are not rounded yet: by them the file is checked.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, detector: Detector, pixels: Input) -> None:
        super().__init__()
        self.body, self.head = detector.encoder.body, detector.head
        self.scale = 1.0 if pixels == "uint8" else 255.0
        self.register_buffer("mean", detector.encoder.mean.clone())
        self.register_buffer("std", detector.encoder.std.clone())
        # slope * logit + bias, from where it crosses 0: float32 keeps few digits of the sum of two large numbers
        self.slope, bias = detector.calibration.scale, detector.calibration.bias
        self.crossing = float(np.float32(-bias / self.slope)) if self.slope else 0.0
        self.rest = bias + self.slope * self.crossing

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.body((crops.float() * self.scale - self.mean) / self.std)
        logit = self.head(tokens.half().float())[0]
        return logit, torch.sigmoid(self.slope * (logit - self.crossing) + self.rest), tokens


def export_onnx(detector: Detector, path: Path, pixels: Input = "uint8") -> float:
    """Write a detector as ONNX with a free batch size; return its logits' largest difference from PyTorch's.

    The file is run by onnxruntime on batches of several sizes before it is put in place. Raises `ExportError` where it
    cannot be made, or a half of it differs by more than `TOLERANCE` (see `Differences`), and `ValueError` for a
    detector elsewhere than on the CPU.
    """
    if detector.encoder.precision != "fp32" or detector.encoder.device != "cpu":
        raise ValueError("export needs the model on the CPU in float32: Detector.load(..., device='cpu')")
    graph = Graph(detector, pixels).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        try:
            _write(graph, detector, part, pixels)
            found = differences(part, detector, pixels)
        except Exception as error:  # exporter and runtime have exceptions of their own of many kinds
            raise ExportError(f"the graph cannot be written or run: {type(error).__name__}: {error}") from error
        for what, difference in found._asdict().items():
            if what != "logit" and not difference <= TOLERANCE:
                raise ExportError(f"the graph differs from PyTorch: {what} by {difference:.1e}, over {TOLERANCE:.0e}")
    return found.logit


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
                output_names=["logit", "probability", "tokens"],
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
        "input": f"crops (batch, 3, {size}, {size}), RGB, {pixels} in {scale}, at native resolution",
        "small": detector.small,  # of pictures under that size: pad with black, or resize
        "thresholds": json.dumps({"fpr1": calibration.threshold_fpr1, "fpr5": calibration.threshold_fpr5}),
        "classes": json.dumps(detector.meta["classes"]),
    }


def differences(path: Path, detector: Detector, pixels: Input) -> Differences:
    """How far an ONNX file is from the detector, on batches of crops of noise and of flat colours."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    size, rng, found = detector.encoder.image_size, np.random.default_rng(0), []
    for batch in (1, 2, 5):
        crops = rng.integers(0, 256, (batch, 3, size, size), dtype=np.uint8)
        crops[-1] = rng.integers(0, 256, (3, 1, 1))
        given = crops if pixels == "uint8" else (crops / 255).astype(np.float32)
        logit, probability, tokens = session.run(["logit", "probability", "tokens"], {"crops": given})
        right = detector.encoder(torch.from_numpy(crops)).numpy()
        with torch.inference_mode():
            of_its_own = detector.head(torch.from_numpy(tokens).half().float())[0].numpy()
        apart = [
            np.abs(tokens - right) / np.abs(right).max(axis=2, keepdims=True),
            np.abs(logit - of_its_own) / np.maximum(1, np.abs(of_its_own)),
            np.abs(probability - [detector.decide(float(value))[1] for value in logit]),
            np.abs(logit - (predicted := detector.logits(crops))) / np.maximum(1, np.abs(predicted)),
        ]
        found.append([float(each.max()) for each in apart])
    return Differences(*np.max(found, axis=0).tolist())
