"""A frozen image tower that gives a token of every block: pictures (B, 3, S, S) to tokens (B, L, D).

RINE's token is the CLS row of the output of the block's `ln_2`, before the MLP (section 3.1 of the paper; the published
heads were trained on it). `config` is an entry of the params file, `catalogue` says what its names stand for, `weights`
finds and reads files, `vit` computes plain ViTs and `hooked` all other towers; `encoder` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rine.encoder.config import EncoderConfig

if TYPE_CHECKING:
    from rine.encoder.encoder import Encoder

__all__ = ["Encoder", "load"]


def load(config: EncoderConfig, device: str = "auto", precision: str = "auto", digest: str | None = None) -> Encoder:
    """The frozen encoder of an entry, as `rine.encoder.encoder.load` builds it; says of weights first that they lack.

    Nothing here imports torch before it is needed: reading the params file's schema must not, and who has no weights
    is told so without its seconds.
    """
    from rine.encoder import catalogue, weights

    catalogue.look_up(config)  # nobody is to fetch weights for a tower that is of no use
    weights.require(config)
    from rine.encoder import encoder

    return encoder.load(config, device, precision, digest)


def __getattr__(name: str) -> Any:
    if name == "Encoder":
        from rine.encoder.encoder import Encoder

        return Encoder
    raise AttributeError(f"module 'rine.encoder' has no attribute {name!r}")
