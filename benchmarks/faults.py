"""A disk that is full and folders that are read-only, under every stage: `python -m benchmarks.faults` (Linux).

Runs in a mount namespace of its own. A small study lies on a disk of its own in memory: what a stage or a command
writes is removed, the disk is filled but for a share of that, or a folder becomes read-only, and it runs. It has to end
with one line, without a trace and with whole metrics, and, once there is room again, to leave the bytes of an
undisturbed study. Prints how often that was so, and what did not hold. Exit status: 1 where there is such a thing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from rine import arithmetic

if arithmetic.supported():
    arithmetic.use("portable")  # before anything here imports NumPy
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # as pytest has it
import yaml
from typer.testing import CliRunner

from graph import STAGES, items
from rine import params
from rine.cli import app
from small_study import raw_of, write_data

SHARES = (0.0, 0.5)  # of what will be written
DISK, PLACE = 64 << 20, "/mnt"  # bytes; nobody else sees what is mounted there
TIMED = ("predict", "explain")  # whose files say how long it took
HELD, NO_FAULT = "held", "room enough"
MODEL = "artifacts/best/shapes/model.safetensors"
# what else a stage writes
BESIDE = {"prepare": ["store"], "cache": ["store"], "detect": ["store/detect"], "report": ["report"]}
OTHERS = {  # commands that write to out/
    "predict": ["data/gan", "--output=out/rows.csv", f"--model={MODEL}", "--device=cpu"],
    "explain": ["data/gan/real/0.png", "--output=out/why", f"--model={MODEL}", "--device=cpu"],
    "evaluate": [MODEL, "--real=data/gan/real", "--fake=data/gan/fake", "--output=out", "--device=cpu"],
    "export": ["--onnx", f"--model={MODEL}", "--output=out/model.onnx"],
    "init": ["out"],
}


class Work(NamedTuple):
    """A command, what it writes that is compared, and what else it writes."""

    name: str
    arguments: list[str]
    writes: list[str]
    beside: list[str]

    def run(self) -> tuple[int, str]:
        done = CliRunner().invoke(app, [self.name, *self.arguments])
        trace = done.exception is not None and not isinstance(done.exception, SystemExit)
        return done.exit_code, f"Traceback: {done.exception!r}" if trace else done.stderr

    def remove(self) -> None:
        for name in (*self.writes, *self.beside):
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)

    def tried(self, fault: AbstractContextManager[None], whole: dict[str, bytes]) -> str:
        """What came of one try."""
        self.remove()
        with fault:
            status, said = self.run()
            lines = [line for line in said.splitlines() if not line.startswith(("warning:", "caution:"))]
            if status == 0:
                return NO_FAULT
            if "Traceback" in said or len(lines) != 1 or status not in {1, 2}:
                return f"exit {status}: {said[-500:]}"
            assert all(json.loads(content) for content in files(["metrics"]).values())
        if self.name in OTHERS:  # which go on only where they are told to
            self.remove()
        status, said = self.run()
        same = files(self.writes) == whole or (self.name in TIMED and set(files(self.writes)) == set(whole))
        return f"then exit {status}: {said[-500:]}" if status else HELD if same else "other bytes"


def lay_out(folder: Path) -> None:
    """A small study, with other methods as pipeline/compare.yaml has them, but that of a graph, which is not there."""
    shutil.copytree("pipeline", folder / "pipeline")
    shutil.copy("dvc.yaml", folder)
    write_data(folder / "data")
    compared = yaml.safe_load(Path("pipeline/compare.yaml").read_text())["detectors"]
    raw = raw_of("data") | {"detectors": {name: each for name, each in compared.items() if "onnx" not in each}}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def works(others: Mapping[str, list[str]] = OTHERS) -> Iterator[Work]:
    """All stage items of the study in the working directory, and these commands."""
    study = params.read("params.yaml")
    for stage in STAGES:
        for item in items(stage, study):
            yield Work(stage, item.arguments, [*item.outs, *item.metrics], BESIDE.get(stage, []))
    for name, arguments in others.items():
        yield Work(name, arguments, ["out"], [])


def files(names: list[str]) -> dict[str, bytes]:
    """What lies at these names, and below them where they are folders."""
    found = [file for name in names for file in (Path(name), *Path(name).rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in found}


@contextmanager
def full(left: int) -> Iterator[None]:
    """No room but for so many bytes."""
    filler, disk = Path("filler"), os.statvfs(".")
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, disk.f_bavail * disk.f_frsize - left))
    yield
    filler.unlink()


@contextmanager
def read_only(folder: str) -> Iterator[None]:
    Path(folder).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    yield
    subprocess.run(["umount", "--lazy", folder], check=True)


def main() -> int:
    counts, wrong = Counter[str](), 0
    for work in works():
        status, said = work.run()
        assert status == 0, f"{work.name} {work.arguments}: {said}"
        whole, size = files(work.writes), sum(map(len, files([*work.writes, *work.beside]).values()))
        faults = {f"full but for {share:.0%} of it": full(int(share * size)) for share in SHARES}
        for root in sorted({Path(name).parts[0] for name in (*work.writes, *work.beside)}):
            faults[f"{root}/ read-only"] = read_only(root)
        for name, fault in faults.items():
            came = work.tried(fault, whole)
            wrong += came not in {HELD, NO_FAULT}
            counts[f"{name}: {came if came in {HELD, NO_FAULT} else 'WRONG'}"] += 1
            print(" ".join([work.name, *work.arguments]), f"{name}: {came}", sep=", ", flush=True)
        if work.name in OTHERS:
            work.remove()
    print(*(f"{n:4} {kind}" for kind, n in sorted(counts.items())), sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    if os.environ.get("RINE_STORE") != "store":  # not yet apart
        os.environ["RINE_STORE"] = "store"
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "benchmarks.faults"])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", PLACE], check=True)
    lay_out(Path(PLACE))
    os.chdir(PLACE)
    sys.exit(main())
