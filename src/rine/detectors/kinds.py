"""The kinds of detectors: what makes a `method.Method` of a section of the params file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from rine.detectors.command import Command
from rine.detectors.config import DetectorConfig
from rine.detectors.method import Method
from rine.detectors.pictures import Pictures
from rine.detectors.process import Process
from rine.detectors.scores_file import ScoresFile
from rine.detectors.spectrum import Spectrum

Start = Callable[[DetectorConfig, Pictures, pd.DataFrame], Method]


@dataclass(frozen=True)
class Kind:
    """A kind of detector: its key in the params file, and what starts one; that raises `DetectorError`.

    It is started with the way in which pictures are shown, and the table of the training pictures, on which one that
    `learns` depends.
    """

    name: str
    start: Start
    learns: bool = False


def _in_process(load: str) -> Start:
    return lambda config, pictures, _: Process(config, load, pictures.max_pixels)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("onnx", _in_process("rine.detectors.onnx:load")),
        Kind("python", _in_process("rine.detectors.python:load")),
        Kind("command", lambda config, *_: Command(config)),
        Kind("scores", lambda config, *_: ScoresFile(config)),
        # by name: a stage does not import what it is to judge
        Kind("model", _in_process("rine.detector.method:load")),
        Kind("baseline", Spectrum, learns=True),
    )
}
