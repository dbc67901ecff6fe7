"""A file of the store or of a feature set that was altered or cut short is named, and the cache stage makes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

import test_cache
from rine.features import Features, FeaturesError, shards

root = test_cache.root


@pytest.mark.parametrize("where", ["store", "artifacts/features"])
@pytest.mark.parametrize("at", [0.01, 0.5, 0.999])
def test_the_cache_stage_makes_an_altered_shard_anew(root: Path, where: str, at: float) -> None:
    study, out = test_cache.parsed(root), root / "artifacts" / "features"
    test_cache.cache("tiny-test", study, root / "artifacts")
    before = test_cache.files(out)
    file = sorted((root / where).rglob(f"*{shards.SUFFIX}"))[1]
    altered, n_rows = bytearray(file.read_bytes()), len(shards.tokens_of(file))
    altered[int(at * len(altered))] ^= 1
    file.write_bytes(altered)  # in its place: the store and the feature set are one file
    if where != "store":
        with pytest.raises((FeaturesError, shards.ShardError), match=file.name):
            Features.open(file.parent).array()
    with pytest.warns(UserWarning, match="altered; its rows are encoded anew"):
        line = test_cache.cache("tiny-test", study, root / "artifacts")
    assert f"encoded {n_rows}, reused {19 - n_rows}" in line
    assert test_cache.files(out) == before


def test_a_cut_table_of_a_feature_set_gives_no_other_rows_and_the_cache_stage_mends_it(root: Path) -> None:
    study, out = test_cache.parsed(root), root / "artifacts" / "features"
    test_cache.cache("tiny-test", study, root / "artifacts")
    before, table = test_cache.files(out), out / "tiny" / "test" / "rows.csv"
    whole = table.read_bytes()
    for size in (whole.rindex(b"\n", 0, -1) + 1, len(whole) // 2, 40):  # after a whole row, in a row, in the header
        table.write_bytes(whole[:size])
        with pytest.raises(FeaturesError, match=r"rows\.csv is altered or cut short.*`rine cache tiny test`"):
            Features.open(table.parent)
    assert "encoded 0, reused 19" in test_cache.cache("tiny-test", study, root / "artifacts")
    assert test_cache.files(out) == before
