"""A detector that is an ONNX graph, run by onnxruntime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from rine.detectors.config import DetectorConfig
from rine.detectors.process import Score
from rine.pixels.crops import CropRule, crops_of

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def load(config: DetectorConfig) -> Score:
    """Open the graph and settle how pictures are fed to it.

    Raises `ValueError` that names what is neither in the graph nor said, and `ImportError` without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("this needs onnxruntime, which is not installed: pip install 'rine[onnx]'") from error

    session = onnxruntime.InferenceSession(config.target, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{each.name} {each.shape}" for each in inputs)
        raise ValueError(f"its inputs are {shapes}; needed: one, pictures of shape (batch, 3, size, size)")
    [given] = inputs
    layout = _layout(config, given.shape)
    size, scale = _size(config, given.shape, layout), _scale(config, given.type)
    output = _output(config, [each.name for each in session.get_outputs()])
    at_once = given.shape[0] if isinstance(given.shape[0], int) else None
    small = session.get_modelmeta().custom_metadata_map.get("small", "pad")  # as `rine export` says of our own models

    def score(pictures: list[np.ndarray], crops: CropRule) -> np.ndarray:
        views = [_fitted(picture, config.fit or "crop", crops, size, small) for picture in pictures]
        batch = scale(np.concatenate(views))  # (sum of V, S, S, 3)
        batch = batch if layout == "NHWC" else np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        values = np.concatenate([_run(session, given.name, output, part, at_once) for part in _parts(batch, at_once)])
        scores = _of_class(config, values)
        ends = np.cumsum([len(view) for view in views])
        return np.array([part.mean() for part in np.split(scores, ends[:-1])])  # several crops have a mean score

    return score


def _layout(config: DetectorConfig, shape: list[Any]) -> str:
    possible = [name for name, channels in (("NCHW", shape[1]), ("NHWC", shape[3])) if channels == 3]
    if config.layout is None and len(possible) != 1:
        raise ValueError(f"its input has shape {shape}, from which layout cannot be read; say layout: NCHW or NHWC")
    return config.layout or possible[0]


def _size(config: DetectorConfig, shape: list[Any], layout: str) -> int:
    sides = shape[2:4] if layout == "NCHW" else shape[1:3]
    read = sides[0] if isinstance(sides[0], int) and sides[0] == sides[1] else None
    size = config.size or read
    if size is None:
        raise ValueError(f"its input has shape {shape}, from which size cannot be read; say size: pixels a side")
    if size != (read or size):
        raise ValueError(f"size = {size}, but its input has shape {shape}")
    return size


def _scale(config: DetectorConfig, kind: str) -> Any:
    """Pixels (B, S, S, 3) uint8 to what the graph takes."""
    if kind == "tensor(uint8)":
        if config.mean or config.std:
            raise ValueError("mean and std are said, but it takes uint8 pixels in 0..255")
        return lambda pixels: pixels
    if kind not in _FLOATS:
        raise ValueError(f"its input is {kind}; allowed: {', '.join(['tensor(uint8)', *_FLOATS])}")
    if config.mean is None or config.std is None:
        raise ValueError(
            f"its input is {kind}: say mean and std of the channels in 0..1 ([0, 0, 0] and [1, 1, 1] where it "
            "normalises by itself)"
        )
    mean, std = (np.array(values) for values in (config.mean, config.std))
    return lambda pixels: ((pixels / 255 - mean) / std).astype(_FLOATS[kind])


def _output(config: DetectorConfig, names: list[str]) -> str:
    wanted = config.output or (names[0] if len(names) == 1 else None)
    if wanted not in names:
        said = f"output = {config.output!r}" if config.output else "it has several outputs"
        raise ValueError(f"{said}; say output: one of {', '.join(names)}")
    return wanted


def _fitted(picture: np.ndarray, fit: str, crops: CropRule, size: int, small: str) -> np.ndarray:
    """A picture (H, W, 3) as views (V, size, size, 3)."""
    if fit == "crop":
        return crops_of(picture, crops, size, small)
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))[None]


def _parts(batch: np.ndarray, at_once: int | None) -> list[np.ndarray]:
    step = at_once or len(batch)
    return [batch[start : start + step] for start in range(0, len(batch), step)]


def _run(session: Any, name: str, output: str, part: np.ndarray, at_once: int | None) -> np.ndarray:
    """The output for a part of a batch; a graph of a fixed batch gets the last picture again until it is full."""
    n = len(part)
    if at_once is not None and n < at_once:
        part = np.concatenate([part, np.repeat(part[-1:], at_once - n, axis=0)])
    [values] = session.run([output], {name: part})
    return np.asarray(values, dtype=np.float64)[:n]


def _of_class(config: DetectorConfig, values: np.ndarray) -> np.ndarray:
    """One score a picture of an output (B,), (B, 1) or (B, classes)."""
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        return values.reshape(-1)
    if values.ndim != 2 or config.column is None or config.column >= values.shape[1]:
        raise ValueError(
            f"its output has shape {values.shape}; say column: which of its columns is the synthetic class"
        )
    if config.gives == "logit" and values.shape[1] == 2:
        return values[:, config.column] - values[:, 1 - config.column]  # what the softmax of the two goes by
    return values[:, config.column]
