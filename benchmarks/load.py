"""A server under many clients, some of them hostile: `python -m benchmarks.load`.

`rine serve` with a tiny model runs in a process of its own on 127.0.0.1; each client sends one request at a time. Of
the hostile ones a third each is a picture that cannot be read (tests/hostile), such a one before a good one, and no
form at all. Prints how many were answered, lost (no answer, or "try again") and wrong (a good picture's row is not what
it got alone; what cannot be read got a verdict, or an error of the server's). Exit status: 1 where there is one.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
from PIL import Image
from tests import tiny_model
from tests.hostile.kinds import kinds

MAX_PIXELS = 1_000_000  # what the table is for
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b"--x\r\nContent-Disposition: form-data; name=files; "
NO_FORM: list[dict[str, Any]] = [  # each a 4xx
    {"content": b"x"},
    {"content": PART + b"filename*=UTF-8''%ff%fe.png\r\n\r\n\xff\r\n--x--\r\n", "headers": FORM},
    {"content": (PART + b"\r\n\r\n1\r\n") * 1001 + b"--x--\r\n", "headers": FORM},
    {"content": b"x", "headers": FORM, "params": [("crops", "ten"), ("crops", "centre")]},
]
Row = tuple[str, float] | None  # verdict and logit; None: an error
Asked = tuple[dict[str, Any], list[Row]]  # a request and its rows; no rows: it is to be refused as a whole


def outcome(answer: httpx.Response, rows: list[Row]) -> str:
    """Whether an answer is one, and the right one."""
    if answer.status_code in {408, 429, 503}:
        return "lost"
    if not rows:
        return "answered" if 400 <= answer.status_code < 500 else "wrong"
    if answer.status_code != (200 if any(rows) else 422):
        return "wrong"
    return "answered" if all(same(*pair) for pair in zip(answer.json()["results"], rows, strict=True)) else "wrong"


def same(found: Mapping[str, Any], row: Row) -> bool:
    if row is None or found["error"]:
        return row is None and bool(found["error"]) and found["verdict"] is None
    return found["verdict"] == row[0] and math.isclose(found["logit"], row[1], rel_tol=1e-4, abs_tol=1e-4)


def good(seed: int) -> bytes:
    file, (height, width) = BytesIO(), random.Random(seed).choices(range(40, 400), k=2)
    Image.fromarray(tiny_model.picture(seed, height, width)).save(file, ("PNG", "JPEG", "WEBP")[seed % 3])
    return file.getvalue()


def form(*pictures: bytes) -> dict[str, Any]:
    return {"files": [("files", (str(i), picture)) for i, picture in enumerate(pictures)]}


def requests(alone: Mapping[bytes, Row], n: int, hostile: int, rng: random.Random) -> list[Asked]:
    expected = dict(line.split(",", 1) for line in Path("tests/hostile/expected.csv").read_text().splitlines())
    bad = [picture for name, picture in kinds().items() if expected[name] not in {"read", "either"}]
    known = list(alone)
    made: list[Asked] = [(form(one), [alone[one]]) for one in rng.choices(known, k=n - hostile)]
    for i in range(hostile):
        one, beside = rng.choice(bad), rng.choice(known)
        kind: list[Asked] = [(form(one), [None]), (form(one, beside), [None, alone[beside]])]
        made.append([*kind, (NO_FORM[i // 3 % len(NO_FORM)], [])][i % 3])
    rng.shuffle(made)
    return made


@contextmanager
def served(memory: Counter[str]) -> Iterator[str]:
    """The server's address; `memory` gets the most bytes that its processes took, looked at five times a second."""
    ends = threading.Event()

    def watch(server: psutil.Process) -> None:
        while not ends.wait(0.2):
            with suppress(psutil.Error):  # a process that has just ended
                others = [process.memory_info().rss for process in server.children(recursive=True)]
                sizes = {"server": (own := server.memory_info().rss), "one that decodes": max(others, default=0)}
                for who, size in (sizes | {"all": own + sum(others)}).items():
                    memory[who] = max(memory[who], size)

    command = [sys.executable, "-m", "rine.cli", "serve", "--port=0", "--no-browser", f"--pixels={MAX_PIXELS}"]
    with tempfile.TemporaryDirectory() as folder:
        command.append(f"--model={tiny_model.store(Path(folder) / 'model.safetensors')}")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        url = process.stdout.readline().partition(" at ")[2].partition(" ")[0]
        thread = threading.Thread(target=watch, args=(psutil.Process(process.pid),))
        thread.start()
        try:
            yield url
        finally:
            ends.set()
            thread.join()
            process.send_signal(signal.SIGINT)
            process.wait(60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, number in (("clients", 50), ("requests", 5000), ("hostile", 500), ("minutes", 12), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number)
    given = parser.parse_args()
    memory, seconds = Counter[str](), list[float]()
    with served(memory) as url, httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        rows = {one: client.post("/predict", **form(one)).json()["results"][0] for one in map(good, range(100))}
        alone: dict[bytes, Row] = {one: (row["verdict"], row["logit"]) for one, row in rows.items()}
        made, began = requests(alone, given.requests, given.hostile, random.Random(given.seed)), time.monotonic()

        def ask(asked: Asked) -> str:
            start = time.monotonic()
            if start > began + 60 * given.minutes:
                return "lost"
            try:
                return outcome(client.post("/predict", **asked[0]), asked[1])
            except httpx.HTTPError:
                return "lost"
            finally:
                seconds.append(time.monotonic() - start)

        with ThreadPoolExecutor(given.clients) as pool:
            counts = Counter(pool.map(ask, made))
        took = f"{time.monotonic() - began:.0f} s, slowest answer {max(seconds, default=0):.1f} s"
    print(f"{given.clients} clients, {given.requests:,} requests, {given.hostile} of them hostile: {took}")
    print(f"answered {counts['answered']:,}, lost {counts['lost']}, wrong {counts['wrong']}")
    print("memory at most: " + ", ".join(f"{who} {size / 1e6:.0f} MB" for who, size in memory.items()))
    return int(counts["answered"] != given.requests)


if __name__ == "__main__":
    sys.exit(main())
