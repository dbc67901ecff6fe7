"""Why a file has no pixels to offer."""

from __future__ import annotations

_LONGEST = 200  # characters of a decoder's message


class ContainerError(ValueError):
    """A file that should hold pictures, or a place in it, and cannot give them; the message says why."""


class UnreadablePicture(ValueError):
    """A file that has no pixels to offer: `path` names it, `reason` says why in plain words."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # both, so that it survives the way back from a worker process
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def message(error: Exception) -> str:
    """A decoder's message as one line for a terminal: it may quote bytes of the file, or be long."""
    text = str(error).strip() or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST]
