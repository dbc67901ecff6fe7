"""The store gives back what was put in, notices what is damaged, and goes on from what is there."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from rine.features import shards, store
from rine.features.store import Journal, Store, StoreFull, locked, row_key

SHAPE = (2, 8)


def rows(*numbers: int) -> list[str]:
    return [row_key(f"{number:032x}", "centre") for number in numbers]


def tokens(*numbers: int) -> np.ndarray:
    return np.stack([np.random.default_rng(n).standard_normal(SHAPE).astype(np.float16) for n in numbers])


def opened(folder: Path, encoder: str = "a", transform: str = "b") -> Store:
    return Store.open(folder, {"encoder": encoder}, {"transform": transform}, SHAPE)


def test_rows_come_back_in_any_order(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.write(rows(0, 1, 2), tokens(0, 1, 2))
    first.write(rows(3, 4), tokens(3, 4))
    again = opened(tmp_path)
    assert again.missing(rows(4, 7, 0, 7, 9)) == rows(7, 9)
    np.testing.assert_array_equal(again.tokens(rows(4, 0, 2, 4)), tokens(4, 0, 2, 4))


def test_a_shard_is_a_safetensors_file_with_the_same_bytes_every_time(tmp_path: Path) -> None:
    values = tokens(0, 1, 2)
    digests = {shards.write(tmp_path / name, values) for name in ("a.safetensors", "b.safetensors")}
    assert len(digests) == 1
    assert digests == {shards.digest_of(tmp_path / "b.safetensors")}
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["tokens"], values)
    np.testing.assert_array_equal(shards.tokens_of(tmp_path / "a.safetensors"), values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_other_encoders_and_transforms_lie_elsewhere(tmp_path: Path) -> None:
    opened(tmp_path).write(rows(0), tokens(0))
    assert opened(tmp_path, encoder="other").missing(rows(0)) == rows(0)
    assert opened(tmp_path, transform="other").missing(rows(0)) == rows(0)
    assert opened(tmp_path).missing(rows(0)) == []


def test_the_file_of_exactly_these_rows(tmp_path: Path) -> None:
    there = opened(tmp_path)
    there.write(rows(0, 1, 2), tokens(0, 1, 2))
    file = there.shard_of(rows(0, 1, 2))
    assert file is not None
    np.testing.assert_array_equal(shards.tokens_of(file), tokens(0, 1, 2))
    assert there.shard_of(rows(0, 1)) is None
    assert there.shard_of(rows(2, 1, 0)) is None
    assert there.shard_of(rows(0, 1, 2, 3)) is None


@pytest.mark.parametrize("damage", ["cut", "altered", "gone"])
def test_a_damaged_shard_is_named_and_its_rows_are_missing(tmp_path: Path, damage: str) -> None:
    first = opened(tmp_path)
    first.write(rows(0, 1), tokens(0, 1))
    first.write(rows(2, 3), tokens(2, 3))
    file = first.shard_of(rows(0, 1))
    assert file is not None
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-1] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    again = opened(tmp_path)
    with pytest.warns(UserWarning, match=f"{file.name}.*encoded anew"):
        assert again.missing(rows(0, 1, 2, 3)) == rows(0, 1)
    again.write(rows(0, 1), tokens(0, 1))
    assert file.read_bytes() == whole
    assert opened(tmp_path).missing(rows(0, 1, 2, 3)) == []


def test_a_shard_without_a_manifest_does_not_exist(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.write(rows(0), tokens(0))
    manifest = next(path for path in first.folder.glob("*.json") if path.name != "about.json")
    text = manifest.read_text()
    manifest.unlink()
    assert opened(tmp_path).missing(rows(0)) == rows(0)
    manifest.write_text(text[: len(text) // 2])
    with pytest.warns(UserWarning, match="manifest"):
        assert opened(tmp_path).missing(rows(0)) == rows(0)


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
    assert again.missing(rows(0, 1)) == rows(1)
    assert not list(again.folder.glob(".*"))
    again.write(rows(1), tokens(1))
    assert opened(tmp_path).missing(rows(0, 1)) == []


@pytest.mark.parametrize("change", ["other rows", "another order", "no list"])
def test_a_manifest_that_names_other_rows_is_dropped(tmp_path: Path, change: str) -> None:
    first = opened(tmp_path)
    first.write(rows(0, 1), tokens(0, 1))
    [manifest] = [path for path in first.folder.glob("*.json") if path.name != "about.json"]
    about = json.loads(manifest.read_text())
    about["rows"] = {"other rows": rows(0, 2), "another order": rows(1, 0), "no list": 5}[change]
    manifest.write_text(json.dumps(about))
    with pytest.warns(UserWarning, match="manifest"):
        assert opened(tmp_path).missing(rows(0, 1, 2)) == rows(0, 1, 2)


def test_the_same_store_under_two_names_is_locked_once(tmp_path: Path) -> None:
    with locked([opened(tmp_path), opened(tmp_path)]):
        pass


def test_a_journal_remembers_rows_and_forgets_a_torn_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "SECONDS_BETWEEN_JOURNAL_ENTRIES", 0.0)
    there, keys = opened(tmp_path), rows(*range(6))
    journal = Journal(there, keys)
    journal.add(tokens(0, 1))
    journal.add(tokens(2))
    with journal.file.open("ab") as file:
        file.write(b"a kill in the middle of an entry")

    again = Journal(there, keys)
    assert again.done == 3
    again.add(tokens(3))
    last = Journal(there, keys)
    assert last.done == 4
    last.add(tokens(4, 5))
    last.finish(keys)
    np.testing.assert_array_equal(there.tokens(keys), tokens(*range(6)))
    assert not journal.file.exists()
    assert Journal(there, rows(8, 9)).done == 0


def test_an_altered_journal_counts_up_to_the_damage(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store, "SECONDS_BETWEEN_JOURNAL_ENTRIES", 0.0)
    there, keys = opened(tmp_path), rows(*range(6))
    journal = Journal(there, keys)
    journal.add(tokens(0, 1))
    first = journal.file.stat().st_size
    journal.add(tokens(2, 3))
    data = bytearray(journal.file.read_bytes())
    data[first + 20] ^= 1
    journal.file.write_bytes(data)
    assert Journal(there, keys).done == 2


HOLD = """
import sys, time
from pathlib import Path
from rine.features.store import Store, locked
store = Store.open(Path(sys.argv[1]), {"encoder": "a"}, {"transform": "b"}, (2, 8))
with locked([store]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_two_processes_take_turns_and_a_dead_one_holds_nothing(tmp_path: Path, capsys) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        there = opened(tmp_path)
        (there.folder / ".half.1.tmp").write_bytes(b"left behind")
        import threading

        entered = threading.Event()

        def enter() -> None:
            with locked([there]):
                entered.set()

        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.3)
        other.kill()
        waiting.join(timeout=10)
        assert entered.is_set()
    assert "waiting for another process" in capsys.readouterr().err
    assert not list(there.folder.glob(".*.tmp"))
