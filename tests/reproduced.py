"""A project of its own around a study, whose `dvc repro` is a process that can be killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
# DVC writes these files in place: what docs/security.md says of one that is torn
TORN = {
    "dvc.lock' is invalid": "dvc.lock",
    "dvc.lock' validation failed": "dvc.lock",
    "Unable to read RWLock-file": ".dvc/tmp/rwlock",
}


Moment = Callable[[str], float | None]  # seconds after a stage begins; None: it is let be


def _never(stage: str) -> None:
    return None


class Repro(NamedTuple):
    """When the stages of one `dvc repro` began, in seconds, and after which it was killed; "": it came to its end."""

    began: dict[str, float]
    killed: str


def project(folder: Path, data: Path, study: Mapping[str, Any]) -> Path:
    """This project's graph and code with a study of other pictures; its store lies in it."""
    folder.mkdir()
    for name in ("src", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(data, folder / "data")
    (folder / "params.yaml").write_text(
        yaml.safe_dump(dict(study), sort_keys=False)
    )  # as the study in this process has them
    with dvc(folder, "init", "--no-scm", "--quiet") as process:
        assert process.wait() == 0
    return folder


def dvc(folder: Path, *command: str) -> subprocess.Popen[str]:
    own = {"PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # `rine` of this environment
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "RINE_STORE"} | own | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def repro(folder: Path, *targets: str, kill: Moment = _never, everything: bool = True) -> Repro:
    """Run the stages; kill them so many seconds after the first one begins that `kill` says a moment of.

    With `everything` DVC and its stage die at once, as when a machine goes down; else DVC alone, whose stage is then an
    orphan.
    """
    said, began, killed = list[str](), dict[str, float](), list[str]()
    with dvc(folder, "repro", *targets) as process:

        def end(stage: str) -> None:
            killed.append(stage)
            (os.killpg if everything else os.kill)(process.pid, signal.SIGKILL)

        timer: threading.Timer | None = None
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if stage := re.match(r"Running stage '(.*)':", line):
                began[stage[1]] = time.monotonic()
                if timer is None and (seconds := kill(stage[1])) is not None:
                    timer = threading.Timer(seconds, end, [stage[1]])
                    timer.start()
        if timer:
            timer.cancel()
            timer.join()  # it may be killing just now: what is waited for first is no process any more
    if process.returncode == -signal.SIGKILL:
        return Repro(began, killed[0])
    words = "".join(said)
    if process.returncode:
        for sign, file in TORN.items():
            if sign in words:
                (folder / file).unlink()
                return repro(folder, *targets, kill=kill, everything=everything)
        raise AssertionError(f"dvc repro ended with {process.returncode} and said:\n{words}")
    return Repro(began, "")
