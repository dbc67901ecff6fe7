"""SIGINT and SIGTERM at random moments of every command that takes a while: `python -m benchmarks.signals`.

Each runs once undisturbed, in a small study, and then once for each signal. It has to end with 130 or 143 and one line,
leave no process, and no file other than those of the undisturbed run: of what `predict` writes row by row, its
beginning. Prints what came of each. Exit status: 1 where one did not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

sys.path.insert(0, "tests")  # as pytest has it
from graph import STAGES, items
from rine import params
from small_study import raw_of, write_data

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
MODEL = "artifacts/best/shapes/model.safetensors"
FRESH = {"sample": "made", "prepare": "store", "cache": "store"}  # removed before a run, which would find its work done
OTHERS = {
    "sample": ["made"],
    "data": ["many"],
    "predict": ["many", "--output=out/rows.csv", f"--model={MODEL}"],
    "explain": ["data/gan/real/0.png", "--output=out/why", f"--model={MODEL}"],
    "evaluate": [MODEL, "--real=many", "--fake=data/gan/fake", "--output=out"],
    "calibrate": [MODEL, "--real=many", "--fake=data/gan/fake", "--output=out/model.safetensors"],
    "export": ["--onnx", f"--model={MODEL}", "--output=out/model.onnx"],
    "serve": ["--no-browser", "--port=0", f"--model={MODEL}"],
}
TRIES = 4  # to meet a command before it ends


def commands() -> Iterator[list[str]]:
    study = params.read("params.yaml")
    for stage in STAGES:
        for item in items(stage, study):
            if stage != "detect":  # the study has no other detectors
                yield [stage, *item.arguments]
    yield from ([name, *arguments] for name, arguments in OTHERS.items())


def files() -> dict[str, bytes]:
    """All that the commands write but the store, pictures, and pages and notes that say how long something took."""
    names = [path for path in Path().rglob("*") if path.is_file()]
    aside = {"store", "data", "many", "made", "report", ".rine"}
    return {str(path): path.read_bytes() for path in names if path.parts[0] not in aside}


def cleared(name: str) -> None:
    for folder in ("out", FRESH.get(name, "out")):
        shutil.rmtree(folder, ignore_errors=True)
    Path("out").mkdir()


def start(command: list[str]) -> subprocess.Popen[str]:
    rine = [sys.executable, "-m", "rine.cli", *command]
    return subprocess.Popen(rine, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def signalled(command: list[str], number: signal.Signals, seconds: float, whole: dict[str, bytes]) -> str:
    """What came of a signal so many seconds after the start; "" where all held."""
    cleared(command[0])
    process = start(command)
    if command[0] == "serve":
        assert process.stdout is not None
        process.stdout.readline()  # it serves
    else:
        time.sleep(seconds)
    process.send_signal(number)
    try:
        said, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return "a minute later it still ran"
    lines = [line for line in errors.splitlines() if not line.startswith(("warning:", "caution:"))]
    if process.returncode == 0 or (said and process.returncode == -number):  # it had only to go
        return "ended before"
    if process.returncode != STATUS[number] or len(lines) != 1:
        return f"exit {process.returncode}: {errors[-500:]}"
    torn = [name for name, content in files().items() if not _held(name, content, whole)]
    if torn or Path("made").exists():
        return f"left {torn or 'made'}"
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return ""
    return "left a process"


def _held(name: str, content: bytes, whole: dict[str, bytes]) -> bool:
    return content == whole.get(name) or (name == "out/rows.csv" and whole[name].startswith(content))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    rng, counts, wrong = random.Random(parser.parse_args().seed), Counter[str](), 0
    for command in commands():
        cleared(command[0])
        began = time.monotonic()
        if command[0] != "serve":
            process = start(command)
            _, errors = process.communicate()
            assert process.returncode == 0, f"{command}: {errors}"
        seconds, whole = time.monotonic() - began, files()
        for number in STATUS:
            for _ in range(TRIES):
                seconds_in = rng.uniform(0.3, 0.85) * seconds
                came = signalled(command, number, seconds_in, whole)
                if came != "ended before":
                    break
                seconds *= 0.8
            counts[f"{number.name}: {came or 'held'}"] += 1
            wrong += came not in {"", "ended before"}
            print(
                " ".join(command), number.name, f"at {seconds_in:.1f} of {seconds:.1f} s: {came or 'held'}", flush=True
            )
        if FRESH.get(command[0]) == "store":
            start(command).communicate()  # those that follow want it
    print(*(f"{n:4} {kind}" for kind, n in sorted(counts.items())), sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    os.environ["RINE_STORE"] = "store"
    root = Path.cwd()
    os.environ["PYTHONPATH"] = str(root / "src")
    with tempfile.TemporaryDirectory() as at:
        shutil.copytree("pipeline", Path(at) / "pipeline")
        shutil.copy("dvc.yaml", at)
        os.chdir(at)
        write_data(Path("data"))
        Path("many").mkdir()
        for i in range(60):
            for picture in Path("data/gan/real").iterdir():
                shutil.copy(picture, f"many/{i}-{picture.name}")
        Path("params.yaml").write_text(yaml.safe_dump(raw_of("data"), sort_keys=False))
        status = main()
        os.chdir(root)
    sys.exit(status)
