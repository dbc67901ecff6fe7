"""Measure all rows, or those that are named: `python -m benchmarks views store`."""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

from rine.commands.options import prepare_libraries

ROWS = ("programme", "encoder", "arithmetic", "flops", "heads", "views", "store", "idle", "added", "cluster", "driver")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of: {', '.join(ROWS)}; only all are written")
    parser.add_argument("--rounds", type=int, default=5, help="of each comparison, at least 5")
    asked = parser.parse_args()
    unknown = [row for row in asked.rows if row not in ROWS]
    if unknown or asked.rounds < 5:
        parser.error(f"rows {unknown} are unknown" if unknown else f"--rounds {asked.rounds}; at least 5")
    prepare_libraries("fast")  # as `rine` does, before torch is imported
    from benchmarks import report

    about, found = report.machine(), []
    for row in asked.rows or ROWS:
        start = time.perf_counter()
        measured = importlib.import_module(f"benchmarks.{row}").rows(asked.rounds)
        print(f"{row}: {time.perf_counter() - start:.0f} s; {'; '.join(map(report.words, measured))}", flush=True)
        found += measured
    report.show(found, about)
    if not asked.rows:
        report.write(found, about, Path("metrics/bench.json"))
        report.draw(found, about, Path("plots/bench.png"))


if __name__ == "__main__":
    main()
