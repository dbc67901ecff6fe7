"""`dvc repro` of a small study, killed (-9) at random moments of every stage: `python -m benchmarks.kills --times 50`.

DVC dies together with its stage or alone, in turn, and the next run goes on. At last the study is completed, and all
files are compared with those of a study that nothing disturbed. Prints how often each stage was killed, which files
differ, and what lies there that should not. Exit status: 1 where there is such a file.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

sys.path.insert(0, "tests")  # as pytest has it
from reproduced import project, repro
from small_study import raw_of, write_data

PAGE = "report"
FOLDERS = ("artifacts", "metrics", "plots", PAGE)


def killed(folder: Path, lengths: dict[str, float], times: int, rng: random.Random) -> Counter[str]:
    """Run the study in `folder`, killed so often, about as often in each stage; how often that was."""
    stages, made = list(lengths), Counter[str]()

    def moment(stage: str) -> float | None:
        following = stages[stages.index(stage) :]
        left = times - made.total() + made[stage]  # for this stage and those after it
        return rng.uniform(0, lengths[stage]) if made[stage] < left / len(following) else None

    while made.total() < times:
        run = repro(folder, kill=moment, everything=bool(made.total() % 2))
        if not run.killed:  # it came to its end before the last
            break
        made[run.killed] += 1
        print(f"{made.total()}: in {run.killed}, or just after it", flush=True)
    return made


def results(folder: Path) -> dict[str, bytes]:
    """Every file that a study leaves and what DVC noted of it, and which names there are.

    Of report/ the names alone: the page says how long each stage took.
    """
    files = [file for name in FOLDERS for file in (folder / name).rglob("*") if file.is_file()]
    names = [*files, *folder.iterdir()]
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files if PAGE not in file.parts}
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]  # in the order in which they ended
    found["dvc.lock"] = repr(sorted(stages.items())).encode()
    found["names"] = "\n".join(sorted(file.relative_to(folder).as_posix() for file in names)).encode()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as at:
        write_data(Path(at) / "data")
        whole, other = (project(Path(at) / name, Path(at) / "data", raw_of("data")) for name in ("whole", "killed"))
        began = repro(whole).began
        ends = [*list(began.values())[1:], time.monotonic()]
        lengths = {stage: end - start for (stage, start), end in zip(began.items(), ends, strict=True)}
        kills = killed(other, lengths, given.times, random.Random(given.seed))
        repro(other)
        expected, found = results(whole), results(other)
        halves = [file.name for file in (other / ".rine").rglob("*") if ".tmp" in file.name or file.suffix == ".part"]
    differ = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    print(", ".join(f"{stage} {n}" for stage, n in kills.items()))
    print(f"{kills.total()} kills over {len(kills)} of {len(lengths)} stage items, seed {given.seed}")
    print(f"{len(expected)} files compared, {len(differ)} differ: {', '.join(differ) or 'none'}")
    print(f"{len(halves)} half-written files in the store, which are deleted after a day")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
