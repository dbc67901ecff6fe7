"""A frozen image tower that gives a token of every block: pictures (B, 3, S, S) to tokens (B, L, D).

RINE's token is the CLS row of the output of the block's `ln_2`, before the MLP (section 3.1 of the paper; the published
heads were trained on it). `config` is an entry of the params file, `catalogue` says what its names stand for, `weights`
finds and reads files, `vit` computes plain ViTs and `hooked` all other towers; `encoder` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rine.encoder.encoder import Encoder, load

__all__ = ["Encoder", "load"]


def __getattr__(name: str) -> Any:
    # the params file's schema is in this folder, and reading it must import no torch
    if name in __all__:
        from rine.encoder import encoder

        return getattr(encoder, name)
    raise AttributeError(f"module 'rine.encoder' has no attribute {name!r}")
