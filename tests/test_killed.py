"""`dvc repro` killed at random moments goes on, and ends with the bytes of a run that nothing disturbed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from rine.sample import Sizes, make_sample

ROOT = Path(__file__).parents[1]
KILLS = 6
TOWER = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 2, "head_width": 32}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures") / "data"
    make_sample(root, Sizes(train=4, val=1, test=1, latent_train=4, latent_valid=2, synthbuster=1), workers=1)
    return root


def project(folder: Path, pictures: Path, **runtime: object) -> Path:
    """A copy of this project with a study of three stages: what precedes the grid, and the grid."""
    folder.mkdir()
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(pictures, folder / "data")
    study = yaml.safe_load((ROOT / "params.yaml").read_text())
    study["encoders"] = {"tiny": {"name": "ViT-T/16", "model": TOWER, "pretrained": "random", "seed": 0}}
    study["encoder"], study["ldm"] = "tiny", None
    study["prepare"]["datasets"] = {"forensynths": {"layout": "forensynths"}}
    study["cache"]["shard_rows"] = 100
    study["settings"] = {"four_class": study["settings"]["four_class"]}
    study["best"] |= {"models": {"four_class": "train"}, "default": "four_class"}
    study["runtime"] |= runtime
    (folder / "params.yaml").write_text(yaml.safe_dump(study))
    with dvc(folder, "init", "--no-scm", "--quiet") as process:
        assert process.wait() == 0
    return folder


def dvc(folder: Path, *command: str) -> subprocess.Popen[str]:
    own = {"PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # `rine` of this environment
    arguments = [sys.executable, "-m", "dvc", *command]
    environment = os.environ | own | {"PATH": path}
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def repro(folder: Path, delay: float | None = None, everything: bool = True) -> tuple[str, bool]:
    """Run the stages; kill them so many seconds after the first begins. Returns what was said, and if it was killed."""
    said: list[str] = []
    killers: list[threading.Timer] = []
    with dvc(folder, "repro", "grid") as process:

        def kill() -> None:
            # DVC and its stage at once, as a machine that goes down; or DVC alone, whose stage is then an orphan
            (os.killpg if everything else os.kill)(process.pid, signal.SIGKILL)

        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if delay is not None and not killers and line.startswith("Running stage"):
                killers.append(threading.Timer(delay, kill))
                killers[0].start()
        for killer in killers:
            killer.cancel()
    words = "".join(said)
    if process.returncode not in {0, -signal.SIGKILL}:
        if "dvc.lock' is invalid" in words or "dvc.lock' validation failed" in words:
            # DVC writes this file in place: what README says of one that is torn
            (folder / "dvc.lock").unlink()
            return repro(folder, delay, everything)
        if "Unable to read RWLock-file" in words:  # as is this one
            (folder / ".dvc" / "tmp" / "rwlock").unlink()
            return repro(folder, delay, everything)
        raise AssertionError(f"dvc repro ended with {process.returncode} and said:\n{words}")
    return words, process.returncode != 0


def results(folder: Path) -> dict[str, object]:
    """All metrics, and of every stage the digests in the lock; DVC notes stages in the order in which they ended."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return stages | {file.name: file.read_bytes() for file in sorted(folder.glob("metrics/**/*.json"))}


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path, pictures: Path) -> None:
    whole = project(tmp_path / "whole", pictures, workers=1, batch_size=8)
    start = time.monotonic()
    said, _ = repro(whole)
    stages = said.count("Running stage")
    assert stages == 4
    longest = 1.2 * (time.monotonic() - start) / stages

    killed = project(tmp_path / "killed", pictures, workers=3, batch_size=64)
    moments = np.random.default_rng(0).uniform(0, longest, KILLS)
    kills = sum(repro(killed, seconds, everything=i % 2 == 0)[1] for i, seconds in enumerate(moments.tolist()))
    assert kills >= KILLS // 2  # on a fast day the study is complete before the last
    repro(killed)
    assert results(killed) == results(whole)

    # killed while DVC writes dvc.lock, which it does in place: nothing is made anew, all comes from its cache
    lock = (killed / "dvc.lock").read_text()
    (killed / "dvc.lock").write_text(lock[: len(lock) // 3])
    (killed / ".dvc" / "tmp" / "rwlock").write_text("")
    assert "Running stage" not in repro(killed)[0]
    assert results(killed) == results(whole)
