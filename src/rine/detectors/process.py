"""A detector in a process of its own: what it does to that process, a crash or a hang, is an answer and no more."""

from __future__ import annotations

import math
import multiprocessing
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rine.detectors.config import DetectorConfig
from rine.detectors.method import Answer, Answers, DetectorError, Shown
from rine.pixels.pictures import UnreadablePicture, open_rgb

if TYPE_CHECKING:
    from rine.pixels.crops import CropRule

# pictures (H, W, 3) uint8 of one batch, and how the study crops them, to a score each
Score = Callable[[list[np.ndarray], "CropRule"], Any]
Load = Callable[[DetectorConfig], Score]
_HUNG = "no answer"
_CHECKED = 2  # pictures of the first batch that are scored alone, too
_SAME = 1e-2  # relative difference between a picture's score alone and in a batch


class Process:
    """A detector that `load`, "package.module:function" of type `Load`, makes in a process of its own.

    Raises `DetectorError` where it cannot be started, or where a picture's score depends on the others of its batch.
    """

    def __init__(self, config: DetectorConfig, load: str, max_pixels: int) -> None:
        self.config, self._load, self._max_pixels = config, load, max_pixels
        self._process: BaseProcess | None = None
        self._checked = False
        self._start()

    def asks(self, view: str) -> bool:
        return True

    def score(self, pictures: Sequence[Shown]) -> Answers:
        answers = self._score(pictures)
        if not self._checked and len(answers.by_number) > 1:
            self._checked = True
            self._check_alone(pictures, answers)
        return answers

    def close(self) -> None:
        if self._process is None:
            return
        self._process.kill()  # before the connection, of whose end it would complain
        self._process.join()
        self._connection.close()
        self._process = None

    def _start(self) -> None:
        # spawn: a fork of a process with threads or a GPU may hang
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        arguments = (other, self._load, self.config, self._max_pixels)
        self._process = context.Process(target=_serve, args=arguments, name=self.config.target)
        self._process.start()
        other.close()
        problem = self._answer(self.config.start_seconds)
        if problem:
            self.close()
            raise DetectorError(f"it cannot be started: {problem}")

    def _score(self, pictures: Sequence[Shown]) -> Answers:
        if self._process is None:
            self._start()
        self._connection.send([(str(shown.file), shown.crops) for shown in pictures])
        answer = self._answer(self.config.seconds * len(pictures))
        if isinstance(answer, str):
            return Answers({}, answer, hung=answer.startswith(_HUNG))
        return Answers(dict(enumerate(answer)))

    def _answer(self, seconds: float) -> Any:
        """What the process says; a string that says why where it says nothing in time, or is no more."""
        assert self._process is not None
        try:
            if self._connection.poll(seconds):
                return self._connection.recv()
            self.close()
            return f"{_HUNG} in {seconds:g} s"
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode or 0
            self.close()
            return f"its process ended ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"

    def _check_alone(self, pictures: Sequence[Shown], answers: Answers) -> None:
        """Raise where a picture has another score alone: its scores are in another order, or hang on the batch."""
        found = answers.by_number.items()
        scored = [number for number, answer in found if isinstance(answer, float) and math.isfinite(answer)]
        for number in [*scored[:1], *scored[-1:]][:_CHECKED]:
            alone, together = self._score([pictures[number]]).by_number.get(0), answers.by_number[number]
            if isinstance(alone, float) and not math.isclose(alone, float(together), rel_tol=_SAME, abs_tol=_SAME / 10):
                raise DetectorError(
                    f"{pictures[number].path} has the score {together:g} in a batch of {len(pictures)} and {alone:g} "
                    "alone: its scores are in another order than the pictures, or depend on the batch (batch: 1 helps)"
                )


def _serve(connection: Connection, load: str, config: DetectorConfig, max_pixels: int) -> None:
    """The life of the process: load the detector, say so, answer batch after batch until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches it too; who started it ends it
    sys.path.insert(0, str(Path.cwd()))  # a study's own modules lie in its folder
    try:
        module, _, name = load.partition(":")
        score = getattr(import_module(module), name)(config)
    except Exception as error:  # whatever somebody else's code may raise
        connection.send(_words(error))
        return
    with suppress(EOFError, ConnectionError):  # nobody asks any more, or waits for the answer
        connection.send("")
        while True:
            connection.send(_answers(score, connection.recv(), max_pixels))


def _answers(score: Score, batch: list[tuple[str, CropRule]], max_pixels: int) -> list[Answer] | str:
    """An answer for each picture of a batch, or why there is none."""
    answers: list[Answer] = [""] * len(batch)
    pictures: dict[int, np.ndarray] = {}
    for number, (file, _) in enumerate(batch):
        try:
            pictures[number] = open_rgb(file, max_pixels)
        except UnreadablePicture as error:
            answers[number] = error.reason
    if not pictures:
        return answers
    try:
        given = np.asarray(score(list(pictures.values()), batch[0][1]), dtype=np.float64)
    except Exception as error:  # whatever somebody else's code may raise
        return _words(error)
    if given.shape != (len(pictures),):
        return f"it gave scores of shape {given.shape} for {len(pictures)} pictures; needed: a number each"
    for number, value in zip(pictures, given.tolist(), strict=True):
        answers[number] = value
    return answers


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
