"""The command line: help that a stranger understands, errors in one line, one line at the end of a stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rine
from rine import progress
from rine.cli import app

ROOT = Path(__file__).parents[1]
COMMANDS = [command.name for command in app.registered_commands]


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_with_an_example(command):
    said = run(command, "--help")
    assert said.exit_code == 0
    assert f"Example: rine {command}" in " ".join(said.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cache", "tiny_28", "val"], "no feature set 'val' in this study; choose from 'train', 'test'"),
        (["cache", "vit", "train"], "no encoder 'vit' in this study; choose from 'tiny_28', 'tiny_32'"),
        (["grid", "tiny_28", "five_class"], "no setting 'five_class' in this study; choose from"),
        (["best", "five_class"], "no model 'five_class' in this study; choose from"),
        (["prepare", "--params", "nowhere.yaml"], "nowhere.yaml: no such params file"),
    ],
)
def test_a_slip_is_one_line_without_a_trace(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = [] if "--params" in words else ["--params", ROOT / "params.yaml"]
    ended = run(*words, *params)
    assert ended.exit_code == 1
    assert said in ended.output
    assert "Traceback" not in ended.output


def test_what_is_missing_is_named_with_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run("epochs", "--params", ROOT / "params.yaml")
    assert ended.exit_code == 1
    assert "`rine select` makes it" in ended.output


def test_a_stage_ends_with_a_line_and_its_time_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run("select", "--scores", ROOT / "pipeline" / "published" / "scores.csv")
    assert ended.exit_code == 0
    assert ended.output.splitlines()[-1].startswith("select: rules compared on")
    assert list(json.loads((tmp_path / ".rine" / "timings.json").read_text())) == ["select"]


def test_a_sample_is_not_made_where_something_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "data" / "mine.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    ended = run("sample")
    assert ended.exit_code == 1
    assert [path.name for path in mine.parent.iterdir()] == ["mine.jpg"]
    assert mine.read_bytes() == b"mine"


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 10.5, 11.0, 21.0, 22.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress(8, "picture", "cache") as bar:
        bar.advance(0)  # nothing is done yet: how long it will take is not known
        for _ in range(4):
            bar.advance(2, note="waiting")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "cache: 0 of 8",
        "cache: 4 of 8, 0.2 picture/s, 21 s left, waiting",
        "cache: 8 of 8, 0.2 picture/s, 0 s left, waiting",
    ]


def test_arithmetic_is_set_before_anything_heavy_is_imported():
    """What params.yaml says of arithmetic has to be set before NumPy or PyTorch is imported; PyTorch not even then."""
    code = f"""
import sys
import rine.cli
from rine import arithmetic, running
use = arithmetic.use
def heavy(*names):
    return set(names) & set(sys.modules)
arithmetic.use = lambda mode: (heavy("numpy", "torch", "pandas", "scipy") and sys.exit("too late")) or use(mode)
running.read_study({str(ROOT / "pipeline" / "paper.yaml")!r})
sys.exit(heavy("torch", "open_clip") or 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})


def test_version():
    said = run("--version")
    assert (said.exit_code, said.stdout) == (0, f"rine {rine.__version__}\n")
