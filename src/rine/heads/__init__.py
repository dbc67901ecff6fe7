"""RINE's trainable part, and what is scored with it; how it is trained is `rine.training`."""

from rine.heads.head import Head, HeadConfig, Pool, seeded_head

__all__ = ["Head", "HeadConfig", "Pool", "seeded_head"]
