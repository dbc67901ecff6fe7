"""A list that says a digest of each picture: compared when a picture is read, and trusted where its facts are known."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from containers import encoded, write_zip
from dataset_folders import config, dataset, save
from rine.dataset import index, on_actors
from rine.dataset.config import PrepareConfig
from rine.dataset.layouts import list_all
from rine.dataset.listing import DatasetError
from test_index import same

PLACES = ("a.png", "b c.png", "z.zip!in/d.png")
ENTRY: dict[str, Any] = {"manifest": "list.jsonl", "label": {"column": "y", "real": [0]}, "split": "test"}


def study(root: Path, kind: str = "sha256", **changed: str) -> PrepareConfig:
    """Three pictures and a list of them; `changed` digests by place."""
    save(root / PLACES[0], 1)
    save(root / PLACES[1], 2)
    write_zip(root / "z.zip", {"in/d.png": encoded(3)})
    files = [(root / PLACES[0]).read_bytes(), (root / PLACES[1]).read_bytes(), encoded(3)]
    rows = [
        {"path": place, "y": i % 2, "sum": changed.get(place, hashlib.new(kind, data).hexdigest().upper())}
        for i, (place, data) in enumerate(zip(PLACES, files, strict=True))
    ]
    (root / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return config(root, mine=ENTRY | {"digest": {"column": "sum", "kind": kind}})


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_what_a_list_knows_is_not_read_again_wherever_it_lies(tmp_path: Path, kind: str) -> None:
    first = index.build(study(tmp_path / "here", kind), tmp_path / "store", workers=0)
    assert (first.n_examined, first.n_reused) == (3, 0)
    shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copyfile)  # new times, another root
    moved = config(tmp_path / "there", mine=ENTRY | {"digest": {"column": "sum", "kind": kind}})
    again = index.build(moved, tmp_path / "store", workers=0)
    assert (again.n_examined, again.n_reused) == (0, 3)
    assert same(again, first)
    without = index.build(config(tmp_path / "there", mine=ENTRY), tmp_path / "store", workers=0)
    assert without.n_examined == 3, "where no list is trusted, files are"
    assert same(without, first)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_is_not_what_the_list_says_is_left_out(tmp_path: Path, workers: int) -> None:
    wrong = "0" * 64
    made = study(tmp_path, **{PLACES[1]: wrong, PLACES[2]: wrong})
    built = index.build(made, tmp_path / "store", workers)
    said = dict(built.skipped.itertuples(index=False, name=None))
    for line, place, data in ((2, PLACES[1], (tmp_path / PLACES[1]).read_bytes()), (3, PLACES[2], encoded(3))):
        own = hashlib.sha256(data).hexdigest()
        assert said[place] == f"its sha256 is {own}; list.jsonl, line {line} says {wrong}"
    assert list(built.tables["test"]["path"]) == [PLACES[0]]
    again = index.build(made, tmp_path / "store", workers)
    assert same(again, built), "what is wrong is not remembered as the right one's"


def test_an_altered_file_is_found_by_its_size_or_by_cache(tmp_path: Path) -> None:
    made = study(tmp_path)
    before = index.build(made, tmp_path / "store", workers=0)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole + b"\0")
    assert list(index.build(made, tmp_path / "store", workers=0).skipped["path"]) == ["a.png"]
    (tmp_path / "a.png").write_bytes(whole[:-1] + b"\0")  # as long: the list is trusted, and `cache` compares each byte
    assert same(index.build(made, tmp_path / "store", workers=0), before)


def test_actors_compare_too(tmp_path: Path) -> None:
    made = study(tmp_path, **{PLACES[0]: "0" * 64})
    told = list_all(tmp_path, made.datasets)["mine"].told
    looking = on_actors.Looking(tmp_path, 10_000, None)
    facts = [fact for _, _, fact in looking((0, [*PLACES], told)).value]
    assert [len(fact) == 1 for fact in facts] == [True, False, False]


@pytest.mark.parametrize("said", ["", "0" * 32, "x" * 64])
def test_a_digest_that_is_none_is_one_line(tmp_path: Path, said: str) -> None:
    message = f"data set 'mine': list.jsonl, line 2: sum is {said!r}; allowed: the 64 hex digits of a sha256"
    with pytest.raises(DatasetError, match=re.escape(message)):
        index.build(study(tmp_path, **{PLACES[1]: said}), workers=0)


def test_only_tables_have_digests() -> None:
    with pytest.raises(ValidationError, match="digest belongs to manifest and parquet"):
        dataset(real="a", split="test", digest={"column": "sum", "kind": "md5"})
    with pytest.raises(ValidationError, match="'md5', 'sha1', 'sha256' or 'sha512'"):
        dataset(**ENTRY, digest={"column": "sum", "kind": "crc"})
