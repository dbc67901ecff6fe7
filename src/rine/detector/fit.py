"""Whether a stored head fits the encoder at hand."""

from __future__ import annotations

from rine.encoder import Encoder
from rine.models import checkpoint


def check_fit(stored: checkpoint.Stored, encoder: Encoder, origin: str) -> None:
    """Raise `ValueError` where a head was trained on the tokens of another encoder."""
    config = stored.head.config
    expected, crop = (encoder.n_blocks, encoder.width), stored.meta["transform"].get("crop", encoder.image_size)
    if (config.n_blocks, config.width) != expected or crop != encoder.image_size:
        raise ValueError(
            f"{origin}: its head takes {config.n_blocks} blocks of width {config.width} from crops of {crop}, "
            f"{encoder.config.name} gives {expected[0]} of width {expected[1]} ({encoder.config.words}) from crops of "
            f"{encoder.image_size}"
        )
