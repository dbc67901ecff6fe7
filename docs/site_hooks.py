"""Pages of the site that are made of something else: index.md of the README, cli.md of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the two pages. The README's links into docs/ are links between pages here."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    command = [sys.executable, "-m", "typer", "rine.cli", "utils", "docs", "--name", "rine", "--title", "Commands"]
    commands = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for name, content in (("index.md", readme), ("cli.md", commands)):
        files.append(File.generated(config, name, content=content))
    return files
