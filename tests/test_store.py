"""The store gives back what was put in, notices what is damaged, and goes on from what is there."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from rine.caching import draft, files
from rine.caching.draft import Draft
from rine.caching.store import Store, StoreFull, row_key, shard_name
from rine.cli import app
from rine.commands.usage import usage
from rine.features import COLUMNS, shards

SHAPE = (2, 8)


def rows(*numbers: int) -> list[str]:
    return [row_key(f"{number:032x}", "centre") for number in numbers]


def tokens(*numbers: int) -> np.ndarray:
    return np.stack([np.random.default_rng(n).standard_normal(SHAPE).astype(np.float16) for n in numbers])


def opened(folder: Path, encoder: str = "a", transform: str = "b") -> Store:
    return Store.open(folder, {"encoder": encoder}, {"transform": transform}, SHAPE)


def missing(store: Store, keys: list[str]) -> list[str]:
    """The rows that a run would encode."""
    _, there = store.take(keys, store.find(keys))
    return [k for k, is_there in zip(keys, there, strict=True) if not is_there]


def test_rows_come_back_in_any_order(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.write(rows(0, 1, 2), tokens(0, 1, 2))
    first.write(rows(3, 4), tokens(3, 4))
    again = opened(tmp_path)
    keys = rows(4, 7, 0, 2, 9)
    values, there = again.take(keys, again.find(keys))
    assert there.tolist() == [True, False, True, True, False]
    np.testing.assert_array_equal(values[there], tokens(4, 0, 2))


def test_a_shard_is_a_safetensors_file_with_the_same_bytes_every_time(tmp_path: Path) -> None:
    values = tokens(0, 1, 2)
    digests = {files.write_tokens(tmp_path / name, values) for name in ("a.safetensors", "b.safetensors")}
    assert len(digests) == 1
    assert digests == {shards.digest_of(tmp_path / "b.safetensors")}
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["tokens"], values)
    np.testing.assert_array_equal(shards.tokens_of(tmp_path / "a.safetensors"), values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_other_encoders_and_transforms_lie_elsewhere(tmp_path: Path) -> None:
    opened(tmp_path).write(rows(0), tokens(0))
    assert missing(opened(tmp_path, encoder="other"), rows(0)) == rows(0)
    assert missing(opened(tmp_path, transform="other"), rows(0)) == rows(0)
    assert missing(opened(tmp_path), rows(0)) == []


def test_a_shard_is_known_by_its_rows(tmp_path: Path) -> None:
    there = opened(tmp_path)
    name = there.write(rows(0, 1, 2), tokens(0, 1, 2))
    assert name == shard_name(rows(0, 1, 2))
    assert opened(tmp_path).has(name)
    np.testing.assert_array_equal(shards.tokens_of(there.path(name)), tokens(0, 1, 2))
    for others in (rows(0, 1), rows(2, 1, 0), rows(0, 1, 2, 3)):
        assert not there.has(shard_name(others))
    assert there.find(rows(0, 2, 3)) == {rows(0)[0]: (name, 0), rows(2)[0]: (name, 2)}
    assert there.find(rows(0, 2, 3), but={name}) == {}


@pytest.mark.parametrize("damage", ["cut", "altered", "gone"])
def test_a_damaged_shard_is_named_and_its_rows_are_missing(tmp_path: Path, damage: str) -> None:
    first = opened(tmp_path)
    file = first.path(first.write(rows(0, 1), tokens(0, 1)))
    first.write(rows(2, 3), tokens(2, 3))
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-1] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    again = opened(tmp_path)
    with pytest.warns(UserWarning, match=f"{file.name}.*encoded anew"):
        assert missing(again, rows(0, 1, 2, 3)) == rows(0, 1)
    again.write(rows(0, 1), tokens(0, 1))
    assert file.read_bytes() == whole
    assert missing(opened(tmp_path), rows(0, 1, 2, 3)) == []


def test_a_shard_without_a_manifest_does_not_exist(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.write(rows(0), tokens(0))
    manifest = next(path for path in first.folder.glob("*.json") if path.name != "about.json")
    text = manifest.read_text()
    manifest.unlink()
    assert missing(opened(tmp_path), rows(0)) == rows(0)
    manifest.write_text(text[: len(text) // 2])
    with pytest.warns(UserWarning, match="manifest"):
        assert missing(opened(tmp_path), rows(0)) == rows(0)


def test_a_full_disk_keeps_what_is_finished_and_says_what_to_do(tmp_path: Path) -> None:
    there = opened(tmp_path)
    there.write(rows(0), tokens(0))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the system itself refuses to write more, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    try:
        with pytest.raises(StoreFull, match=r"Finished shards are kept.*RINE_STORE"):
            there.write([row_key(f"{i}", "0") for i in range(9000)], np.zeros((9000, 2, 4), np.float16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    again = opened(tmp_path)
    assert missing(again, rows(0, 1)) == rows(1)
    assert not list(again.folder.glob(".*"))
    again.write(rows(1), tokens(1))
    assert missing(opened(tmp_path), rows(0, 1)) == []


@pytest.mark.parametrize("change", ["other rows", "another order", "no list"])
def test_a_manifest_that_names_other_rows_is_dropped(tmp_path: Path, change: str) -> None:
    first = opened(tmp_path)
    first.write(rows(0, 1), tokens(0, 1))
    [manifest] = [path for path in first.folder.glob("*.json") if path.name != "about.json"]
    about = json.loads(manifest.read_text())
    about["rows"] = {"other rows": rows(0, 2), "another order": rows(1, 0), "no list": 5}[change]
    manifest.write_text(json.dumps(about))
    with pytest.warns(UserWarning, match="manifest"):
        assert missing(opened(tmp_path), rows(0, 1, 2)) == rows(0, 1, 2)


def drafted(there: Store, keys: list[str]) -> Draft:
    return Draft(there, keys, there.find(keys))


def stems(there: Store) -> list[str]:
    return sorted(file.stem for file in there.folder.glob("*.json") if file.name != "about.json")


def test_parts_are_ordinary_shards_and_go_when_the_whole_is_there(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(draft, "SECONDS_BETWEEN_PARTS", 0.0)
    there, keys = opened(tmp_path), rows(*range(6))
    first = drafted(there, keys)
    assert first.missing.tolist() == list(range(6))
    first.add([0, 1], tokens(0, 1))
    first.add([4], tokens(4))  # a picture between them is away
    assert stems(there) == sorted(f"{first.name}.{shard_name(part)}" for part in (rows(0, 1), rows(4)))
    assert missing(opened(tmp_path), rows(4, 5, 1)) == rows(5)  # whatever unit asks

    again = drafted(opened(tmp_path), keys)  # the first was killed
    assert again.missing.tolist() == [2, 3, 5]
    again.add([5, 2], tokens(5, 2))
    last = drafted(opened(tmp_path), keys)
    assert last.missing.tolist() == [3]
    last.add([3], tokens(3))
    last.finish()
    assert stems(there) == [last.name]
    np.testing.assert_array_equal(shards.tokens_of(there.path(last.name)), tokens(*range(6)))


def test_a_damaged_part_counts_for_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(draft, "SECONDS_BETWEEN_PARTS", 0.0)
    there, keys = opened(tmp_path), rows(*range(4))
    first = drafted(there, keys)
    first.add([0, 1], tokens(0, 1))
    first.add([2], tokens(2))
    file = there.path(f"{first.name}.{shard_name(rows(0, 1))}")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.warns(UserWarning, match=f"{file.name}.*encoded anew"):
        assert drafted(opened(tmp_path), keys).missing.tolist() == [0, 1, 3]


def test_a_unit_made_twice_at_once_is_one_file_whoever_is_first(tmp_path: Path, monkeypatch) -> None:
    """A run that was thought dead, and its successor, which started from its parts."""
    monkeypatch.setattr(draft, "SECONDS_BETWEEN_PARTS", 0.0)
    there, keys = opened(tmp_path), rows(*range(4))
    slow = drafted(there, keys)
    slow.add([0, 1], tokens(0, 1))
    places = there.find(keys)
    quick = drafted(opened(tmp_path), keys)
    quick.add([2, 3], tokens(2, 3))
    quick.finish()
    whole = there.path(quick.name).read_bytes()
    # one that looked before the parts were gone encodes those rows itself
    assert Draft(opened(tmp_path), keys, places).missing.tolist() == [0, 1, 2, 3]
    slow.add([2], tokens(2))
    assert len(stems(there)) == 2
    assert stems(opened(tmp_path)) == [slow.name]  # a part of what is whole is nobody's
    slow.add([3], tokens(3))
    before = there.path(slow.name).stat().st_ino
    slow.finish()
    assert there.path(slow.name).read_bytes() == whole
    assert there.path(slow.name).stat().st_ino == before  # not even replaced: another machine may be reading it
    assert stems(there) == [slow.name]


@pytest.mark.parametrize("call", ["digest_of", "read_text"])
def test_a_part_that_another_machine_deletes_while_it_is_read_is_missing(tmp_path: Path, monkeypatch, call) -> None:
    """A network file system has an error of its own for that."""
    keys, there = rows(0, 1), opened(tmp_path)
    part = there.write(keys, tokens(0, 1), part_of=shard_name(keys))
    places, again = there.find(keys), opened(tmp_path)

    def stale(path: Path) -> str:
        there.delete(part)
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(files, call, files.deleted_is_not_found()(stale))
    assert not again.take(keys, places)[1].any()


def test_only_old_temporary_files_are_deleted(tmp_path: Path) -> None:
    folder = opened(tmp_path).folder
    others, dead = folder / ".a.safetensors.node-7-1f.tmp", folder / ".tmpY28CqP"
    for file, age in ((others, 3600), (dead, 2 * 24 * 3600)):
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age,) * 2)
    opened(tmp_path)
    assert others.exists()
    assert not dead.exists()


def test_two_writers_of_a_file_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    with files.whole(tmp_path / "a") as first, files.whole(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "a", "half of it \udcff")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["1"]


def fill(folder: Path, first: int) -> None:
    """Write the same 20 shards as others do, starting somewhere else."""
    there = opened(folder)
    for i in range(20):
        numbers = range(5 * ((i + first) % 20), 5 * ((i + first) % 20) + 5)
        there.write(rows(*numbers), tokens(*numbers))


def test_many_processes_write_at_once_and_none_waits(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(tmp_path, 2 * i)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        assert process.exitcode == 0
    there = opened(tmp_path)
    assert len(stems(there)) == 20
    values, is_there = there.take(rows(*range(100)), there.find(rows(*range(100))))
    assert is_there.all()
    np.testing.assert_array_equal(values, tokens(*range(100)))
    assert not list(there.folder.glob(".*"))


def test_what_no_feature_set_is_made_of_is_counted_and_can_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    used, other = (
        Store.open(tmp_path / "store", {"encoder": name}, {"family": "plain"}, SHAPE) for name in ("a", "gone")
    )
    kept = used.write(rows(1, 2), tokens(1, 2))
    unused = used.write(rows(3, 4, 5), tokens(3, 4, 5))
    other.write(rows(1), tokens(1))
    folder = tmp_path / "artifacts" / "features" / "mine" / "train"
    folder.mkdir(parents=True)
    about: dict[str, Any] = {"encoder": {"name": "Mine", "encoder": "a"}}
    about["transforms"] = {"plain": {"family": "plain"}}
    table = {name: [""] for name in COLUMNS} | {"label": [0], "width": [1], "height": [1], "row": [0]}
    pd.DataFrame(table | {"digest": [f"{1:032x}"], "view": ["centre"]}).to_csv(folder / "rows.csv", index=False)
    about["digests"] = {"rows.csv": shards.digest_of(folder / "rows.csv")}
    (folder / "features.json").write_text(json.dumps(about))
    found = list(usage(tmp_path / "store", tmp_path / "artifacts" / "features"))
    assert {(each.encoder, each.sets) for each in found} == {("Mine", ("mine/train",)), ("an own tower", ())}
    assert [each.shards for each in found if each.sets] == [(unused,)]
    arguments = ["store", "--prune", "--artifacts", str(tmp_path / "artifacts")]
    whole = (folder / "rows.csv").read_bytes()
    (folder / "rows.csv").write_bytes(whole.splitlines(keepends=True)[0])  # as if the set used nothing
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, len(list((tmp_path / "store").glob("*/*/*.safetensors")))) == (2, 3)
    assert "rows.csv is altered" in result.stderr
    (folder / "rows.csv").write_bytes(whole)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert {file.stem for file in (tmp_path / "store").glob("*/*/*.safetensors")} == {kept}
    left = CliRunner().invoke(app, arguments).stdout.splitlines()
    assert ["Mine plain: mine/train" in line for line in left] == [True, False]  # and the sum
    (folder / "features.json").unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 2  # nothing would be left
    assert missing(used, rows(1, 2)) == []
