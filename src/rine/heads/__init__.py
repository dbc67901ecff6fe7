"""RINE's trainable part, and what is scored with it; how it is trained is `rine.training`."""

from rine.heads.head import HEADS, Head, HeadConfig, make_head, seeded_head

__all__ = ["HEADS", "Head", "HeadConfig", "make_head", "seeded_head"]
