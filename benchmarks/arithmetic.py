"""What portable arithmetic costs: the same batch through the encoder in two processes, one in each mode."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine import arithmetic

MODES = ("portable", "fast")
MODEL = "ViT-B/32"
BATCH = 16
GOAL = 8.0  # against AVX-512, which has four times the lanes and does two operations at once


def rows(rounds: int) -> list[Figure | Skipped]:
    what = f"portable arithmetic, {MODEL}, batches of {BATCH}, one thread"
    if not arithmetic.supported():
        return [Skipped("arithmetic", what, "it needs Linux on an x86-64 processor with AVX2")]
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(mode)) for mode in MODES]
        seconds = in_turn([lambda worker=worker: _encode(worker) for worker in workers], rounds)
        for worker in workers:
            assert worker.stdin
            worker.stdin.close()
    portable, fast = seconds.T
    return [
        Figure(
            "arithmetic",
            what,
            "fast arithmetic",
            ratios(portable, fast),
            GOAL,
            medians(MODES, seconds),
            at_least=False,
        )
    ]


def _worker(mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "benchmarks.in_mode", mode, MODEL, str(BATCH)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _encode(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write("encode\n")
    worker.stdin.flush()
    if worker.stdout.readline() != "done\n":
        raise RuntimeError("the process that encodes has ended")
