"""What is read of pictures after `prepare` and `cache`: the index tables, and the tokens of feature sets."""

from rine.features.features import COLUMNS, Features, FeaturesError, read_table

__all__ = ["COLUMNS", "Features", "FeaturesError", "read_table"]
