"""Picture files to RGB pixels, and a plain reason for each file that has none.

Pixels are those of Pillow's `Image.open(path).convert("RGB")`, on which the published heads were trained.
Where Pillow would clip or drop something (16 bits, floats, transparency) the picture is shown as a viewer
would show it.
"""

from rine.pixels.pictures.containers import members, pieces, split
from rine.pixels.pictures.errors import ContainerError, UnreadablePicture
from rine.pixels.pictures.places import is_remote, place, system_of
from rine.pixels.pictures.reading import MAX_PIXELS, Source, load, most_bytes, open_rgb, opened, read
from rine.pixels.pictures.rgb import to_rgb

__all__ = [
    "MAX_PIXELS",
    "ContainerError",
    "Source",
    "UnreadablePicture",
    "is_remote",
    "load",
    "members",
    "most_bytes",
    "open_rgb",
    "opened",
    "pieces",
    "place",
    "read",
    "split",
    "system_of",
    "to_rgb",
]
