"""`dvc repro` with nothing to do, against `dvc status`: what an up-to-date study costs to ask again."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios

GOAL = 1.5
WHAT = "dvc repro with nothing to do"
UP_TO_DATE = "up to date"


def rows(rounds: int) -> list[Figure | Skipped]:
    # asked first: repro of a study that has changed would run it
    if UP_TO_DATE not in status():
        return [Skipped("idle", WHAT, "the study is not up to date: run dvc repro first")]
    seconds = in_turn([_checked, lambda: dvc("repro")], rounds)
    return [
        Figure(
            "idle",
            WHAT,
            "dvc status",
            ratios(seconds[:, 1], seconds[:, 0]),
            GOAL,
            times := medians(["theirs", "ours"], seconds),
            at_least=False,
            note=f"{times['ours']:.1f} s and {times['theirs']:.1f} s",
        )
    ]


def status() -> str:
    return dvc("status")


def _checked() -> None:
    if UP_TO_DATE not in status():
        raise RuntimeError("the study changed while it was measured; run the benchmark again")


def dvc(command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", command], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr
