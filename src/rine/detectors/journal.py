"""What a detector has scored so far, outside DVC's outputs, so that a run that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rine
from rine.detectors.config import DetectorConfig
from rine.paths import store_folder

_HOW = ("batch", "seconds", "start_seconds", "perturbed")  # keys that change no score


class Journal:
    """Scores by `Shown.key` of one detector; another file, option or way to show pictures is another journal.

    `shown` is plain data that says how pictures are made into views. Nothing tells of a change in what a function
    imports or a command starts: delete the journal then.
    """

    def __init__(self, name: str, config: DetectorConfig, shown: dict[str, Any]) -> None:
        about = {key: value for key, value in asdict(config).items() if key not in _HOW}
        identity = [about, shown, _digests(config), rine.__version__]
        key = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8).hexdigest()
        self.path = store_folder("detect") / f"{name}-{key}.csv"
        self.scores = _read(self.path)

    def add(self, scores: dict[str, float]) -> None:
        """Keep some more."""
        self.scores |= scores
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # begun with a line's end: the last line of a run that was killed may lack it
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"\n{key},{score!r}," for key, score in scores.items()))


def _read(path: Path) -> dict[str, float]:
    """Lines that are whole end with a comma."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    cells = [line.split(",") for line in lines if line.endswith(",") and line.count(",") == 2]
    return {key: float(score) for key, score, _ in cells}


def _digests(config: DetectorConfig) -> dict[str, str]:
    """Of the files that the detector's own key names."""
    names = shlex.split(config.target) if config.kind == "command" else [config.target]
    if config.kind == "python":
        names = [f"{config.target.partition(':')[0].replace('.', '/')}.py"]
    files = [Path(name) for name in names if Path(name).is_file()]
    return {str(file): hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in files}
