"""Uploaded files to verdicts: processes apart decode some at once, one thread judges what waits together as a batch."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from rine import apart
from rine.apart import Limits
from rine.detector import Detector, Loaded, Verdict
from rine.detector.evidence import Explanation
from rine.detector.explain import explain
from rine.detector.inputs import provenance_of
from rine.detector.origin import digest_of
from rine.device import usable_cores
from rine.pixels.crops import CropRule
from rine.pixels.pictures import UnreadablePicture
from rine.provenance import Provenance
from rine.serve.settings import SHUTDOWN, ServeSettings

LARGE = 2  # decoded pictures, whole for their evidence, that are in memory at once


class QueueFull(Exception):
    """More pictures wait than may."""


@dataclass(frozen=True)
class _Job:
    file: IO[bytes]  # as it was uploaded, on disk where it is large
    name: str
    crops: CropRule
    ends: float  # when its request does, by the monotonic clock
    cells: int = 0  # of the map; 0: the verdict alone
    result: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True)
class _Whole:
    """A picture whose evidence is to be gathered: all its pixels, and what its file says."""

    pixels: np.ndarray
    sha256: str | None
    provenance: Provenance | None


_Decoded = tuple[_Job, Loaded | _Whole]


class Worker:
    """Judges uploaded files; use it as a context."""

    def __init__(self, detector: Detector, settings: ServeSettings) -> None:
        self.detector, self.settings = detector, settings
        self.waiting = self.served = 0
        # bounded: what is decoded waits in memory, what is not on disk
        self._decoded: queue.Queue[_Decoded | None] = queue.Queue(2 * detector.batch_size)
        self._large = threading.Semaphore(LARGE)
        self._lock = threading.Lock()
        self._decoders = ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)

    def __enter__(self) -> Worker:
        apart.start("rine.changes")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._decoders.shutdown(cancel_futures=True)
        self._decoded.put(None)
        self._thread.join(SHUTDOWN)  # nobody waits for its answer any more

    async def judge(self, files: list[tuple[str, IO[bytes]]], crops: CropRule) -> list[Verdict]:
        """Verdicts on open files, in their order; raises `QueueFull`, all of them or none are taken."""
        ends = time.monotonic() + self.settings.seconds
        return await self._submit([_Job(file, name, crops, ends) for name, file in files])

    async def explain(self, name: str, file: IO[bytes], crops: CropRule, cells: int) -> Explanation:
        """A verdict with its evidence; raises `QueueFull`, and `UnreadablePicture` where there is none."""
        ends = time.monotonic() + self.settings.seconds
        [found] = await self._submit([_Job(file, name, crops, ends, cells)])
        return found

    async def _submit(self, jobs: list[_Job]) -> list[Any]:
        with self._lock:
            if self.waiting + len(jobs) > self.settings.queue:
                most = self.settings.queue
                raise QueueFull(f"{self.waiting} pictures wait, and no more than {most} may; try again later")
            self.waiting += len(jobs)
        for job in jobs:
            self._decoders.submit(self._decode, job)
        # Cancelled with the request: a job whose client is gone is passed over
        return await asyncio.gather(*(asyncio.wrap_future(job.result) for job in jobs))

    def _decode(self, job: _Job) -> None:
        if job.cells:
            self._large.acquire()
        if job.result.cancelled():
            self._done(job)
            return
        # by the clock it may take what is left of its request: of a busy machine it has but a share
        limits: Limits = {"seconds": self.settings.picture_seconds, "wall": max(0.0, job.ends - time.monotonic())}
        try:
            if job.cells:
                pixels = self.detector.pixels(job.file, limits)
                job.file.seek(0)
                content = job.file.read()
                self._decoded.put((job, _Whole(pixels, digest_of(content), provenance_of(content, limits))))
            else:
                self._decoded.put((job, self.detector.read(job.file, job.crops, job.name, limits)))
        except Exception as error:  # of this picture, whatever it is
            self._answer(job, error)

    def _run(self) -> None:
        held: _Decoded | None = None  # taken from the queue and of another kind than the batch before it
        while (first := held or self._decoded.get()) is not None:
            job, picture = first
            batch, held, end = [first], None, False
            while not job.cells and len(batch) < self.detector.batch_size:
                try:
                    following = self._decoded.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    end = True
                    break
                if following[0].cells or following[0].crops != job.crops:
                    held = following
                    break
                batch.append(following)
            batch = self._wanted(batch)
            if batch and isinstance(picture, _Whole):
                self._explain(job, picture)
            elif batch:
                self._judge(batch)
            del first, picture, batch  # pixels, perhaps many
            if end:
                return

    def _wanted(self, batch: list[_Decoded]) -> list[_Decoded]:
        wanted = []
        for job, picture in batch:
            if job.result.set_running_or_notify_cancel():
                wanted.append((job, picture))
            else:
                self._done(job)
        return wanted

    def _judge(self, batch: list[_Decoded]) -> None:
        """An answer each: where the model fails on all together, it is tried on one after the other."""
        loaded = [picture for _, picture in batch if isinstance(picture, Loaded)]
        try:
            verdicts = self.detector.judge(loaded, batch[0][0].crops)
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    self._judge([one])
                return
            [(job, _)] = batch
            words = f"the model failed on it ({type(error).__name__})"
            verdicts = [Verdict(job.name, None, None, None, self.detector.name, job.crops, 0.0, words)]
        for (job, _), verdict in zip(batch, verdicts, strict=True):
            self._answer(job, verdict)

    def _explain(self, job: _Job, whole: _Whole) -> None:
        try:
            found = (whole.sha256, whole.provenance)
            self._answer(job, explain(self.detector, whole.pixels, job.crops, job.cells, job.name, *found))
        except Exception as error:
            words = f"the model failed on it ({type(error).__name__})"
            self._answer(job, UnreadablePicture(job.name, words))

    def _answer(self, job: _Job, answer: Any) -> None:
        if not job.result.running() and not job.result.set_running_or_notify_cancel():
            self._done(job)
            return
        if isinstance(answer, UnreadablePicture):
            job.result.set_exception(answer)
        elif isinstance(answer, Exception):
            words = f"it could not be read ({type(answer).__name__})"
            job.result.set_exception(UnreadablePicture(job.name, words))
        else:
            job.result.set_result(answer)
        self._done(job, served=1)

    def _done(self, job: _Job, served: int = 0) -> None:
        if job.cells:
            self._large.release()
        with self._lock:
            self.waiting -= 1
            self.served += served
