"""A wheel in an environment of its own lays out a study that DVC takes, and judges without a clone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rine import __version__, params
from rine.cli import app
from rine.commands.init import VERSION_FILE, graph
from tiny_model import write_pictures

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment that has the wheel; what it depends on is this environment's."""
    pytest.importorskip("hatchling", reason="pip install -e .[test]")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    env = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    [site] = env.glob("lib/python*/site-packages")
    # a path alone: the links of editable packages, this one's too, are not followed
    (site / "deps.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    [wheel] = folder.glob("rine-*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(env / "bin/python"), "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    return env


def run(env: Path, *command: str, cwd: Path) -> str:
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "DVC_STAGE"}}
    clean |= {"PATH": f"{env / 'bin'}:{Path(sys.executable).parent}:{clean['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_makes_a_study_that_dvc_takes(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "python", "-c", "import rine; print(rine.__file__)", cwd=tmp_path)
    assert where.startswith(str(installed))
    run(installed, "rine", "init", "study", cwd=tmp_path)
    study = tmp_path / "study"
    assert (study / VERSION_FILE).read_text() == f"{__version__}\n"
    assert run(installed, "git", "check-ignore", "data", "artifacts/x", cwd=study).split() == ["data", "artifacts/x"]
    assert not [*(study / "pipeline").rglob("*.pyc")]
    for folder in ("first", "second", "third"):
        for kind in ("real", "fake"):
            write_pictures(study / "data" / folder / kind, 2)
    # its stages run what is installed
    assert "prepare: 12 pictures" in run(installed, "dvc", "repro", "prepare", cwd=study)
    stages = yaml.safe_load((study / "dvc.lock").read_text())["stages"]
    assert [dep["path"] for dep in stages["prepare"]["deps"]] == ["data", VERSION_FILE]


def test_a_study_depends_on_the_version_and_on_no_clone(tmp_path: Path) -> None:
    for stage in yaml.safe_load(graph((ROOT / "dvc.yaml").read_text()))["stages"].values():
        deps = stage.get("do", stage)["deps"]
        assert deps[0] == VERSION_FILE
        assert not [dep for dep in deps if dep.startswith("src/")]
    for profile in ("own", "sample", "paper"):
        folder = tmp_path / profile
        assert CliRunner().invoke(app, ["init", str(folder), "--profile", profile]).exit_code == 0
        assert params.read(folder / "params.yaml").profile == profile
    mine = tmp_path / "own" / "params.yaml"
    mine.write_text("mine")
    (tmp_path / "own" / VERSION_FILE).write_text("0.0.1\n")
    assert CliRunner().invoke(app, ["init", str(tmp_path / "own")]).exit_code == 0
    assert (mine.read_text(), (tmp_path / "own" / VERSION_FILE).read_text()) == ("mine", f"{__version__}\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    result = CliRunner().invoke(app, ["init", str(tmp_path / "other")])
    assert (result.exit_code, "holds something else" in result.output) == (2, True)
