"""`rine verify`: bytes where they are promised, metrics within a tolerance elsewhere, and which of the two it was."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rine import arithmetic
from rine.cli import app

ROOT = Path(__file__).parents[1]
METRICS = {"four_class": {"acc": 0.9, "ap": 0.95}, "pictures": 640}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed study on a machine whose packages are the locked ones."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    write(tmp_path / "metrics" / "report.json", METRICS)
    (tmp_path / "dvc.lock").write_text(lock(method="1"))
    (tmp_path / "requirements.lock").write_text("dvc==0.0.1\n")  # decides no bit
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "study"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arithmetic, "supported", lambda: True)
    return tmp_path


def write(path: Path, metrics: dict[str, object]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(metrics))


def lock(method: str) -> str:
    deps = [{"path": "pipeline/detectors", "md5": method}, {"path": "src/rine/detectors", "md5": "2"}]
    return json.dumps({"schema": "2.0", "stages": {"detect": {"deps": deps}}})


def verify() -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify"])
    return done.exit_code, done.output


def moved(by: float) -> dict[str, object]:
    return METRICS | {"four_class": {"acc": 0.9 + by, "ap": 0.95}}


@pytest.mark.usefixtures("study")
def test_same_bytes_are_said() -> None:
    assert verify() == (0, "verify: the same bytes as committed (2 files)\n")


def test_other_bytes_are_an_error_where_the_same_are_promised(study: Path) -> None:
    write(study / "metrics" / "report.json", moved(1e-9))
    code, words = verify()
    assert code == 1
    assert "other bytes" in words
    assert "metrics/report.json" in words


def test_what_moved_in_the_lock_is_named(study: Path) -> None:
    (study / "dvc.lock").write_text(lock(method="3"))
    code, words = verify()
    assert code == 1
    assert "dvc.lock (in dvc.lock: detect: pipeline/detectors)" in words


@pytest.mark.parametrize(("by", "code"), [(1e-9, 0), (0.019, 0), (0.021, 1)])
def test_elsewhere_metrics_are_compared_and_the_reason_is_said(
    study: Path, monkeypatch: pytest.MonkeyPatch, by: float, code: int
) -> None:
    monkeypatch.setattr(arithmetic, "supported", lambda: False)
    write(study / "metrics" / "report.json", moved(by))
    ended, words = verify()
    assert ended == code
    assert "not the bytes but 2 metrics were compared, since this is not Linux on an x86-64 processor" in words
    assert ("four_class.acc" in words) == bool(code)


def test_a_metric_that_is_gone_is_an_error(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "supported", lambda: False)
    write(study / "metrics" / "report.json", {"four_class": {"acc": 0.9}})
    assert verify()[0] == 1


def test_other_packages_promise_no_bytes(study: Path) -> None:
    (study / "requirements.lock").write_text("numpy==0.1\ntorch==0.1; python_version < '3'\n")
    code, words = verify()
    assert code == 0
    assert "numpy is" in words
    assert "torch" not in words


def test_a_study_that_is_changed_has_nothing_to_be_compared_with(study: Path) -> None:
    with (study / "params.yaml").open("a") as file:
        file.write("# a change\n")
    code, words = verify()
    assert code == 0
    assert "nothing to compare with" in words
    assert "params.yaml" in words
