"""What is interrupted, or has too little memory, says so in one line and leaves nothing half-written."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from rine.cli import app
from rine.commands import ending
from rine.sample import Sizes, make_sample
from rine.terminal import reason

RINE = [sys.executable, "-m", "rine.cli"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `rine prepare` takes a while: a few large pictures that take a second each."""
    folder = tmp_path_factory.mktemp("study")
    make_sample(
        folder / "data", Sizes(train=4, val=1, test=1, latent_train=4, latent_valid=2, synthbuster=1), workers=1
    )
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (2500, 2500, 3), dtype=np.uint8))
    noise.save(folder / "noise.png", compress_level=0)
    for place in sorted((folder / "data").rglob("*.png"))[:40]:
        place.unlink()
        place.hardlink_to(folder / "noise.png")
    (folder / "params.yaml").write_text((Path(__file__).parents[1] / "params.yaml").read_text())
    return folder


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stage_that_is_interrupted_says_one_line_and_leaves_nothing(study: Path, number: int, status: int) -> None:
    environment = os.environ | {"RINE_STORE": str(study / f"store-{status}")}
    with subprocess.Popen(
        [*RINE, "prepare"], cwd=study, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + 60
        while not (study / f"store-{status}").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)  # the first pictures have been looked at
        process.send_signal(number)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert said == ""
    assert "Traceback" not in errors
    assert "run it again to go on" in errors.splitlines()[-1]
    assert not (study / "artifacts").exists()
    assert not (study / "metrics").exists()


@pytest.mark.parametrize(("command", "status"), [(["prepare"], 1), (["predict", "data"], 2)])
def test_with_too_little_memory_there_is_an_error_and_no_hang(study: Path, command: list[str], status: int) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    done = subprocess.run(
        [*RINE, *command],
        cwd=study,
        env=os.environ | {"RINE_STORE": str(study / "small")},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status
    assert "`ulimit -v` allows 400 MB" in done.stderr
    assert not (study / "artifacts").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("command", "work"), [("predict", "predict._load"), ("data", "looked.look")])
def test_a_command_that_is_interrupted_says_one_line(
    monkeypatch: pytest.MonkeyPatch, command: str, work: str, number: int, status: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(f"rine.commands.{work}", lambda *_: signal.raise_signal(number))
    done = CliRunner().invoke(app, [command, "a.png"])
    assert done.exit_code == status
    assert re.fullmatch(rf"rine {command}: (interrupted|ended by SIGTERM)\n", done.stderr)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stage_that_is_interrupted_when_its_work_is_done_says_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> str:
        return "all of it"

    monkeypatch.setattr(ending, "note", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(typer.Exit) as ended:
        ending.timed(work)()
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "rine work: interrupted; what was finished is kept, run it again to go on\n"


def test_a_library_that_finds_no_memory_is_called_that() -> None:
    error = ImportError("libtorch_cpu.so: failed to map segment from shared object")
    assert reason(error) == "not enough memory"
