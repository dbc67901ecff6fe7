"""Units on the actors of a Ray cluster: the same bytes as in one process, whatever comes to grief.

Ray is started once for all of them: it takes 6 seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rine.cluster.connection import connected
from test_cache import TEST, TRAIN, cache, files, parsed, write_index

pytest.importorskip("ray", reason="rine[ray] is not installed")


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    with connected("local") as ray:
        yield ray


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    write_index(tmp_path, "train", TRAIN)
    write_index(tmp_path, "test", TEST)
    return tmp_path


@pytest.mark.parametrize("n", [1, 2])
def test_actors_leave_the_bytes_of_one_process(ray, root: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    out = root / "artifacts" / "features" / "tiny" / "train"
    assert cache("tiny-train", parsed(root), root / "artifacts").endswith("encoded 29, reused 0")
    alone = files(out)
    monkeypatch.setenv("RINE_STORE", str(root / "another store"))
    by_actors = parsed(root, runtime__cluster="local", runtime__actors=n)
    assert cache("tiny-train", by_actors, root / "artifacts").endswith("encoded 29, reused 0")
    assert files(out) == alone
    assert not list((root / "another store").rglob(".*"))
    assert cache("tiny-train", by_actors, root / "artifacts").endswith("encoded 0, reused 29")
