"""What is interrupted, or finds no room, says so in one line, leaves nothing half-written, and loses nothing."""

from __future__ import annotations

import csv
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import test_cache
import tiny_model
from rine.cli import app
from rine.features import Features, shards
from rine.report import write
from rine.report.section import Content, Figure, Report
from rine.sample import Sizes, make_sample
from rine.scores.publish import write_metrics

RINE = [sys.executable, "-m", "rine.cli"]


def figure(key: str, fails: bool = False) -> Figure:
    class Data(pd.DataFrame):
        @property
        def _constructor(self) -> type:  # what is made of it is of its kind
            return Data

        def to_csv(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
            raise OSError(28, "No space left on device")

    return Figure(key, "", "", lambda: None, Data() if fails else pd.DataFrame({"x": [1]}))  # type: ignore[arg-type]


def contents(*figures: Figure) -> Report:
    return {None: Content([], figures=list(figures))}  # type: ignore[dict-item]


def test_a_report_that_fails_leaves_the_plots_of_the_one_before(tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    write.write_plots(contents(figure("a"), figure("b")), {"a": b"1", "b": b"2"}, plots)
    (plots / "notes.txt").write_text("kept")
    with pytest.raises(OSError, match="No space"):
        write.write_plots(contents(figure("a"), figure("c", fails=True)), {"a": b"new", "c": b"3"}, plots)
    assert sorted(path.name for path in plots.iterdir()) == ["a.csv", "a.png", "b.csv", "b.png", "notes.txt"]
    assert (plots / "a.png").read_bytes() == b"1"
    write.write_plots(contents(figure("a")), {"a": b"new"}, plots)
    assert sorted(path.name for path in plots.iterdir()) == ["a.csv", "a.png", "notes.txt"]
    assert list(tmp_path.iterdir()) == [plots]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `rine prepare` takes a while: a few large pictures that take a second each."""
    folder = tmp_path_factory.mktemp("study")
    make_sample(
        folder / "data", Sizes(train=4, val=1, test=1, latent_train=4, latent_valid=2, synthbuster=1), workers=1
    )
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (2500, 2500, 3), dtype=np.uint8))
    for place in sorted((folder / "data").rglob("*.png"))[:6]:
        noise.save(place, compress_level=0)
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


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the system itself refuses to write more, as on a full disk."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def predict(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["predict", "--device", "cpu", *arguments])
    return done.exit_code, done.stderr


def verdicts(path: Path) -> list[list[str]]:
    """Rows of a CSV without seconds, and without numbers, whose last digit differs between batches of other sizes."""
    with path.open(newline="") as file:
        return [[row["path"], row["verdict"], row["model"], row["error"]] for row in csv.DictReader(file)]


@pytest.mark.parametrize("size", [0, 50, 400])
def test_a_disk_that_is_full_under_predict_is_one_line_and_resume_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.chdir(tmp_path)
    with tiny_model.model_in(tmp_path):
        tiny_model.write_pictures(tmp_path / "pictures", 6)
        assert predict("pictures", "--output", "whole.csv")[0] == 0
        with full_after(size):
            status, said = predict("pictures", "--output", "rows.csv")
        assert (status, len(said.splitlines())) == (2, 1)
        assert "File too large" in said
        assert (tmp_path / "rows.csv").stat().st_size == size
        assert predict("pictures", "--output", "rows.csv", "--resume")[0] == 0
        assert verdicts(tmp_path / "rows.csv") == verdicts(tmp_path / "whole.csv")


def test_a_disk_that_is_full_under_metrics_is_an_error_and_the_next_run_writes_them_whole(tmp_path: Path) -> None:
    values, path = {str(i): i for i in range(100)}, tmp_path / "metrics" / "grid.json"
    with full_after(100), pytest.raises(OSError, match="File too large"):
        write_metrics(values, path)
    write_metrics(values, path)
    write_metrics(values, tmp_path / "other.json")
    assert path.read_bytes() == (tmp_path / "other.json").read_bytes()


def test_a_place_that_cannot_be_written_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the stage's own, which would outlive it here
    monkeypatch.chdir(tmp_path)
    make_sample(Path("data"), Sizes(train=4, val=1, test=1, latent_train=4, latent_valid=2, synthbuster=1), workers=1)
    Path("params.yaml").write_text((Path(__file__).parents[1] / "params.yaml").read_text())
    for name in ("artifacts", "metrics"):
        Path(name).write_text("a file in the folder's place")  # rights do not bind root, this does
        done = CliRunner().invoke(app, ["prepare"])
        assert done.exit_code == 1
        assert re.fullmatch(rf"rine prepare: .*\b{name}\b.*", done.stderr.splitlines()[-1])
        assert "Traceback" not in done.stderr
        assert Path(name).read_text() == "a file in the folder's place"
        Path(name).unlink()
    assert CliRunner().invoke(app, ["prepare"]).exit_code == 0


root = test_cache.root


@pytest.mark.parametrize("where", ["store", "artifacts/features"])
@pytest.mark.parametrize("at", [0.01, 0.5, 0.999])
def test_the_cache_stage_makes_an_altered_shard_anew(root: Path, where: str, at: float) -> None:
    study, out = test_cache.parsed(root), root / "artifacts" / "features"
    test_cache.cache("tiny-test", study, root / "artifacts")
    before = test_cache.files(out)
    file = sorted((root / where).rglob(f"*{shards.SUFFIX}"))[1]
    altered, n_rows = bytearray(file.read_bytes()), len(shards.tokens_of(file))
    altered[int(at * len(altered))] ^= 1
    file.write_bytes(altered)  # in its place: the store and the feature set are one file
    with pytest.warns(UserWarning, match="altered; its rows are encoded anew"):
        line = test_cache.cache("tiny-test", study, root / "artifacts")
    assert f"encoded {n_rows}, reused {19 - n_rows}" in line
    assert test_cache.files(out) == before


def test_a_cut_table_of_a_feature_set_gives_no_other_rows_and_the_cache_stage_mends_it(root: Path) -> None:
    study, out = test_cache.parsed(root), root / "artifacts" / "features"
    test_cache.cache("tiny-test", study, root / "artifacts")
    before, table = test_cache.files(out), out / "tiny" / "test" / "rows.csv"
    whole = table.read_bytes()
    for size in (len(whole) // 2, 40):  # in a row, in the header
        table.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"."):
            Features.open(table.parent)
    assert "encoded 0, reused 19" in test_cache.cache("tiny-test", study, root / "artifacts")
    assert test_cache.files(out) == before
