"""What finds no room, or a place that it cannot write to, says so in one line and goes on when it can."""

from __future__ import annotations

import csv
import re
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import tiny_model
from rine.cli import app
from rine.dataset.fact_store import FactStore
from rine.report import write
from rine.report.section import Content, Figure, Report
from rine.sample import Sizes, make_sample
from rine.scores.publish import write_metrics


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


def test_a_disk_that_is_full_under_remembered_facts_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    store = FactStore.__new__(FactStore)
    with full_after(100), pytest.raises(OSError, match=r"facts\.sqlite: "):
        store.__init__(tmp_path, max_pixels=1)  # type: ignore[misc]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):  # not whenever its memory is collected
        store._db.execute("SELECT 1")
    FactStore(tmp_path, max_pixels=1).close()


def test_a_disk_that_is_full_under_metrics_is_an_error_and_the_next_run_writes_them_whole(tmp_path: Path) -> None:
    values, path = {str(i): i for i in range(100)}, tmp_path / "metrics" / "grid.json"
    path.parent.mkdir()
    path.write_text("those before")
    with full_after(100), pytest.raises(OSError, match="File too large"):
        write_metrics(values, path)
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("grid.json", "those before")]
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
