"""The facts of pictures from earlier runs, so that a large folder that is indexed again is not decoded again.

An SQLite file outside DVC's outputs. It saves time and changes no output. An entry is valid while the size and the
modification time (ns) of the file that the picture is or lies in are the same, and so are `VERSION` and the limit on
pixels. Where a list says a picture's digest (`rine.dataset.told`), its facts are remembered by that, wherever it lies.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL

from rine.dataset.facts import Facts, Skipped

VERSION = 2  # raise it when `rine.dataset.facts` gives other facts for the same picture
# a file may change again within its clock's tick and look the same (git's "racy" entries)
RACE_NS = 2_000_000_000
_PATIENCE = 60.0  # seconds to wait for another process that writes
_TABLE = """CREATE TABLE IF NOT EXISTS facts (
    path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, made_by TEXT, facts TEXT
) WITHOUT ROWID"""


class FactStore:
    """Remembered facts under `folder`, for one limit on pixels; any number of processes may use it at once."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self.file = folder / "facts.sqlite"
        self.made_by = f"{VERSION} pillow {PIL.__version__} {max_pixels}"
        folder.mkdir(parents=True, exist_ok=True)
        with self._plain():
            try:
                self._open()
            except sqlite3.OperationalError:  # no room, say, or locked for a minute: no damage
                raise
            except sqlite3.DatabaseError:
                self._start_anew()

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """SQLite's errors as errors of the file, which are said without a trace."""
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(f"{self.file}: {error}") from error

    def _open(self) -> None:
        self._db = sqlite3.connect(self.file, timeout=_PATIENCE, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")  # a loss costs time alone
            self._db.execute(_TABLE)
        except BaseException:  # nobody has the store yet who could close it
            self._db.close()
            raise

    def _start_anew(self) -> None:
        """Drop a damaged file: what it held is read again."""
        self._db.close()
        for suffix in ("", "-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        self._open()

    def get(self, path: Path | str, stat: os.stat_result | None) -> Facts | Skipped | None:
        """What is known about a picture whose file has this `stat`, or that a digest names; None: it must be read."""
        with self._plain():
            try:
                found = self._db.execute(
                    "SELECT facts FROM facts WHERE path = ? AND size = ? AND mtime = ? AND made_by = ?",
                    (str(path), *_about(stat), self.made_by),
                ).fetchone()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._start_anew()
                found = None
        if found is None:
            return None
        values = json.loads(found[0])
        return (Skipped if len(values) == 1 else Facts)(*values)

    def put(self, entries: Iterable[tuple[Path | str, os.stat_result | None, Facts | Skipped]]) -> None:
        """Remember facts with the `stat` from before the picture was read; none where a digest names it."""
        now = time.time_ns()
        rows = [
            (str(path), *_about(stat), self.made_by, json.dumps(list(facts)))
            for path, stat, facts in entries
            if _about(stat)[1] < now - RACE_NS
        ]
        with self._plain():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Digest and perceptual hash of every picture that is remembered."""
        for (text,) in self._db.execute("SELECT facts FROM facts WHERE made_by = ?", (self.made_by,)):
            values = json.loads(text)
            if len(values) > 1:
                yield Facts(*values).digest, Facts(*values).dhash

    def close(self) -> None:
        self._db.close()


def _about(stat: os.stat_result | None) -> tuple[int, int]:
    """Size and time of a file."""
    return (stat.st_size, stat.st_mtime_ns) if stat else (0, 0)
