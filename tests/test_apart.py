"""A call in a process apart gives what it would give here; what crashes, hangs or swells is named, and lost alone."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hostile.kinds import good
from rine import apart
from rine.apart.budget import Budget, memory_there
from rine.caching.decode import Job, Source, decoded
from rine.caching.views import Recipe
from rine.pixels.pictures import UnreadablePicture, open_rgb
from test_views import AUGMENTATION


def test_answers_and_errors_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert apart.call(max, 3, 7) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        apart.call(int, "x")
    with pytest.raises(UnreadablePicture, match="empty"):
        apart.call(open_rgb, b"", 100)
    (tmp_path / "x.png").write_bytes(good())
    monkeypatch.chdir(tmp_path)
    assert apart.call(open_rgb, "x.png", 10**6).shape == (50, 70, 3)  # a relative path leads on from here


@pytest.mark.parametrize(
    ("function", "args", "reason"),
    [
        (os.abort, (), "crashed"),
        (os._exit, (0,), "crashed"),
        (bytearray, (2 << 30,), "more memory"),
        (time.sleep, (60,), "not read within 0.5 s"),
    ],
)
def test_a_call_that_gives_no_answer_is_lost_and_the_next_is_not(function: object, args: tuple, reason: str) -> None:
    with pytest.raises(apart.Lost, match=reason):
        apart.call(function, *args, wall=0.5 if function is time.sleep else None)  # type: ignore[arg-type]
    assert apart.call(len, "abc") == 3


def test_seconds_are_of_the_processor() -> None:
    start = time.monotonic()
    with pytest.raises(apart.Lost, match=r"within 0\.2 s"):
        apart.call(eval, "any(iter(int, 1))", seconds=0.2, wall=100)
    assert time.monotonic() - start < 90
    assert apart.call(time.sleep, 0.4, seconds=0.2, wall=100) is None  # waiting costs none


def test_many_threads_at_once_and_a_worker_killed_from_outside(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(good())

    def one(number: int) -> object:
        try:
            return apart.call(_killed if number == 5 else len, "ab")
        except apart.Lost as lost:
            return str(lost)

    made = dict(apart.ahead(one, range(30), 8))
    assert made == {number: apart.CRASHED if number == 5 else 2 for number in range(30)}


def _killed(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("archive", ["", "all.zip!"])
def test_a_picture_whose_decoder_is_killed_is_named_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: str
) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        for name in "abc":
            (tmp_path / name).write_bytes(good())
            file.writestr(name, good())
    from rine.caching import decode

    digest = hashlib.blake2b(good(), digest_size=16).hexdigest()
    jobs = [(name, Job(archive + name, digest, (("centre", "centre"),), (0,))) for name in "abc"]
    monkeypatch.setattr(decode, "decode_all", _dies_on_b)
    source = Source(tmp_path, Recipe("test", 32, AUGMENTATION), 10**6)
    made = {name: pixels for name, _, pixels in decoded(source, jobs, 2)}
    assert made["b"] == f"{archive}b: {apart.CRASHED}"
    for name in "ac":
        assert (made[name] == decode.decode(source, replace(jobs[0][1], path=name))).all()  # type: ignore[operator]


def _dies_on_b(source: Source, jobs: Sequence[Job]) -> object:
    from rine.caching import decode

    if any(job.path.endswith("b") for job in jobs):
        os.abort()
    return decode.decode_all(source, jobs)


def test_what_is_taken_together_stays_within_the_budget() -> None:
    budget, most, now, lock = Budget(100), [0], [0], threading.Lock()

    def use(n: int) -> None:
        assert budget.take(n, 20)
        with lock:
            now[0] += n
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= n
        budget.give(n)

    threads = [threading.Thread(target=use, args=(40,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 80
    assert budget.take(1000, 0)  # alone
    assert not budget.take(1, 0)
    assert memory_there() > 0


def test_the_processes_end_with_the_one_that_started_them() -> None:
    program = "import os; from rine import apart; print(apart.call(os.getpid), flush=True); os._exit(1)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.communicate()[0])
    until = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{worker}").exists()
