"""Data sets that fsspec reaches: a local and a made-up file system, in every form of an entry."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from containers import encoded, write_parquet, write_tar, write_zip
from dataset_folders import OLD, config, save
from rine.caching import decode
from rine.caching.views import Recipe
from rine.dataset import index
from rine.dataset.listing import DatasetError
from rine.pixels.config import AugmentationConfig
from rine.pixels.pictures import place

pytest.importorskip("upath", reason="pip install 'rine[remote]'")
ENTRIES: dict[str, dict[str, Any]] = {
    "loose": {"real": ["loose/real/*.png"], "fake": ["loose/fake"], "split": "test"},
    "zipped": {"tree": "z/{generator}.zip!{label}", "real": "r", "fake": "f", "split": "test"},
    "tarred": {"tree": "{generator}.tar!{label}", "real": "r", "fake": "f", "split": "train"},
    "rows": {"parquet": "part-*.parquet", "label": {"column": "label", "real": [0]}, "split": "test"},
    "lists": {"manifest": "lists/*.csv", "folder": "", "label": {"column": "y", "real": [0]}, "split": "test"},
}


@pytest.fixture
def local(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for number, kind in enumerate(("real", "fake")):
        save(root / "loose" / kind / "a.png", number)
    for number, (write, file) in enumerate(((write_zip, "z/sd.1.zip"), (write_tar, "gan.tar"))):
        write(root / file, {f"{kind}/{i}.png": encoded(10 * number + i) for i, kind in enumerate("rf")})
    write_parquet(root / "part-0.parquet", [encoded(i) for i in range(30, 35)], label=[0, 1, 0, 1, 1])
    (root / "lists").mkdir()
    (root / "lists/a.csv").write_text("path,y\nloose/real/a.png,0\nz/sd.1.zip!f/1.png,1\n")
    return root


@pytest.fixture(params=["file", "memory"])
def remote(request: pytest.FixtureRequest, local: Path) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{local}"
        return
    from upath import UPath

    top = UPath("memory://bucket/data")
    for file in filter(Path.is_file, local.rglob("*")):
        (top / file.relative_to(local).as_posix()).write_bytes(file.read_bytes())
    yield "memory://bucket/data"
    top.fs.rm("/bucket", recursive=True)


def test_a_remote_root_gives_what_a_local_one_gives(local: Path, remote: str) -> None:
    ours, theirs = (index.build(config(root, **ENTRIES), workers=0) for root in (local, remote))
    for name, table in ours.tables.items():
        assert theirs.tables[name].equals(table), name
    assert theirs.test_sets.equals(ours.test_sets)
    assert ours.skipped.empty
    assert theirs.skipped.empty


def test_its_pictures_are_decoded(local: Path, remote: str) -> None:
    table = index.build(config(local, **ENTRIES), workers=0).tables["test"]
    recipe = Recipe("test", 32, AugmentationConfig("paper", 1, 0.5, (0.0, 3.0), 0.5, (30, 100), 0))
    for path, digest in zip(table["path"], table["digest"], strict=True):
        job = decode.Job(path, digest, (("centre", "centre"),), (0,))
        ours, theirs = (decode.decode(decode.Source(place(root), recipe, 10_000), job) for root in (str(local), remote))
        assert isinstance(ours, np.ndarray), ours
        assert np.array_equal(ours, theirs)


def test_facts_of_a_remote_file_are_remembered(local: Path, tmp_path: Path) -> None:
    for file in filter(Path.is_file, local.rglob("*")):
        os.utime(file, (OLD, OLD))
    study = config(f"file://{local}", **ENTRIES)
    assert index.build(study, tmp_path / "store", workers=1).n_examined == 11
    assert index.build(study, tmp_path / "store", workers=1).n_reused == 11


@pytest.mark.parametrize(
    ("root", "change", "message"),
    [
        ("memory://nowhere", lambda _: None, "is no folder"),
        ("nosuch://bucket", lambda _: None, r"nosuch://bucket cannot be reached .*rine\[remote\]"),
        ("", lambda root: shutil.rmtree(root / "loose/real"), "matches nothing under file://"),
    ],
)
def test_what_is_not_there_is_named(local: Path, root: str, change: Callable[[Path], None], message: str) -> None:
    change(local)
    with pytest.raises(DatasetError, match=message):
        index.build(config(root or f"file://{local}", **ENTRIES), workers=0)
