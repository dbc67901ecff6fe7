"""`dvc repro` killed at random moments goes on, and ends with the bytes of a run that nothing disturbed.

Over every stage, and fifty times: `python -m benchmarks.kills`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reproduced import project, repro
from small_study import SmallStudy, raw_of

STAGES = ("prepare", "cache@tiny-train")  # the two that keep more than their outputs
KILLS = 2  # of each
LONGEST = 2.0  # seconds: about as long as one takes


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path, small_study: SmallStudy) -> None:
    study = raw_of("data")
    study["runtime"] |= {"workers": 2, "batch_size": 5}  # how fast, and no byte of the results
    killed = project(tmp_path / "killed", small_study.folder / "data", study)
    moments = np.random.default_rng(0).uniform(0, LONGEST, (len(STAGES), KILLS))
    kills = [
        repro(killed, STAGES[-1], kill={stage: seconds}.get, everything=bool(i % 2)).killed
        for stage, some in zip(STAGES, moments.tolist(), strict=True)
        for i, seconds in enumerate(some)
    ]
    assert sum(map(bool, kills)) >= 2  # on a fast day it is complete before the last
    assert repro(killed, STAGES[-1]).killed == ""
    assert_same(killed, small_study.folder)

    # killed while DVC writes dvc.lock, which it does in place: nothing is made anew, all comes from its cache
    lock = (killed / "dvc.lock").read_text()
    (killed / "dvc.lock").write_text(lock[: len(lock) // 3])
    (killed / ".dvc" / "tmp" / "rwlock").write_text("")
    assert repro(killed, STAGES[-1]).began == {}
    assert_same(killed, small_study.folder)


def assert_same(killed: Path, whole: Path) -> None:
    """Every result is that of the study that nothing disturbed, and nothing else lies there."""
    found = [path for name in ("artifacts", "metrics") for path in sorted((killed / name).rglob("*")) if path.is_file()]
    assert len(found) > 12
    for path in found:
        assert path.read_bytes() == (whole / path.relative_to(killed)).read_bytes(), path
