"""Train heads on cached tokens: many in one pass, and the experiments of the study."""

from rine.training.members import Run
from rine.training.together import learning_rate, train

__all__ = ["Run", "learning_rate", "train"]
