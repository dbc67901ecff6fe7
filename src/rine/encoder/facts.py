"""What can be known of an encoder without its weights: the shape of its tokens, what they cost, which it has."""

from __future__ import annotations

from rine.encoder.catalogue import look_up
from rine.encoder.config import EncoderConfig
from rine.encoder.rows import layout


def token_shape(config: EncoderConfig) -> tuple[int, int]:
    """Blocks and width (L, D) of an entry's tokens; of a plain tower without importing torch."""
    tower = look_up(config)
    if tower.shape is not None:
        rows, blocks = layout(tower, config)
        return len(blocks), rows.n * tower.shape.width
    from rine.encoder.hooked import sketched

    return sketched(tower, config)
