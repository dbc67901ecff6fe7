"""A feature set gives back the tokens that were written, by row, whatever the shards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rine.caching import files
from rine.features import COLUMNS, Features, FeaturesError, shards

SHAPE = (3, 8)


def feature_set(folder: Path, lengths: tuple[int, ...] = (5, 1, 7), shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Write a feature set of several shards whose table goes through them in disorder; returns the tokens by row."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows, tokens = [], []
    for number, n in enumerate(lengths):
        values = rng.standard_normal((n, *shape)).astype(np.float16)
        files.write_tokens(folder / f"s{number}.safetensors", values)
        rows += [{"shard": f"s{number}.safetensors", "row": i} for i in range(n)]
        tokens.append(values)
    table = pd.DataFrame(rows)
    for column in COLUMNS[:-2]:
        table[column] = 1 if column in {"label", "width", "height"} else [f"{i:03d}" for i in range(len(table))]
    table["category"] = "null"
    order = rng.permutation(len(table))
    table.loc[order, list(COLUMNS)].to_csv(folder / "rows.csv", index=False)
    describe(folder, shape)
    return np.concatenate(tokens)[order]


def describe(folder: Path, shape: tuple[int, int] = SHAPE) -> None:
    about = {"n_blocks": shape[0], "width": shape[1], "encoder": {"name": "ViT-T/8"}}
    digests = {file.name: shards.digest_of(file) for file in folder.iterdir() if file.name != "features.json"}
    (folder / "features.json").write_text(json.dumps(about | {"digests": digests}))


@pytest.mark.parametrize("shape", [SHAPE, (24, 1024)])
def test_tokens_come_in_the_order_asked(tmp_path: Path, shape: tuple[int, int]) -> None:
    expected = feature_set(tmp_path, shape=shape)
    features = Features.open(tmp_path)
    assert (len(features), features.n_blocks, features.width) == (13, *shape)
    assert features.encoder_name == "ViT-T/8"
    np.testing.assert_array_equal(features.tokens().numpy(), expected)
    for asked in (
        np.array([12, 0, 5, 5, 3]),
        slice(2, 9),
        slice(None, None, -2),
        np.array([], dtype=int),
        np.array([4]),
    ):
        np.testing.assert_array_equal(features.array(asked), expected[asked])


def test_rows_of_one_shard_come_in_the_order_asked(tmp_path: Path) -> None:
    expected = feature_set(tmp_path, lengths=(40,))
    asked = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(Features.open(tmp_path).array(asked), expected[asked])


def test_a_selection_keeps_rows_and_tokens_together(tmp_path: Path) -> None:
    expected = feature_set(tmp_path)
    features = Features.open(tmp_path)
    mask = np.arange(13) % 3 == 0
    part = features.select(mask)
    assert list(part.rows["path"]) == list(features.rows["path"][mask])
    assert list(part.rows.index) == list(range(5))
    np.testing.assert_array_equal(part.array(), expected[mask])
    np.testing.assert_array_equal(part.select(np.arange(5) == 4).array(), expected[[12]])
    with pytest.raises(ValueError, match="mask of 13"):
        features.select(np.array([0, 1]))


def test_text_columns_stay_text(tmp_path: Path) -> None:
    feature_set(tmp_path)
    rows = Features.open(tmp_path).rows
    assert rows["category"].unique().tolist() == ["null"]
    assert set(rows["digest"]) >= {"001", "012"}


def test_tokens_are_the_callers_own(tmp_path: Path) -> None:
    expected = feature_set(tmp_path)
    features = Features.open(tmp_path)
    features.tokens(slice(0, 2))[:] = 0
    np.testing.assert_array_equal(features.array(), expected)


def test_a_missing_set_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=r"rine cache tiny_28 train"):
        Features.open(tmp_path / "tiny_28" / "train")


def test_a_damaged_set_is_named(tmp_path: Path) -> None:
    feature_set(tmp_path)
    shard = tmp_path / "s2.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(shards.ShardError, match="s2"):
        Features.open(tmp_path)
    files.write_tokens(shard, np.zeros((2, *SHAPE), np.float16))
    with pytest.raises(FeaturesError, match=r"s2.safetensors has no row"):
        Features.open(tmp_path)
    files.write_tokens(shard, np.zeros((7, 3, 9), np.float16))
    with pytest.raises(FeaturesError, match=r"features\.json says"):
        Features.open(tmp_path)
    shard.unlink()
    with pytest.raises(FeaturesError, match=r"s2\.safetensors is missing"):
        Features.open(tmp_path)


def test_a_shard_that_was_altered_is_named_when_a_row_of_it_is_read_and_no_other(tmp_path: Path) -> None:
    expected, shard = feature_set(tmp_path), tmp_path / "s2.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    features = Features.open(tmp_path)
    others = features.select((features.rows["shard"] != shard.name).to_numpy())
    np.testing.assert_array_equal(others.array(), expected[(features.rows["shard"] != shard.name).to_numpy()])
    first = int(np.flatnonzero(features.rows["shard"] == shard.name)[0])
    for _ in range(2):  # whoever goes on after an error gets it again
        with pytest.raises(FeaturesError, match=r"s2\.safetensors is altered .*`rine cache"):
            features.array(np.array([first]))
    shard.write_bytes(whole)
    np.testing.assert_array_equal(features.array(), expected)


def test_a_table_that_was_altered_or_is_shorter_is_named(tmp_path: Path) -> None:
    feature_set(tmp_path)
    table = tmp_path / "rows.csv"
    whole = table.read_bytes()
    lines = whole.splitlines(keepends=True)
    for other in (b"".join(lines[:-1]), b"".join(lines[:1]), whole[:-3], whole[:40], b"", whole.replace(b"1", b"0", 1)):
        table.write_bytes(other)
        with pytest.raises(FeaturesError, match=r"rows\.csv is altered or cut short"):
            Features.open(tmp_path)


def test_a_set_with_no_rows_is_legal(tmp_path: Path) -> None:
    pd.DataFrame(columns=list(COLUMNS)).to_csv(tmp_path / "rows.csv", index=False)
    describe(tmp_path)
    features = Features.open(tmp_path)
    assert len(features) == 0
    assert features.tokens().shape == (0, 3, 8)
    assert features.select(np.zeros(0, bool)).array().shape == (0, 3, 8)
