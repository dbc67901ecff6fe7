"""The facts of files from earlier runs, so that a large folder that is indexed again is not decoded again.

An append-only file of JSON lines outside DVC's outputs. It saves time and changes no output. An entry
is valid while the file's path, size and modification time (ns) are the same, and `VERSION` and the limit on pixels are.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import PIL

from rine.dataset.facts import Facts, Skipped

VERSION = 2  # raise it when `rine.dataset.facts` gives other facts for the same file
# a file may change again within its clock's tick and look the same (git's "racy" entries)
RACE_NS = 2_000_000_000


class FactStore:
    """Remembered facts under `folder`, for one limit on pixels."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self.file = folder / "facts.jsonl"
        self.made_by = f"{VERSION} pillow {PIL.__version__} {max_pixels}"
        self.entries: dict[str, tuple[int, int, Facts | Skipped]] = {}
        n_lines = 0
        if self.file.is_file():
            with self.file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    n_lines += 1
                    self._remember(line)
        if n_lines > 2 * len(self.entries) + 1000:
            self._compact()

    def _remember(self, line: str) -> None:
        try:
            path, size, mtime, made_by, values = json.loads(line)
            if made_by == self.made_by:
                self.entries[path] = (size, mtime, (Skipped if len(values) == 1 else Facts)(*values))
        except (ValueError, TypeError):
            return  # a line that a kill cut short: its file is read again

    def get(self, path: Path, stat: os.stat_result) -> Facts | Skipped | None:
        """What is known about a file with this `stat`; None where it must be read."""
        size, mtime, facts = self.entries.get(str(path), (-1, -1, None))
        return facts if (size, mtime) == (stat.st_size, stat.st_mtime_ns) else None

    def put(self, entries: Iterable[tuple[Path, os.stat_result, Facts | Skipped]]) -> None:
        """Remember facts with the `stat` from before the file was read."""
        now = time.time_ns()
        lines = [
            json.dumps([str(path), stat.st_size, stat.st_mtime_ns, self.made_by, list(facts)]) + "\n"
            for path, stat, facts in entries
            if stat.st_mtime_ns < now - RACE_NS
        ]
        if lines:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as out:
                out.writelines(lines)

    def _compact(self) -> None:
        whole = self.file.with_suffix(f".{os.getpid()}")
        whole.write_text(
            "".join(
                json.dumps([path, size, mtime, self.made_by, list(facts)]) + "\n"
                for path, (size, mtime, facts) in self.entries.items()
            ),
            encoding="utf-8",
        )
        whole.replace(self.file)
