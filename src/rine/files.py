"""Files and folders that are there whole or not at all, whenever a process is killed and whoever else writes them."""

from __future__ import annotations

import errno
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_ATTEMPTS = 1000  # to take a folder's place while others take it too


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to: renamed to `path` at the end, removed where there was an error."""
    part = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    with whole(path) as part:
        part.write_bytes(content)


def noted(path: Path) -> dict[str, Any]:
    """What a file of notes (JSON) holds; nothing where there is none, or a damaged one, which is worth no error."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def note(path: Path, values: Mapping[str, Any]) -> None:
    """Add to a file of notes, for what changes from run to run (times, say) and is therefore in no output of DVC's.

    Where it cannot be written there is no note: that is worth no error either.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(noted(path) | dict(values), indent=1, sort_keys=True).encode())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, no other process's: it takes the place of `path` at the end.

    Where there is an error, `path` stays as it was. Of several that do this at once each is whole, and the last stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    part = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.part")
    part.mkdir()
    try:
        yield part
        _take_place(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _take_place(part: Path, path: Path) -> None:
    """Rename the folder `part` to `path`, whatever is there and comes there meanwhile."""
    for attempt in range(_ATTEMPTS):
        old = part.with_name(f"{part.name}.{attempt}.part")
        with suppress(FileNotFoundError):
            path.rename(old)
        try:
            part.rename(path)
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or attempt + 1 == _ATTEMPTS:
                if old.exists():
                    old.rename(path)
                raise
            # another's folder came there between the two lines
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Delete what processes of this machine that are no more left beside `path`."""
    for old in path.parent.glob(f".{path.name}.{platform.node()}-*.part"):
        pid = old.name[len(f".{path.name}.{platform.node()}-") :].split("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(old, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
