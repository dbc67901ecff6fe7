"""One thread that judges, fed by a queue: the model is used by one at a time, and pictures that wait go as a batch."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import IO, Any

from rine.detector import Detector, Verdict
from rine.detector.explain import Explanation, explain
from rine.pixels.crops import CropRule


class QueueFull(Exception):
    """More pictures wait than may."""


@dataclass(frozen=True)
class _Job:
    file: IO[bytes]  # as it was uploaded, on disk where it is large; decoded one at a time
    name: str
    crops: CropRule
    cells: int = 0  # of the map; 0: the verdict alone
    result: Future[Any] = field(default_factory=Future)


class Worker:
    """Judges uploaded files in the order in which they came; `start` and `stop` it, or use it as a context."""

    def __init__(self, detector: Detector, most: int) -> None:
        self.detector, self.most = detector, most
        self.waiting = self.served = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.put(None)
        self._thread.join()

    async def judge(self, files: list[tuple[str, IO[bytes]]], crops: CropRule) -> list[Verdict]:
        """Verdicts on open files, in their order; raises `QueueFull`, all of them or none are taken."""
        return await self._submit([_Job(file, name, crops) for name, file in files])

    async def explain(self, name: str, file: IO[bytes], crops: CropRule, cells: int) -> Explanation:
        """A verdict with its evidence; raises `QueueFull`, and `UnreadablePicture` where there are no pixels."""
        [found] = await self._submit([_Job(file, name, crops, cells)])
        return found

    async def _submit(self, jobs: list[_Job]) -> list[Any]:
        with self._lock:
            if self.waiting + len(jobs) > self.most:
                raise QueueFull(f"{self.waiting} pictures wait, and no more than {self.most} may; try again later")
            self.waiting += len(jobs)
        for job in jobs:
            self._jobs.put(job)
        # Cancelled with the request: a job whose client is gone is passed over
        return await asyncio.gather(*(asyncio.wrap_future(job.result) for job in jobs))

    def _run(self) -> None:
        held: _Job | None = None  # taken from the queue and of another kind than the batch before it
        while (job := held or self._jobs.get()) is not None:
            batch, held, end = [job], None, False
            while not job.cells and len(batch) < self.detector.batch_size:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    end = True
                    break
                if following.cells or following.crops != job.crops:
                    held = following
                    break
                batch.append(following)
            self._finish([job for job in batch if job.result.set_running_or_notify_cancel()], len(batch))
            if end:
                return

    def _finish(self, batch: list[_Job], taken: int) -> None:
        work: Callable[[list[_Job]], list[Any]] = self._explain if batch and batch[0].cells else self._judge
        try:
            results = work(batch) if batch else []
        except Exception as error:  # an answer each, and the thread lives on
            for job in batch:
                job.result.set_exception(error)
        else:
            for job, result in zip(batch, results, strict=True):
                job.result.set_result(result)
        with self._lock:
            self.waiting -= taken
            self.served += len(batch)

    def _judge(self, batch: list[_Job]) -> list[Verdict]:
        loaded = [self.detector.read(job.file, job.crops, name=job.name) for job in batch]
        return self.detector.judge(loaded, batch[0].crops)

    def _explain(self, batch: list[_Job]) -> list[Explanation]:
        return [explain(self.detector, job.file, job.crops, job.cells, name=job.name) for job in batch]
