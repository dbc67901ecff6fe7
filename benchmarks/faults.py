"""A disk that is full and folders that are read-only, under every stage and command: `python -m benchmarks.faults`.

Runs in a mount namespace of its own (Linux; `unshare`). A small study lies on a disk of its own in memory: of each
stage and command what it writes is removed, the disk is filled but for a share of what it will write, or one of its
folders becomes read-only, and it runs. It has to end with an error of one line, without a trace and with whole
metrics, and, once there is room again, to leave the bytes of a study that nothing disturbed. Prints a line for each
kind of fault, and what did not hold. Exit status: 1 where there is such a thing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rine import arithmetic

if arithmetic.supported():
    arithmetic.use("portable")  # before anything here imports NumPy
sys.path.insert(0, "tests")  # as pytest has it
import yaml
from typer.testing import CliRunner

from graph import STAGES, items
from rine import params
from rine.cli import app
from small_study import raw_of, write_data

SHARES = (0.0, 0.3, 0.6, 0.9)  # of what will be written
DISK = 64 << 20  # bytes
ENOUGH = "room enough"
MODEL = "artifacts/best/shapes/model.safetensors"
OTHERS = {  # commands and what they write; pictures that they read lie in data/gan
    "predict": (["data/gan", "--output=out/rows.csv", f"--model={MODEL}", "--device=cpu"], ["out"]),
    "explain": (["data/gan/real/0.png", "--output=out/why", f"--model={MODEL}", "--device=cpu"], ["out"]),
    "evaluate": ([MODEL, "--real=data/gan/real", "--fake=data/gan/fake", "--output=out", "--device=cpu"], ["out"]),
    "export": (["--onnx", f"--model={MODEL}", "--output=out/model.onnx"], ["out"]),
    "init": (["out"], ["out"]),
    "report": (["--page-only"], ["report"]),
}


class Work(NamedTuple):
    """A command and what it writes: files of results, and folders in which others lie."""

    name: str
    arguments: list[str]
    writes: list[str]
    beside: list[str]  # removed before it runs, and not compared

    def run(self) -> tuple[int, str]:
        done = CliRunner().invoke(app, [self.name, *self.arguments])
        trace = done.exception is not None and not isinstance(done.exception, SystemExit)
        return done.exit_code, f"Traceback: {done.exception!r}" if trace else done.stderr

    def remove(self) -> None:
        for name in (*self.writes, *self.beside):
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)


def works() -> Iterator[Work]:
    study = params.read("params.yaml")
    for stage in STAGES:
        for item in items(stage, study):
            beside = {"prepare": [".rine"], "cache": [".rine/store"], "report": ["report"]}.get(stage, [])
            yield Work(stage, item.arguments, [*item.outs, *item.metrics], beside)
    for name, (arguments, writes) in OTHERS.items():
        yield Work(name, arguments, [], writes)


def files(names: list[str]) -> dict[str, bytes]:
    """What lies at these names, and below them where they are folders."""
    found = [file for name in names for file in (Path(name), *Path(name).rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in found}


@contextmanager
def full(share: float, size: int) -> Iterator[None]:
    """No room but for this share of what was written."""
    filler = Path("filler")
    with filler.open("wb") as file:
        while True:
            try:
                file.write(bytes(1 << 16))
                file.flush()
            except OSError:
                break
    os.truncate(filler, max(0, filler.stat().st_size - int(share * size)))
    yield
    filler.unlink()


@contextmanager
def read_only(folder: str) -> Iterator[None]:
    Path(folder).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    yield
    subprocess.run(["umount", "--lazy", folder], check=True)


def tried(work: Work, fault: Callable[[], Iterator[None]], whole: dict[str, bytes]) -> str:
    """What came of one try: "" where all held, "room enough" where the fault was none."""
    work.remove()
    with fault():  # type: ignore[attr-defined]
        status, said = work.run()
        if status == 0:
            return ENOUGH
        lines = [line for line in said.splitlines() if not line.startswith(("warning:", "caution:"))]
        if "Traceback" in said or len(lines) != 1 or status not in {1, 2}:
            return f"exit {status}: {said[-500:]}"
        torn = [name for name in files(["metrics"]) if name.endswith(".json") and not _whole(name)]
        if torn:
            return f"half-written: {torn}"
    work.remove() if work.beside and work.name not in STAGES else None
    status, said = work.run()
    if status:
        return f"then exit {status}: {said[-500:]}"
    return "" if files(work.writes) == whole else "other bytes than undisturbed"


def _whole(name: str) -> bool:
    try:
        json.loads(Path(name).read_bytes())
    except ValueError:
        return False
    return True


@contextmanager
def disk() -> Iterator[None]:
    """A small study on a disk of its own in memory, as the working folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as at:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", at], check=True)
        try:
            shutil.copytree("pipeline", Path(at) / "pipeline")
            shutil.copy("dvc.yaml", at)
            os.chdir(at)
            write_data(Path("data"))
            Path("params.yaml").write_text(yaml.safe_dump(raw_of("data"), sort_keys=False))
            yield
        finally:
            os.chdir(before)
            subprocess.run(["umount", "--lazy", at], check=True)


def main() -> int:
    counts, wrong = Counter[str](), list[str]()
    with disk():
        for work in works():
            status, said = work.run()
            assert status == 0, f"{work.name} {work.arguments}: {said}"
            if work.name in OTHERS:
                work.remove()
        for work in works():
            if work.name in OTHERS:
                work.run()
            whole, size = files(work.writes), sum(map(len, files([*work.writes, *work.beside]).values()))
            roots = {Path(name).parts[0] for name in (*work.writes, *work.beside)}
            faults = {f"full but for {share:.0%}": (lambda s=share, n=size: full(s, n)) for share in SHARES}
            faults |= {f"{root} read-only": (lambda r=root: read_only(r)) for root in sorted(roots)}
            for name, fault in faults.items():
                came = tried(work, fault, whole)
                kind = f"{name}, {'a stage' if work.name in STAGES else work.name}"
                counts[f"{kind}: {'held' if not came else came if came == ENOUGH else 'WRONG'}"] += 1
                if came not in {"", ENOUGH}:
                    wrong.append(f"{work.name} {' '.join(work.arguments)}, {name}: {came}")
                    print(wrong[-1], flush=True)
            if work.name in OTHERS:
                work.remove()
    for kind, n in sorted(counts.items()):
        print(f"{n:4} {kind}")
    return int(bool(wrong))


if __name__ == "__main__":
    if os.environ.get("RINE_FAULTS") is None:
        os.environ["RINE_FAULTS"] = "apart"
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "benchmarks.faults"])
    sys.exit(main())
