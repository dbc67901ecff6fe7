"""The kinds of detectors: what makes a `method.Method` of a section of the params file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rine.detectors.command import Command
from rine.detectors.config import DetectorConfig
from rine.detectors.method import Method
from rine.detectors.process import Process
from rine.detectors.scores_file import ScoresFile


@dataclass(frozen=True)
class Kind:
    """A kind of detector: its key in the params file, and what starts one; that raises `DetectorError`."""

    name: str
    start: Callable[[DetectorConfig, int], Method]


def _in_process(load: str) -> Callable[[DetectorConfig, int], Method]:
    return lambda config, max_pixels: Process(config, load, max_pixels)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("onnx", _in_process("rine.detectors.onnx:load")),
        Kind("python", _in_process("rine.detectors.python:load")),
        Kind("command", lambda config, _: Command(config)),
        Kind("scores", lambda config, _: ScoresFile(config)),
        # by name: a stage does not import what it is to judge
        Kind("model", _in_process("rine.detector.method:load")),
    )
}
