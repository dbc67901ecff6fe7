"""Folders become tables that depend on the files alone; what is no picture is left out and named."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_folders import OLD, Seeds, config, save
from rine.dataset import duplicates, fact_store, facts, index, reading, records
from rine.dataset.config import PrepareConfig
from rine.dataset.facts import Facts, Skipped
from rine.dataset.layouts import tables
from rine.dataset.listing import DatasetError
from rine.features import table
from rine.features.table import INDEX
from rine.features.table import read as read_table


@pytest.fixture
def study(tmp_path: Path) -> PrepareConfig:
    """Four real and four fake pictures, one entry for training and one for a test."""
    root, seeds = tmp_path / "data", Seeds()
    for folder in ("train/real", "train/fake", "test/real", "test/fake"):
        seeds.folder(root / folder, 4)
    return config(
        root,
        mine={"real": ["train/real"], "fake": ["train/fake"], "split": "train"},
        other={"real": ["test/real"], "fake": ["test/fake"], "split": "test"},
    )


def same(a: index.Index, b: index.Index) -> bool:
    ours, theirs = ([*made.tables.values(), made.test_sets, made.skipped] for made in (a, b))
    return all(one.equals(other) for one, other in zip(ours, theirs, strict=True))


def test_a_row_says_what_the_file_is(tmp_path: Path, study: PrepareConfig) -> None:
    made = index.build(study)
    assert {name: len(table) for name, table in made.tables.items()} == {
        "train": 8,
        "test": 8,
        "ldm": 0,
        "synthbuster": 0,
    }
    table = made.tables["train"]
    keys = list(table[["source", "label", "path"]].itertuples(index=False, name=None))
    assert keys == sorted(keys)
    for row in table.itertuples():
        data = (tmp_path / "data" / row.path).read_bytes()
        assert row.digest == hashlib.blake2b(data, digest_size=16).hexdigest()
        assert (row.width, row.height, row.format, row.mode) == (40, 32, "PNG", "RGB")
        assert row.bytes == len(data)


def test_tables_come_back_as_they_were(tmp_path: Path, study: PrepareConfig) -> None:
    made = index.build(study)
    made.rows["train"]["category"] = pd.Categorical(["null"] * 8)
    digest = "00000000000000000000000000000012"
    made.records.put(
        0, Facts(digest, 1, 2, 3, "PNG", "RGB", jpeg_quality=None, jpeg_standard=None, exif=False, dhash="")
    )
    index.write(made, tmp_path / "out")
    for name in made.tables:
        back = read_table(tmp_path / "out" / f"{name}.csv")
        assert list(back.columns) == list(INDEX)
        expected = made.tables[name][list(INDEX)]
        assert back.to_dict("records") == expected.to_dict("records")
    assert len(read_table(tmp_path / "out" / "test_sets.csv")) == 1


def test_what_is_no_picture_is_left_out_and_named(tmp_path: Path, study: PrepareConfig) -> None:
    real = tmp_path / "data" / "train" / "real"
    whole = save(real / "whole.jpg", 1, size=(90, 90), quality=90).read_bytes()
    (real / "whole.jpg").unlink()
    (real / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (real / "empty.png").write_bytes(b"")
    (real / "text.jpg").write_text("not a picture")
    (real / "link.png").symlink_to("nowhere.png")
    (real / "folder.png").mkdir()
    os.mkfifo(real / "pipe.png")
    save(real / "large.png", 2, size=(101, 100))  # the limit is 10,000 pixels
    made = index.build(study)
    reasons = dict(made.skipped.itertuples(index=False, name=None))
    names = ("cut.jpg", "empty.png", "text.jpg", "link.png", "pipe.png", "large.png")
    assert sorted(reasons) == sorted(f"train/real/{name}" for name in names)
    assert "cut short" in reasons["train/real/cut.jpg"]
    assert "empty" in reasons["train/real/empty.png"]
    assert "leads nowhere" in reasons["train/real/link.png"]
    assert "101 x 100" in reasons["train/real/large.png"]
    assert len(made.tables["train"]) == 8
    assert not set(reasons) & set(made.tables["train"]["path"])


def test_a_name_that_is_no_text_is_left_out(study: PrepareConfig) -> None:
    odd = os.fsencode(study.root) + b"/train/real/\xff.png"
    shutil.copy(Path(study.root) / "train/real/000.png", odd)
    made = index.build(study)
    assert list(made.skipped["reason"]) == ["the file's name is not UTF-8"]
    made.skipped.to_csv(Path(study.root).parent / "skipped.csv")  # can be written


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "I;16", "animated", "tiny"])
def test_what_has_pixels_is_kept(tmp_path: Path, study: PrepareConfig, mode: str) -> None:
    path = tmp_path / "data" / "train" / "real" / "odd.tif"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))
    if mode == "animated":
        path = path.with_suffix(".gif")
        image.save(path, save_all=True, append_images=[image.rotate(90)])
    elif mode == "tiny":
        image.resize((1, 1)).save(path)
    elif mode == "I;16":
        Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(path)
    else:
        image.convert(mode).save(path)
    made = index.build(study)
    assert made.skipped.empty
    assert f"train/real/{path.name}" in set(made.tables["train"]["path"])


def test_the_result_does_not_depend_on_processes(study: PrepareConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = index.build(study, workers=0)
    monkeypatch.setattr(reading, "CHUNK", 3)
    assert same(index.build(study, workers=2), alone)


def test_what_is_known_is_not_read_again(tmp_path: Path, study: PrepareConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    store, fresh = tmp_path / "store", index.build(study)
    assert index.build(study, store).n_reused == 0

    def refuse(paths: list[Path], max_pixels: int) -> list[Facts]:
        raise AssertionError(f"{paths} were read again")

    with monkeypatch.context() as patch:
        patch.setattr(reading, "examine_all", refuse)
        again = index.build(study, store)
    assert (again.n_examined, again.n_reused) == (0, 16)
    assert same(again, fresh)


def test_a_file_that_changed_is_read_again(tmp_path: Path, study: PrepareConfig) -> None:
    store = tmp_path / "store"
    index.build(study, store)
    path = tmp_path / "data" / "train" / "real" / "000.png"
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, (OLD, OLD))  # another size, the same time
    save(path.with_name("001.png"), 99)
    os.utime(path.with_name("001.png"), (OLD, OLD + 1))  # another time
    made = index.build(study, store)
    assert made.n_examined == 2
    assert same(made, index.build(study))


def test_another_limit_on_pixels_reads_again(tmp_path: Path, study: PrepareConfig) -> None:
    store = tmp_path / "store"
    index.build(study, store)
    smaller = PrepareConfig(study.root, 100, study.datasets)
    assert len(index.build(smaller, store).skipped) == 16


def remembered(folder: Path, path: Path) -> Facts | Skipped | None:
    with closing(fact_store.FactStore(folder, 10_000)) as store:
        return store.get(path, path.stat())


def test_a_damaged_store_and_a_young_file_are_not_believed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 1)
    known = facts.examine(path, 10_000)
    with closing(fact_store.FactStore(tmp_path, 10_000)) as store:
        store.put([(path, path.stat(), known)])
    assert remembered(tmp_path, path) == known
    whole = store.file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no database", whole[:1000] + bytes(len(whole) - 1000)):
        store.file.write_bytes(damaged)
        assert remembered(tmp_path, path) is None
    os.utime(path)  # as if written this moment: it may be written again within the clock's tick
    with closing(fact_store.FactStore(tmp_path, 10_000)) as store:
        store.put([(path, path.stat(), known)])
    assert remembered(tmp_path, path) is None


def test_the_store_does_not_grow_without_end(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 1)
    with closing(fact_store.FactStore(tmp_path, 10_000)) as store:
        for _ in range(20):
            store.put([(path, path.stat(), Skipped("for some reason"))])
    assert remembered(tmp_path, path) == Skipped("for some reason")
    with closing(sqlite3.connect(store.file)) as db:
        assert db.execute("SELECT count(*) FROM facts").fetchone() == (1,)


def test_validation_is_the_same_share_of_each_class_and_stays(tmp_path: Path) -> None:
    root, seeds = tmp_path / "data", Seeds()
    seeds.folder(root / "real", 60, size=(8, 8))
    seeds.folder(root / "fake", 20, size=(8, 8))
    study = config(root, mine={"real": ["real"], "fake": ["fake"], "split": "train", "val_fraction": 0.25})
    table = index.build(study).tables["train"].set_index("path")
    before = table["split"]
    assert table[before == "val"].groupby("label").size().to_dict() == {0: 15, 1: 5}
    seeds.last = 1000
    seeds.folder(root / "real" / "more", 4, size=(8, 8))
    after = index.build(study).tables["train"].set_index("path")["split"]
    assert (after.loc[before.index] != before).sum() <= 4  # one picture moves at most one other
    assert after.loc[[path for path in before.index if path.startswith("fake")]].equals(before.filter(like="fake"))


def test_a_test_picture_is_never_held_out(tmp_path: Path) -> None:
    """Nor where the same file is a training picture of the entry that is."""
    root, seeds = tmp_path / "data", Seeds()
    rows = ["file,label,split"]
    for label in ("real", "fake"):
        seeds.folder(root / "train" / label, 4, size=(8, 8))
        shutil.copytree(root / "train" / label, root / "test" / label)
        rows += [
            f"{split}/{label}/{file.name},{label},{split}"
            for split in ("train", "test")
            for file in sorted((root / split / label).iterdir())
        ]
    (root / "list.csv").write_text("\n".join(rows) + "\n")
    entry = {"manifest": "list.csv", "path": "file", "label": {"column": "label", "real": ["real"]}}
    made = index.build(config(root, mine=entry | {"split": {"column": "split"}, "val_fraction": 0.25}), workers=0)
    assert sorted(made.tables["train"]["split"]) == ["train"] * 6 + ["val"] * 2
    assert made.tables["test"]["split"].tolist() == ["test"] * 8


def test_a_picture_of_two_training_sets_is_for_validation_in_both(tmp_path: Path) -> None:
    root, seeds = tmp_path / "data", Seeds()
    for folder, n in (("shared", 20), ("more", 20), ("a", 8), ("b", 8)):
        seeds.folder(root / folder, n, size=(8, 8))
    sets = {"a": ["shared"], "b": ["shared", "more"]}
    study = config(root, **{
        name: {"real": real, "fake": [name], "split": "train", "val_fraction": 0.25} for name, real in sets.items()
    })  # fmt: skip
    table = index.build(study).tables["train"]
    assert table.groupby(["digest", "label"])["split"].nunique().max() == 1
    assert (table[table["source"] == "a"]["split"] == "val").sum() >= 5 + 2


@pytest.mark.parametrize("written", ["GAN", "gan", "Gan"])
def test_a_family_of_the_papers_is_known_however_it_is_written(tmp_path: Path, written: str) -> None:
    root, seeds = tmp_path / "data", Seeds()
    for folder in ("real", "fake"):
        seeds.folder(root / folder, 1, size=(8, 8))
    entry = {"real": ["real"], "fake": ["fake"], "split": "test"}
    study = config(root, seeingdark=entry | {"family": written}, other=entry | {"family": "Flow"})
    sets = index.build(study).test_sets
    assert sets["family"].to_list() == ["gan", "Flow"]
    assert sets["title"].to_list() == ["", ""]  # its own name, not that of the paper's set


def test_no_root_and_no_data_sets(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"prepare.root = .*nowhere' is no folder"):
        index.build(config(tmp_path / "nowhere"))
    made = index.build(config(tmp_path))
    index.write(made, tmp_path / "out")
    assert list(pd.read_csv(tmp_path / "out" / "train.csv").columns) == list(INDEX)


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 85, 95, 100])
def test_jpeg_quality_is_found_in_the_tables(tmp_path: Path, quality: int) -> None:
    found = facts.examine(save(tmp_path / "a.jpg", 1, quality=quality), 10_000)
    assert isinstance(found, Facts)
    assert (found.jpeg_quality, found.jpeg_standard) == (quality, True)


def test_tables_of_another_encoder_are_told(tmp_path: Path) -> None:
    table = [5 + (i * 7) % 11 for i in range(64)]
    found = facts.examine(save(tmp_path / "a.jpg", 1, qtables=[table, table]), 10_000)
    assert isinstance(found, Facts)
    assert found.jpeg_standard is False
    assert found.jpeg_quality is not None
    png = facts.examine(save(tmp_path / "a.png", 1), 10_000)
    assert isinstance(png, Facts)
    assert (png.jpeg_quality, png.jpeg_standard) == (None, None)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_exif_is_seen(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    assert facts.examine(save(tmp_path / f"a.{kind}", 1, exif=exif), 10_000).exif
    assert not facts.examine(save(tmp_path / f"b.{kind}", 1), 10_000).exif


def looked_at(root: Path, paths: Sequence[str], *_: object) -> Iterator[list[reading.Looked]]:
    """Facts that no two pictures share, of pictures that nobody reads."""
    for path in paths:
        digest, dhash = (hashlib.blake2b(path.encode(), digest_size=16, salt=salt).hexdigest() for salt in (b"a", b"b"))
        yield [(path, None, Facts(digest, 900, 32, 32, "JPEG", "RGB", 75, jpeg_standard=True, exif=False, dhash=dhash))]


@pytest.mark.parametrize("told", [False, True])
def test_a_picture_more_takes_less_than_two_hundred_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    for module, name in (
        (records, "CHUNK"),
        (reading, "CHUNK"),
        (tables, "CHUNK"),
        (duplicates, "_CHUNK"),
        (table, "_ROWS_AT_A_TIME"),
    ):
        monkeypatch.setattr(module, name, 256)
    peaks = {}
    for n in (2_500, 1_000, 2_500):  # at first what is made but once, and the tuples that Python keeps
        digests = [f"{i:064x}" for i in range(n)]
        cells = pa.table({"image": [b""] * n, "label": ["real", "fake"] * (n // 2), "sum": digests})
        pq.write_table(cells, tmp_path / f"{n}-0.parquet", row_group_size=500)
        entry = {"parquet": [f"{n}-*"], "label": {"column": "label", "real": ["real"]}, "val_fraction": 0.1}
        said = {"digest": {"column": "sum", "kind": "sha256"}} if told else {}
        study = config(tmp_path, big=entry | said | {"split": "train"})
        tracemalloc.start()
        made = index.build(study, by=looked_at)
        assert (np.bincount(duplicates.near_labels(made.records.hashes())) == 1).all()
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(made.rows["train"]) == n
    assert (peaks[2_500] - peaks[1_000]) / 1_500 < 200
