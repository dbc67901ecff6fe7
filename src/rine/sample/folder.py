"""The folder that the sample is written into: never over anything that is there, each file whole or not at all.

A mark, `sample.json`, says that the folder is ours, what it was made with, and, once whole, the digest of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

MARK = "sample.json"
PARTIAL = ".part"  # suffix of a file that is being written


class SampleError(ValueError):
    """The folder holds something that is not this sample; nothing of it was changed."""


def own_files(root: Path, expected: Iterable[str]) -> set[str]:
    """Which of the expected files are there, after the left-overs of a kill are removed.

    Raises SampleError where there is any other file or folder, or where files are there that no mark calls ours.
    """
    if root.exists() and not root.is_dir():
        raise SampleError(f"{root} is a file; the sample needs an empty or missing folder")
    expected = {MARK, *expected}
    folders = {parent.as_posix() for path in expected for parent in Path(path).parents}
    here, partial, strange = set(), [], []
    for place, inner, names in os.walk(root):
        base = Path(place).relative_to(root)
        for name in names:
            path = (base / name).as_posix()
            if path in expected:
                here.add(path)
            elif path.endswith(PARTIAL) and path.removesuffix(PARTIAL) in expected:
                partial.append(root / path)
            else:
                strange.append(path)
        for name in inner:
            path = (base / name).as_posix()
            if path not in folders or (root / path).is_symlink():
                strange.append(f"{path}/")
    if strange:
        raise SampleError(
            f"{root} holds {len(strange)} files or folders that are not of the sample, such as {min(strange)}; "
            "the sample is written into an empty or missing folder only, and nothing was changed. "
            "To run the study on these pictures: dvc repro"
        )
    if here and MARK not in here:
        raise SampleError(
            f"{root} holds {len(here)} files, such as {min(here)}, but no {MARK} that calls them the sample's; "
            "the sample is written into an empty or missing folder only, and nothing was changed"
        )
    for file in partial:
        file.unlink()
    return here


def read_mark(root: Path, settings: dict) -> dict[str, str]:
    """The digest of every file of the sample; empty until it is whole.

    Raises SampleError where the sample was made with other settings.
    """
    file = root / MARK
    if not file.exists():
        return {}
    try:
        mark = json.loads(file.read_text(encoding="utf-8"))
        made_with, digests = mark["made with"], mark["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise SampleError(f"{file} is not the mark of a sample ({error!r}); nothing was changed") from error
    if made_with != settings:
        raise SampleError(
            f"{root} holds another sample, made with {made_with} and not with {settings}; "
            "remove it or name another folder (nothing was changed)"
        )
    return digests


def write_mark(root: Path, settings: dict, digests: dict[str, str]) -> None:
    mark = {"made by": "rine sample", "made with": settings, "files": dict(sorted(digests.items()))}
    partial = root / (MARK + PARTIAL)
    partial.write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8", newline="\n")
    partial.replace(root / MARK)


def check(root: Path, digests: dict[str, str]) -> None:
    """Raise SampleError where a file has other bytes than the sample's."""
    for path, digest in digests.items():
        if (root / path).exists() and _digest((root / path).read_bytes()) != digest:
            raise SampleError(f"{root / path} is not as the sample has it; remove it (nothing was changed)")


def keep_or_write(file: Path, content: bytes) -> str:
    """Write the file where it is missing, and return its digest; SampleError where it is there with other bytes."""
    if file.exists():
        if file.read_bytes() != content:
            raise SampleError(f"{file} is not as the sample has it; remove it (it was not replaced)")
        return _digest(content)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + PARTIAL)
    partial.write_bytes(content)
    partial.rename(file)
    return _digest(content)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
