"""SIGINT, SIGTERM and SIGKILL at random moments of every command that takes a while: `python -m benchmarks.signals`.

Each command runs once undisturbed, in a small study, and once for each signal. SIGINT goes to all of its processes, as
from a terminal, the others to the first alone. It has to end by that signal, of SIGINT and SIGTERM with one line, to
leave no process, and no file that the undisturbed run has not, but what SIGKILL cuts off. Stages and `sample` then run
again as it lies there, and have to end with the bytes of the undisturbed run. Prints what came of each. Exit status: 1
where one did not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks.faults import MODEL, STAGES, Work, files, lay_out, works
from small_study import write_pictures

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
MANY = ["--real=many/real", "--fake=many/fake"]
OTHERS = {
    "sample": ["out"],
    "data": ["many"],
    "predict": ["many", "--output=out/rows.csv", f"--model={MODEL}"],
    "explain": ["data/gan/real/0.png", "--output=out/why", f"--model={MODEL}"],
    "evaluate": [MODEL, *MANY, "--output=out"],
    "calibrate": [MODEL, *MANY, "--output=out/model.safetensors"],
    "export": ["--onnx", f"--model={MODEL}", "--output=out/model.onnx"],
    "serve": ["--no-browser", "--port=0", f"--model={MODEL}"],
}
ASIDE = {"store", "report", ".rine"}  # files by content; pages and notes that say how long something took
MARK = "STARTED_TO_BE_SIGNALLED"  # in the environment of all that a command starts
TRIES, PATIENCE = 8, 60.0  # seconds until a command has ended
HELD, NOT_MET = "held", "had not begun, or had ended"
_PROGRESS = re.compile(r"warning:|caution:|\S.*: \d+ of \d+, ")


def start(work: Work) -> subprocess.Popen[str]:
    # not `python -m rine.cli`: -m may end by the signal itself where an import runs strings, as PyTorch's does
    rine = [str(Path(sys.executable).with_name("rine")), work.name, *work.arguments]
    return subprocess.Popen(
        rine, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, MARK: "1"},
    )  # fmt: skip


def finished(work: Work) -> dict[str, bytes]:
    """Run it to its end; all that is there then and is compared."""
    process = start(work)
    _, errors = process.communicate()
    assert process.returncode == 0, f"{work.name} {work.arguments}: {errors}"
    return there()


def there() -> dict[str, bytes]:
    return files([path.name for path in Path().iterdir() if path.name not in ASIDE])


def signalled(work: Work, number: signal.Signals, seconds: float, whole: dict[str, bytes]) -> str:
    """What came of a signal so many seconds after the start."""
    work.remove()
    process = start(work)
    if work.name == "serve":
        assert process.stdout is not None
        process.stdout.readline()  # it serves
    else:
        time.sleep(seconds)
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return f"{PATIENCE:.0f} s later it still ran"
    lines = [line for line in errors.splitlines() if line and not _PROGRESS.match(line)]
    killed, told = number == signal.SIGKILL, re.search(r"interrupted|ended by SIGTERM", errors)
    if process.returncode == 0 or (process.returncode == -number and not killed and not told):  # Python began or ended
        return NOT_MET
    if process.returncode != STATUS[number] or "Traceback" in errors or (len(lines) != 1 and not killed):
        return f"exit {process.returncode}: {errors[-500:]}"
    if left := _processes():
        return f"left processes {left}"
    if torn := [] if killed else [name for name, content in there().items() if not _known(name, content, whole)]:
        return f"left {torn}"
    if work.name in {*STAGES, "sample"} and (
        differ := [name for name, of in finished(work).items() if of != whole.get(name)]
    ):
        return f"ran again, other bytes: {differ}"
    return HELD


def _known(name: str, content: bytes, whole: dict[str, bytes]) -> bool:
    """Whether a file is whole, or, of what `predict` writes row by row, its beginning, or says that `sample` is not."""
    begun = (name == "out/rows.csv" and whole[name].startswith(content)) or name == "out/sample.json"
    return begun or content == whole.get(name)


def _processes() -> list[str]:
    """What a command started and has not ended ten seconds later."""
    for _ in range(100):
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # not ours, or gone
                if MARK.encode() in (process / "environ").read_bytes():
                    left.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        if not left:
            break
        time.sleep(0.1)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a command's name")
    given = parser.parse_args()
    rng, counts, wrong = random.Random(given.seed), Counter[str](), 0
    for work in works(OTHERS):
        began = time.monotonic()
        whole = finished(work) if work.name != "serve" else there()
        seconds = time.monotonic() - began
        for number in STATUS if given.only in {None, work.name} else ():
            for _ in range(TRIES):
                moment = rng.uniform(0.2, 0.85) * seconds
                came = signalled(work, number, moment, whole)
                if came != NOT_MET:
                    break
            counts[f"{number.name}: {came if came in {HELD, NOT_MET} else 'WRONG'}"] += 1
            wrong += came not in {HELD, NOT_MET}
            said = f"{number.name} at {moment:.1f} of {seconds:.1f} s: {came}"
            print(" ".join([work.name, *work.arguments]), said, sep=", ", flush=True)
        if work.name in OTHERS:
            work.remove()
        elif given.only in {None, work.name}:
            finished(work)  # what follows wants it
    print(*(f"{n:4} {kind}" for kind, n in sorted(counts.items())), sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    os.environ["RINE_STORE"] = "store"
    root = Path.cwd()
    os.environ["PYTHONPATH"] = str(root / "src")
    with tempfile.TemporaryDirectory() as at:
        lay_out(Path(at))
        os.chdir(at)
        for label, kind in enumerate(("real", "fake")):
            write_pictures(Path("many") / kind, 90, 10_000 * (label + 1), dark=bool(label))
        status = main()
        os.chdir(root)
    sys.exit(status)
