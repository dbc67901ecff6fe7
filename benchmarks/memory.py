"""Memory and time of the stages that hold every picture's row, by the number of pictures, and its slope.

`python -m benchmarks.memory --pictures 20000 200000` makes so many pictures of 32 x 32 pixels in parquet, half of them
for training, and runs a study of them, each stage a process of its own, with a tower of two blocks and little to train.
`--times 2` runs each stage once more: then there is nothing to read or to encode. `--told` has `prepare` trust digests.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import psutil
import yaml
from PIL import Image

PER_FILE, PER_GROUP = 10_000, 1_000  # rows
N_GENERATORS = 7
TOWER = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
TOKENS = 2 * TOWER["layers"] * TOWER["width"]  # bytes of a view
VAL = 0.1
STAGES = {
    "prepare": ["prepare"],
    "cache, train": ["cache", "tiny", "train"],
    "cache, test": ["cache", "tiny", "test"],
    "cache, perturb": ["cache", "tiny", "perturb"],
    "cache, synthbuster": ["cache", "tiny", "synthbuster"],
    "grid": ["grid", "tiny", "all"],
    "select": ["select"],
    "epochs": ["epochs"],
    "dataset_size": ["dataset_size"],
    "ablate": ["ablate"],
    "best": ["best", "all"],
    "perturb": ["perturb"],
    "validate": ["validate"],
    "report": ["report"],
}
PART = {"cache, train": 0.5, "cache, test": 0.5, "cache, perturb": 0.5}  # of the study's pictures, that a stage's are
TRAINING = ("grid", "epochs", "dataset_size", "ablate", "best")
# bytes of tokens a picture that a stage has read into memory to train on
HELD = dict.fromkeys(TRAINING, TOKENS * (1 - VAL) / 2)
_EVERY = 0.02  # seconds between two looks at a process


@dataclass(frozen=True)
class Ran:
    """A stage's seconds, and megabytes at their largest: of its process, of that without files that are mapped (of
    libraries, of tokens), which the system drops where it needs the room, and of all its workers together."""

    seconds: float
    own: float
    anonymous: float
    workers: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--pictures", type=int, nargs=2, default=[20_000, 200_000], metavar="N")
    parser.add_argument("--folder", type=Path, help="where the data and artifacts are kept; by default nowhere")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=[*STAGES], metavar="STAGE")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--told", action="store_true", help="trust the digests of the table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        places = {n: (asked.folder or Path(temporary)) / str(n) for n in asked.pictures}
        few, many = (measured(folder, n, asked) for n, folder in places.items())
    show(asked.pictures, few, many)


def measured(folder: Path, n: int, asked: argparse.Namespace) -> dict[str, list[Ran]]:
    """Each stage of a study of n pictures that is asked for, as often."""
    if not (folder / "data").is_dir():
        make(folder / "data", n)
    (folder / "params.yaml").write_text(yaml.safe_dump(study(folder / "data", asked.told)))
    ran: dict[str, list[Ran]] = {name: [] for name in asked.stages}
    for _ in range(asked.times):
        for name in asked.stages:
            ran[name].append(run(STAGES[name], folder))
            print(f"{n} pictures, {name}: {ran[name][-1]}, load {os.getloadavg()[0]:.1f}", flush=True)
    return ran


def make(folder: Path, n: int) -> None:
    """Parquet files as Hugging Face's data sets have them, every other one of training pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, start in enumerate(range(0, n, PER_FILE)):
        cells, labels, models, digests = [], [], [], []
        for i in range(min(PER_FILE, n - start)):
            image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((32, 32))
            out = io.BytesIO()
            image.save(out, "JPEG", quality=90)
            cells.append({"bytes": out.getvalue(), "path": None})
            digests.append(hashlib.sha256(out.getvalue()).hexdigest())
            labels.append("fake" if i % 2 else "real")
            models.append(f"m{i % N_GENERATORS}" if i % 2 else "real")
        table = pa.table({"image": cells, "label": labels, "model": models, "sha256": digests})
        split = "test" if number % 2 else "train"
        pq.write_table(table, folder / f"{split}-{number:05d}.parquet", row_group_size=PER_GROUP)


