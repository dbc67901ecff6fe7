"""A detector that is a Python function: a list of PIL images (RGB) to a score each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rine.detectors.config import DetectorConfig
from rine.detectors.process import Score

if TYPE_CHECKING:
    from rine.pixels.crops import CropRule


def load(config: DetectorConfig) -> Score:
    """Import the function that `config.python` names; raises as the import does."""
    module, _, name = config.target.partition(":")
    function = getattr(import_module(module), name)

    def score(pictures: list[np.ndarray], crops: CropRule) -> object:
        return function([Image.fromarray(picture) for picture in pictures])

    return score
