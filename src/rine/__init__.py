"""RINE: synthetic-image detection from the CLS tokens of all blocks of a frozen CLIP encoder.

The names in `__all__` are the public interface (docs/python.md); what else is in the package may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rine.detector import Detector, Verdict
    from rine.encoder import load as load_encoder
    from rine.encoder.config import EncoderConfig
    from rine.encoding import encode
    from rine.evaluation.metrics import evaluate
    from rine.features import Features
    from rine.heads import Head, HeadConfig
    from rine.heads.scoring import score
    from rine.params import TrainingConfig
    from rine.scores import ImageScores
    from rine.training import Run, train

__version__ = "0.1.0"
__all__ = [
    "Detector",
    "EncoderConfig",
    "Features",
    "Head",
    "HeadConfig",
    "ImageScores",
    "Run",
    "TrainingConfig",
    "Verdict",
    "__version__",
    "encode",
    "evaluate",
    "load_encoder",
    "score",
    "train",
]
_HOMES = {
    "Detector": "rine.detector",
    "EncoderConfig": "rine.encoder.config",
    "Features": "rine.features",
    "Head": "rine.heads",
    "HeadConfig": "rine.heads",
    "ImageScores": "rine.scores",
    "Run": "rine.training",
    "TrainingConfig": "rine.params",
    "Verdict": "rine.detector",
    "encode": "rine.encoding",
    "evaluate": "rine.evaluation.metrics",
    "score": "rine.heads.scoring",
    "train": "rine.training",
}


def __getattr__(name: str) -> Any:
    # `import rine` must cost nothing: most of these pull in torch, the stages that need none must not
    if name == "load_encoder":
        return import_module("rine.encoder").load
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rine' has no attribute {name!r}")
