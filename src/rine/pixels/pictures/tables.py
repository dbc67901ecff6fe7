"""Cells of parquet files: pictures as Hugging Face's data sets hold them, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rine.apart import bounds
from rine.pixels.pictures.errors import ContainerError, message
from rine.pixels.pictures.places import is_remote, place, system_of

_AHEAD = 16 << 20  # bytes of cells that are read at once, about
_MOST_ROWS = 256


def opened(file: Path | str) -> Any:
    """An open `pyarrow.parquet.ParquetFile`; raises `ContainerError` for what is none."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ContainerError("parquet files are read by pyarrow: pip install 'rine[parquet]'") from error
    try:
        # through a buffer: else a row group's column is in memory whole
        system, path = system_of(place(file)) if is_remote(file) else (None, file)
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, filesystem=system)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        if getattr(error, "errno", None):  # of the system; Arrow's own have none
            raise
        raise ContainerError(f"no whole parquet file ({message(error)}); fetch it again") from error


def refusal(file: Any, column: str) -> str:
    """Why a column of an open parquet file holds no pictures; "" where it can."""
    import pyarrow as pa

    schema = file.schema_arrow
    if column not in schema.names:
        return f"there is no column {column!r}; allowed: {schema.names}"
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field(kind.get_field_index("bytes")).type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return ""
    return f"column {column!r} holds {kind}; allowed: the bytes of pictures, or Hugging Face's Image (bytes, path)"


@lru_cache(maxsize=4)
def row_groups(file: Path) -> np.ndarray:
    """The row (n,) at which each row group ends."""
    with opened(file) as table:
        about = table.metadata
        return np.cumsum([about.row_group(i).num_rows for i in range(about.num_row_groups)])


class Column:
    """A column of a parquet file: cells are cheap in their order, and within a row group only in their order."""

    def __init__(self, file: str, column: str) -> None:
        bounds.reserve(0, _AHEAD)
        self._file, self._column = opened(file), column
        if reason := refusal(self._file, column):
            raise ContainerError(reason)
        about = self._file.metadata
        groups = [about.row_group(i) for i in range(about.num_row_groups)]
        self._ends = np.cumsum([group.num_rows for group in groups])
        self._sizes = [_size(group, column) / max(group.num_rows, 1) for group in groups]
        self._group, self._start, self._cells = -1, 0, None
        self._batches: Iterator[Any] = iter(())

    def read(self, place: str, most: int) -> bytes:
        row = int(place.partition("@")[0])
        if row >= (self._ends[-1] if len(self._ends) else 0):
            raise ContainerError(f"there is no row {row}")
        import pyarrow as pa

        try:
            cell = self._cell(row).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, StopIteration) as error:
            self._group = -1
            raise ContainerError(f"row {row} cannot be read ({message(error)})") from error
        data = cell["bytes"] if isinstance(cell, dict) else cell
        if data is None:
            raise ContainerError(f"row {row} of column {self._column!r} is null; allowed: the bytes of a picture")
        if len(data) > most:
            raise ContainerError(f"row {row} has {len(data) / 1e6:,.0f} MB; allowed: {most / 1e6:,.0f} MB")
        return data

    def _cell(self, row: int) -> Any:
        group = int(self._ends.searchsorted(row, side="right"))
        if group != self._group or row < self._start:
            rows = int(min(max(_AHEAD // max(self._sizes[group], 1), 1), _MOST_ROWS))
            self._batches = self._file.iter_batches(rows, [group], [self._column], use_threads=False)
            self._group, self._cells = group, None
            self._start = int(self._ends[group - 1]) if group else 0
        while self._cells is None or row >= self._start + len(self._cells):
            self._start += 0 if self._cells is None else len(self._cells)
            bounds.reserve(0, 4 * _AHEAD)
            self._cells = next(self._batches).column(0)
        return self._cells[row - self._start]

    def close(self) -> None:
        self._file.close()


def _size(group: Any, column: str) -> int:
    """Bytes of a column in a row group."""
    parts = (group.column(i) for i in range(group.num_columns))
    return sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)
