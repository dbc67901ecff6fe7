"""A detector that is a command: paths on its standard input, a line each; `path,score` lines on its standard output."""

from __future__ import annotations

import csv
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from rine.detectors.config import DetectorConfig
from rine.detectors.method import Answer, Answers, DetectorError, Shown

_SHOWN = 200  # letters of what the command wrote on its standard error


class Command:
    """A command that is run once for every batch, in the folder of the study; in any language and environment."""

    def __init__(self, config: DetectorConfig) -> None:
        self.config, self._words = config, shlex.split(config.target)

    def asks(self, view: str) -> bool:
        return True

    def score(self, pictures: Sequence[Shown]) -> Answers:
        seconds = self.config.start_seconds + self.config.seconds * len(pictures)
        files = [str(shown.file.absolute()) for shown in pictures]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            # a session of its own, so that what it starts ends with it
            try:
                run = subprocess.Popen(
                    self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
                    encoding="utf-8", errors="replace", start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise DetectorError(f"it cannot be started: {self._words[0]}: {error.strerror or error}") from error
            failure, hung = "", False
            try:
                output, _ = run.communicate("".join(f"{file}\n" for file in files), timeout=seconds)
            except subprocess.TimeoutExpired:
                _end(run)
                output, _ = run.communicate()
                failure, hung = f"no answer in {seconds:g} s", True
            except BaseException:
                _end(run)
                raise
            said.seek(0)
            last = said.read().strip().splitlines()[-1:]
        if run.returncode and not failure:
            code = run.returncode
            failure = f"it ended with {signal.Signals(-code).name if code < 0 else f'exit status {code}'}"
        failure += f" ({last[0][:_SHOWN]})" if failure and last else ""
        answers, problem = _read(output or "", files)
        return Answers(answers, failure or problem or "it gave no score for it", hung)

    def close(self) -> None:
        pass


def _end(run: subprocess.Popen[str]) -> None:
    """End it with all that it started; it may have ended by itself since."""
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def _read(output: str, files: Sequence[str]) -> tuple[dict[int, Answer], str]:
    """Scores by the number of the file, in whatever order they came; and the first line that is no answer."""
    numbers = {file: number for number, file in enumerate(files)}
    answers: dict[int, Answer] = {}
    problem = ""
    for line, row in enumerate(csv.reader(output.splitlines()), start=1):
        if not row or (line == 1 and row[0].strip().lower() == "path"):
            continue
        number = numbers.get(row[0])
        if number is None or len(row) != 2:
            problem = problem or f"line {line} of its output, {','.join(row)[:_SHOWN]!r}, is no path that it was given"
        elif number in answers:
            answers[number] = "it gave two scores for it"
        else:
            try:
                answers[number] = float(row[1])
            except ValueError:
                answers[number] = f"its score is {row[1][:_SHOWN]!r}, no number"
    return answers, problem