def study(data: Path, told: bool = False) -> dict[str, object]:
    """The sample study's parameters on these pictures, with little to train."""
    raw = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text())
    label = {"column": "label", "real": ["real"]}
    train: dict[str, object] = {"parquet": ["train-*"], "label": label, "split": "train", "val_fraction": VAL}
    test: dict[str, object] = {"parquet": ["test-*"], "label": label, "generator": "model", "split": "test"}
    if told:
        train |= {"digest": {"column": "sha256", "kind": "sha256"}}
        test |= {"digest": {"column": "sha256", "kind": "sha256"}}
    raw["prepare"] = {"root": str(data.resolve()), "max_pixels": 10**8, "datasets": {"big": train, "open": test}}
    raw["encoders"] = {"tiny": {"name": "ViT-tiny", "model": TOWER, "pretrained": "random", "seed": 0}}
    raw |= {"encoder": "tiny", "settings": {"all": ["big"]}, "ldm": None}
    raw["perturb"] = {"mode": "paper", "kinds": ["compress"], "seed": 0, "degrade": None}
    raw |= {"epochs": {"epochs": [1]}, "dataset_size": {"fractions": [0.5]}}
    raw["augmentation"]["views"] = 1
    raw["grid"] |= {"epochs": 1, "xi": [0.1], "q": [1, 2], "proj_dim": [8]}
    raw["best"] = {"models": {"all": "train"}, "default": "all"}
    raw["runtime"] |= {"device": "cpu", "workers": "auto", "arithmetic": "fast"}
    return raw


def run(stage: list[str], folder: Path) -> Ran:
    """Run a stage in a process of its own, and look at it while it runs."""
    where = ["--params", "params.yaml", "--artifacts", "artifacts"]
    where += [] if stage[0] == "cache" else ["--metrics", "metrics"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", "from rine.cli import app; app()", *stage, *where],
        cwd=folder,
        env=os.environ | {"RINE_STORE": str((folder / "store").resolve())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    most = {"own": 0.0, "anonymous": 0.0, "workers": 0.0}
    watcher = threading.Thread(target=watch, args=(psutil.Process(process.pid), most))
    watcher.start()
    _, error = process.communicate()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(stage)} failed:\n{error.decode()[-2000:]}")
    return Ran(round(time.perf_counter() - start, 1), **{name: round(value, 1) for name, value in most.items()})


def watch(process: psutil.Process, most: dict[str, float]) -> None:
    """Note the largest memory (MB, shared pages in each) of a process and of its workers, until it ends."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            own, its = status(process.pid), process.cmdline()
            # what is forked to become another programme has our memory for a moment, and our command
            workers = sum(resident(each) for each in process.children(recursive=True) if each.cmdline() != its)
        except (psutil.Error, OSError):
            continue
        now = {"own": own.get("VmHWM", 0.0), "anonymous": own.get("RssAnon", 0.0), "workers": workers}
        most |= {name: max(most[name], value) for name, value in now.items()}
        time.sleep(_EVERY)


def status(pid: int) -> dict[str, float]:
    """What the system says of a process's memory (MB)."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 / 1e6 for words in lines if words[-1] == "kB"}


def resident(process: psutil.Process) -> float:
    return status(process.pid).get("VmRSS", 0.0)


def show(pictures: list[int], few: dict[str, list[Ran]], many: dict[str, list[Ran]]) -> None:
    """Print a table: of each stage and run the seconds and megabytes of either number; of anonymous ones the slope."""
    heads = ("s", "own MB", "anonymous MB", "workers MB", "B a picture", "beside tokens")
    print(f"\n{'stage, run':16}" + "".join(f"{head:>16}" for head in heads))
    for name in few:
        n = (pictures[1] - pictures[0]) * PART.get(name, 1)
        for number, (a, b) in enumerate(zip(few[name], many[name], strict=True), start=1):
            slope = (b.anonymous - a.anonymous) * 1e6 / n
            columns = [f"{x:.0f} -> {y:.0f}" for x, y in zip(astuple(a), astuple(b), strict=True)]
            columns += [f"{slope:.0f}", f"{slope - HELD.get(name, 0):.0f}"]
            print(f"{f'{name}, {number}':16}" + "".join(f"{column:>16}" for column in columns))


if __name__ == "__main__":
    main()
