"""Data sets that a table lists: a manifest that names files, or parquet files that hold the pictures themselves."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from rine.dataset import patterns
from rine.dataset.config import DatasetConfig
from rine.dataset.layouts.found import Found, columns_of, label_of, listing_of, split_of, told_of
from rine.dataset.listing import DatasetError, Listing
from rine.pixels import pictures
from rine.pixels.pictures import ContainerError, split, tables

_WEB = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
MANIFESTS = (".csv", ".tsv", ".json", ".jsonl")
CHUNK = 1 << 12  # rows of which Python's values are in memory


def manifest(root: Path, name: str, config: DatasetConfig) -> Listing:
    """Lists of files, one a row, with their class; every file must be there."""
    found: dict[str, tuple[Found, str]] = {}
    missing: list[str] = []
    for file in _files(root, name, "manifest", config.manifest):
        folder = PurePosixPath(file).parent if config.folder is None else PurePosixPath(config.folder)
        for where, row in rows_of(root, name, file, [config.path, *columns_of(config).values()]):
            path = str(row[config.path] or "")
            if not path or of_the_web(path):
                why = ". Pictures of the web change and vanish, so that no study of them can be done again: "
                raise DatasetError(
                    f"data set {name!r}: {where}: {config.path} is {path!r}; allowed: a file's path"
                    + (why + "download them first" if path else "")
                )
            address = (folder / path).as_posix()
            if not is_there(root, address):
                missing.append(f"{where} names {path}, expected at {root / address}")
                continue
            row_of = _found(name, config, address, row, where)
            _, at = found.setdefault(address, (row_of, where))
            if at != where:
                raise DatasetError(f"data set {name!r}: {at} and {where} both name {path}; allowed: one row a picture")
    if missing:
        raise DatasetError(
            f"data set {name!r}: of the {len(missing) + len(found)} pictures that are listed, {len(missing)} are "
            f"missing; the first: {missing[0]}"
        )
    if not found:
        raise DatasetError(f"data set {name!r}: {', '.join(config.manifest)} names no picture; expected one a row")
    return listing_of(name, config, (row for row, _ in found.values()))


def parquet(root: Path, name: str, config: DatasetConfig) -> Listing:
    """Parquet files with a column of pictures, as Hugging Face's data sets are distributed."""
    files = _files(root, name, "parquet", config.parquet)
    listing = listing_of(name, config, (row for file in files for row in _cells(root, name, file, config)))
    if not len(listing.pictures):
        raise DatasetError(f"data set {name!r}: {', '.join(config.parquet)} have no rows")
    return listing


def _cells(root: Path, name: str, file: str, config: DatasetConfig) -> Iterator[Found]:
    columns = columns_of(config)
    try:
        with tables.opened(root / file) as table:
            if reason := tables.refusal(table, config.image):
                raise ContainerError(reason)
            if lacking := [column for column in columns.values() if column not in table.schema_arrow.names]:
                raise ContainerError(f"there is no column {lacking[0]!r}; allowed: {table.schema_arrow.names}")
            n, start = table.metadata.num_rows, 0
            digits = len(str(max(n - 1, 0)))  # so that addresses sort as rows do
            for batch in table.iter_batches(CHUNK, columns=[*columns.values()], use_threads=False) if columns else ():
                values = {column: batch.column(column).to_pylist() for column in columns.values()}
                for i in range(len(batch)):
                    row = {column: each[i] for column, each in values.items()}
                    address = f"{file}#{start + i:0{digits}d}@{config.image}"
                    yield _found(name, config, address, row, f"{file}, row {start + i}")
                start += len(batch)
            for i in range(0 if columns else n):
                yield _found(name, config, f"{file}#{i:0{digits}d}@{config.image}", {}, f"{file}, row {i}")
    except (ContainerError, OSError) as error:
        raise DatasetError(f"data set {name!r}: {file}: {' '.join(str(error).split())}") from error


def _found(name: str, config: DatasetConfig, address: str, row: dict[str, Any], where: str) -> Found:
    value = {key: row.get(column) for key, column in columns_of(config).items()}
    label = label_of(name, config, value.get("label"), where)
    generator = "" if value.get("generator") is None else str(value["generator"])
    split = split_of(name, config, value.get("split"), where)
    return Found(address, label, split, generator, told=told_of(name, config, value.get("digest"), where))


def _files(root: Path, name: str, key: str, globs: tuple[str, ...]) -> list[str]:
    suffixes = MANIFESTS if key == "manifest" else (".parquet",)
    found: set[str] = set()
    for pattern in globs:
        matches = [file for file in patterns.files(root, pattern) if file.lower().endswith(suffixes)]
        if not matches:
            raise DatasetError(
                f"data set {name!r}: {key} = {pattern!r} matches no file under {root}; "
                f"expected files that end in {', '.join(suffixes)}"
            )
        found.update(Path(match).as_posix() for match in matches)
    return sorted(found)


def rows_of(root: Path, name: str, file: str, wanted: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row) of a manifest; raises `DatasetError` for a file that is none, and for a column that is not there."""
    try:
        with (root / file).open(encoding="utf-8-sig", newline="") as lines:
            for number, row in _parsed(lines, file):
                if not isinstance(row, dict) or (lacking := [column for column in wanted if column not in row]):
                    there = list(row) if isinstance(row, dict) else type(row).__name__
                    lacks = lacking[0] if isinstance(row, dict) else "columns"
                    raise DatasetError(
                        f"data set {name!r}: {file}, {number}: there is no column {lacks!r}; allowed: {there}"
                    )
                yield f"{file}, {number}", row
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise DatasetError(
            f"data set {name!r}: {file} is no manifest ({error}); allowed: {', '.join(MANIFESTS)}"
        ) from error


def rows_by_column(lines: TextIO, usual: str = ",") -> csv.DictReader[str]:
    """Rows of a CSV file; spreadsheets write what their country takes for a comma, or tabs."""
    header = lines.readline()
    lines.seek(0)
    return csv.DictReader(lines, delimiter=max(f"{usual},;\t", key=header.count))  # `usual` where there is none


def _parsed(lines: Any, file: str) -> Iterator[tuple[str, Any]]:
    if file.lower().endswith((".csv", ".tsv")):
        reader = rows_by_column(lines, "\t" if file.lower().endswith(".tsv") else ",")
        yield from ((f"line {reader.line_num}", row) for row in reader)
    elif file.lower().endswith(".jsonl"):
        yield from ((f"line {n}", json.loads(line)) for n, line in enumerate(lines, 1) if line.strip())
    else:
        rows = json.load(lines)
        if not isinstance(rows, list):
            raise json.JSONDecodeError(f"a list of rows is expected, it is a {type(rows).__name__}", "", 0)
        yield from ((f"row {n}", row) for n, row in enumerate(rows, 1))


def of_the_web(path: str) -> bool:
    return _WEB.match(path) is not None


def is_there(root: Path, address: str) -> bool:
    """Whether the file of an address is there, and its member where that is an archive's."""
    file, place = split(str(root / address))
    if not place or file.lower().endswith(".parquet"):
        return pictures.place(file).is_file()
    return pictures.place(file).is_file() and place in patterns.names_in(pictures.place(file))
