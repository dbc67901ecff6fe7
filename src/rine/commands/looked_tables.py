"""Entries for the tables in a folder, parquet files and lists of files, by their columns and first rows."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from rine.commands.guess import FAKE, REAL, Guess, name_of
from rine.dataset import patterns
from rine.dataset.layouts.found import SPLITS
from rine.dataset.layouts.tables import MANIFESTS, is_there, of_the_web, rows_of
from rine.dataset.listing import DatasetError, is_picture
from rine.pixels.pictures import ContainerError, split, tables

# names of columns that say a class, a generator, a split, a digest
LABELS = ("label", "is_fake", "is_ai", "fake", "class", "typ", "type", "target")
GENERATORS = ("generator", "model", "model_name", "src", "source", "method")
DIGESTS = ("md5", "sha1", "sha256", "sha512")
MOST_CLASSES = 4  # values of a column that may be a label's
_ROWS = 1000  # that are looked at


def series(root: Path) -> list[list[str]]:
    """Tables that differ in their numbers alone."""
    found: dict[str, list[str]] = defaultdict(list)
    for suffix in (*MANIFESTS, ".parquet"):
        for file in sorted(patterns.files(root, f"**/*{suffix}")):
            found[re.sub(r"\d+", "*", file)].append(file)
    return list(found.values())


def guessed(root: Path, files: list[str]) -> tuple[Guess | str, Mapping[str, int]]:
    """The entry of a series of files, or why there is none, "" where they list no pictures.

    And how many pictures of which folders they name.
    """
    try:
        return (_parquet(root, files), {}) if files[0].endswith(".parquet") else _manifest(root, files)
    except (ContainerError, DatasetError) as error:
        return str(error), {}


def _parquet(root: Path, files: list[str]) -> Guess | str:
    with tables.opened(root / files[0]) as table:
        names = table.schema_arrow.names
        images = [name for name in names if not tables.refusal(table, name)]
        if not images:
            return f"no column holds pictures: {names}"
        others = [name for name in names if name not in images]
        first = next(table.iter_batches(_ROWS, columns=others), None) if others else None
        values = {name: list(map(str, first.column(name).to_pylist())) for name in others} if first else {}
        classes = _classes(table.schema_arrow.metadata or {})
    n = 0
    for file in files:
        with tables.opened(root / file) as table:
            n += table.metadata.num_rows
    if others and first is None:
        return "it has no rows"
    return _guess(files, {"parquet": _glob(files), "image": images[0]}, values, n, classes)


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, dict[str, str]]:
    """What the numbers of a column stand for, where Hugging Face's data sets say it: column -> number -> name."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        named = {column: about["names"] for column, about in features.items() if "names" in about}
        return {
            column: {str(number): str(name) for number, name in enumerate(names)} for column, names in named.items()
        }
    except (ValueError, AttributeError, TypeError):  # another's metadata of that name
        return {}


def _manifest(root: Path, files: list[str]) -> tuple[Guess | str, Mapping[str, int]]:
    try:
        rows = [(file, row) for file in files for _, row in rows_of(root, files[0], file, [])]
    except DatasetError:  # notes, prompts
        return "", {}
    names = [name for name in (rows[0][1] if rows else ()) if isinstance(name, str)]
    values = {name: [str(row.get(name)) for _, row in rows[:_ROWS]] for name in names}
    path = next((name for name, cells in values.items() if all(map(_names_picture, cells))), None)
    if path is None:
        return "", {}
    first = values[path][0]
    if of_the_web(first):
        return f"it names pictures of the web, such as {first}: download them first", {}
    entry: dict[str, Any] = {"manifest": _glob(files), "path": path}
    folders = [PurePosixPath(file).parent for file in files]
    if not is_there(root, (folders[0] / first).as_posix()):
        if not is_there(root, first):
            return f"it names {first}, which is not there, beside it or under {root}", {}
        entry["folder"] = ""
    above = {file: PurePosixPath("" if "folder" in entry else file).parent for file in files}
    named = Counter(_folder_of((above[file] / str(row.get(path))).as_posix()) for file, row in rows)
    return _guess(files, entry, {name: cells for name, cells in values.items() if name != path}, len(rows)), named


def _names_picture(cell: str) -> bool:
    return is_picture(re.split(r"[/!]", cell.partition("?")[0])[-1])


def _folder_of(address: str) -> str:
    """Where a picture lies: a folder, or one in an archive."""
    file, place = split(address)
    return f"{file}!{PurePosixPath(place).parent}" if place else str(PurePosixPath(file).parent)


def _guess(
    files: list[str],
    entry: dict[str, Any],
    values: Mapping[str, Sequence[str]],
    n: int,
    classes: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Guess:
    """The rest of an entry, by the columns beside its pictures."""
    remarks = [f"columns: {', '.join([*(each for each in (entry.get('image'), entry.get('path')) if each), *values])}"]
    label = next((name for name in values if name.lower() in LABELS and len(set(values[name])) <= MOST_CLASSES), None)
    if label is None:
        entry["label"] = "fake"
        remarks.append("no column seems to say real or synthetic: say label: real or label: fake")
    else:
        called = {value: classes.get(label, {}).get(value, value) for value in sorted(set(values[label]))}
        real, fake = ([value for value, name in called.items() if name.lower() in words] for words in (REAL, FAKE))
        entry["label"] = {"column": label} | ({"real": real} if real else {}) | ({"fake": fake} if fake else {})
        if not (real or fake):
            entry["label"] |= {"real": sorted(set(values[label]))[:1]}
            remarks.append(f"values of {label}: {sorted(set(values[label]))}: say which are real")
        if label in classes:
            remarks.append(f"{label} {', '.join(f'{value} is {name}' for value, name in called.items())}")
    if generator := next((name for name in GENERATORS if name in values), None):
        entry["generator"] = generator
    words = re.split(r"[/._-]", files[0].lower())
    said = next((name for name in values if {cell.lower() for cell in values[name]} <= set(SPLITS)), None)
    of_name = next((SPLITS[word] for word in words if word in SPLITS), "test")
    entry["split"] = {"column": said} if said else of_name
    if "manifest" in entry and (digest := next((name for name in values if name.lower() in DIGESTS), None)):
        entry["digest"] = {"column": digest, "kind": digest.lower()}
    folders = [part for part in PurePosixPath(files[0]).parts[:-1] if part not in {"data", *SPLITS}]
    return Guess(name_of(folders[-1] if folders else "mine", "test" if said else of_name), entry, n, remarks)


def _glob(files: list[str]) -> str:
    """One pattern for files that differ in their numbers; a number that all share stays."""
    pieces = [re.split(r"(\d+)", file) for file in files]
    glob = "".join(those[0] if len(set(those)) == 1 else "*" for those in zip(*pieces, strict=True))
    return re.sub(r"\*-of-\d+", "*", glob)
