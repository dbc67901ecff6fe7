"""The site is built without a warning; the tutorial runs; what a forge runs is what is run here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_the_site_has_a_page_for_each_document_and_no_dead_link(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install -e .[docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.parent.name for path in (tmp_path / "site").glob("*/index.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} | {"cli"} <= pages
    assert "rine calibrate" in (tmp_path / "site/cli/index.html").read_text()
    assert "Detector" in (tmp_path / "site/api/index.html").read_text()


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install -e .[docs]")
    book = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    nbformat.validate(book)
    assert all(not cell.get("outputs") for cell in book.cells)  # outputs are each machine's own
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)  # in this process: importing PyTorch takes longer than all of it
    assert "average_precision" in capsys.readouterr().out


def test_a_forge_and_a_container_run_what_is_run_here() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in steps
    assert os.access(ROOT / ".ci/run", os.X_OK)
    made = (ROOT / "Dockerfile").read_text()
    assert "make repro" in made
    assert "make test" in made
