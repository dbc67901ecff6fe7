"""`rine init`: a study in a folder of its own, which runs the installed package and needs no clone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import typer

from rine.commands.options import plain_errors

VERSION_FILE = "rine.version"  # the code that every stage depends on, where there is no src/
IGNORED = ("/data", "/artifacts/", "/.rine/", "/report/", "/dvc_plots/", "__pycache__/")
_CODE = re.compile(r"^\s+- src/rine/\S+\n", re.MULTILINE)
_INSTALLED = Path(__file__).parents[1] / "study"  # as the wheel lays it out
_CLONE = Path(__file__).parents[3]


def init(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder, or one that `rine init` has made.")],
    profile: Annotated[
        Literal["own", "sample", "paper"],
        typer.Option(help="own: pictures of yours; sample: made pictures, no download; paper: the paper's study."),
    ] = "own",
) -> None:
    """Lay out a study: params.yaml, dvc.yaml, pipeline/, with git and DVC; then `dvc repro` works there.

    Its stages depend on the installed version of rine, in rine.version. In a folder of an earlier version this brings
    dvc.yaml and rine.version up to date and touches nothing else. Example: rine init study --profile sample
    """
    with plain_errors("init"):
        there = (folder / VERSION_FILE).is_file()
        if not there and folder.is_dir() and any(path.name != ".git" for path in folder.iterdir()):
            raise FileExistsError(f"{folder} holds something else already: name an empty or a new folder")
        lay_out(folder, profile, whole=not there)
    typer.echo(f"{folder}: a study of profile {profile}" if not there else f"{folder}: brought to this version of rine")
    pictures = {"own": "name your folders in params.yaml, put them under data/", "sample": "rine sample"}
    if not there:
        first = pictures.get(profile, "put the data sets under data/ (README)")
        typer.echo(f"next, in it: {first}; dvc repro; git add -A && git commit", err=True)


def lay_out(folder: Path, profile: str, whole: bool = True) -> None:
    """Write the files of a study, and with `whole` make git and DVC know the folder; raises `OSError`."""
    from rine import __version__

    at, config = (_INSTALLED, "dvc") if _INSTALLED.is_dir() else (_CLONE, ".dvc")
    folder.mkdir(parents=True, exist_ok=True)
    # before the graph: a graph without its file runs nothing
    (folder / VERSION_FILE).write_text(f"{__version__}\n")
    (folder / "dvc.yaml").write_text(graph((at / "dvc.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    if not whole:
        return
    name = "params.yaml" if profile == "sample" else f"pipeline/{profile}.yaml"
    shutil.copy(at / name, folder / "params.yaml")
    compiled = shutil.ignore_patterns("__pycache__")  # as pip does to all that it installs
    shutil.copytree(at / "pipeline", folder / "pipeline", ignore=compiled, dirs_exist_ok=True)
    shutil.copytree(at / config / "plots", folder / ".dvc" / "plots", dirs_exist_ok=True)
    shutil.copy(at / config / "config", folder / ".dvc" / "config")
    shutil.copy(at / ("dvcignore" if config == "dvc" else ".dvcignore"), folder / ".dvcignore")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".gitignore").write_text("\n".join(IGNORED) + "\n")
    if not (folder / ".git").exists():
        done = subprocess.run(["git", "init", "--quiet", str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"git init {folder}: {done.stderr.strip()}")


def graph(text: str) -> str:
    """`dvc.yaml` with the version in place of the modules of a clone: one dependency of every stage."""
    lines = _CODE.sub("", text)
    return re.sub(r"^(\s+)deps:\n", rf"\1deps:\n\1  - {VERSION_FILE}\n", lines, flags=re.MULTILINE)
