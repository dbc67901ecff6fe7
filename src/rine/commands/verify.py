"""`rine verify`: whether a study came out as it is committed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from rine import arithmetic
from rine.commands.options import plain_errors
from rine.params import read
from rine.terminal import message

RESULTS = ("data.dvc", "dvc.lock", "metrics", "plots")
INPUTS = ("params.yaml", "dvc.yaml", "pipeline", "src")
# whose versions decide bits: of numbers, pixels, or the files that hold them
DECISIVE = ("matplotlib", "numpy", "open_clip_torch", "pandas", "pillow", "scikit-learn", "scipy", "torch")
TOLERANCE = 0.02  # of a mean over test sets; what it is measured by stands in docs/reproducibility.md
TOLERANCE_OF_A_SET = 0.2  # of a figure of one test set, of 16 pictures of each class
MEANS = ("report.json", "select.json")


def verify(
    params: Annotated[Path, typer.Option("--params", help="The study in force.")] = Path("params.yaml"),
    lock: Annotated[Path, typer.Option(help="The versions that the committed study was made with.")] = Path(
        "requirements.lock"
    ),
) -> None:
    """Compare a study's results with those that git has: byte for byte where that is promised, else each metric.

    Same bytes are promised for portable arithmetic and the locked packages on Linux with an x86-64 processor that has
    AVX2. Elsewhere metrics must agree within a tolerance. Exit status: 1 where they do not, 2 where it
    could not be found out. A study that is not as committed has nothing to be compared with, and ends with 0.

    Example: rine verify
    """
    with plain_errors("verify"):
        if changed := _changed(*INPUTS):
            typer.echo(
                f"verify: nothing to compare with, since the study itself is not as committed: {_listed(changed)}"
            )
            return
        reasons = list(why_not_bytes(read(params).runtime.arithmetic, lock))
        same = _same_metrics(reasons) if reasons else _same_bytes()
    if not same:
        raise typer.Exit(1)


def _same_bytes() -> bool:
    changed = _changed(*RESULTS)
    if not changed:
        typer.echo(f"verify: the same bytes as committed ({len(_git('ls-files', *RESULTS).split())} files)")
        return True
    moved = f" (in dvc.lock: {_listed(list(_moved()))})" if "dvc.lock" in changed else ""
    typer.secho(
        f"verify: other bytes than those committed, which this machine should have given: {_listed(changed)}{moved}\n"
        "docs/reproducibility.md says what to do. To go on from what was made here, commit dvc.lock, metrics, plots. "
        "Back to what was committed: `git checkout dvc.lock metrics plots && dvc repro`; `dvc checkout` instead would "
        "delete models and results that DVC's cache has not as committed",
        fg="red",
        err=True,
    )
    return False


def _moved() -> Iterator[str]:
    """Stages and paths whose entry in dvc.lock is not the committed one: a dependency that differs comes first."""
    committed, here = (
        (yaml.safe_load(text) or {}).get("stages", {})
        for text in (_git("show", "HEAD:dvc.lock"), Path("dvc.lock").read_text(encoding="utf-8"))
    )
    for part, (stage, entry) in product(("deps", "outs"), here.items()):
        known = {each["path"]: each for each in committed.get(stage, {}).get(part, [])}
        yield from (f"{stage}: {each['path']}" for each in entry.get(part, []) if each != known.get(each["path"]))


def _same_metrics(reasons: list[str]) -> bool:
    """Compare every metric with the committed one; returns whether all agree, and says what was done and why."""
    n, apart = 0, []
    for path in sorted(_git("ls-files", "metrics").split()):
        committed = dict(_numbers(json.loads(_git("show", f"HEAD:{path}"))))
        here = dict(_numbers(json.loads(Path(path).read_text())))
        tolerance = TOLERANCE if Path(path).name in MEANS else TOLERANCE_OF_A_SET
        for key, value in committed.items():
            n += 1
            if key not in here or abs(here[key] - value) > tolerance:
                apart.append(f"{path}: {key} is {here.get(key)}, committed {value}, tolerance {tolerance}")
    typer.echo(
        f"verify: not the bytes but {n} metrics were compared, since {'; '.join(reasons)}: "
        f"{len(apart)} differ by more than {TOLERANCE} (means) or {TOLERANCE_OF_A_SET} (one test set)"
    )
    for line in apart:
        typer.secho(message(line), fg="red", err=True)
    return not apart


def why_not_bytes(mode: arithmetic.Mode, lock: Path) -> Iterator[str]:
    """Why the committed bytes are not promised here; nothing where they are."""
    from packaging.requirements import Requirement

    if mode != "portable":
        yield f"runtime.arithmetic is {mode}"
    if not arithmetic.supported():
        yield "this is not Linux on an x86-64 processor with AVX2"
    for line in lock.read_text().splitlines():
        wanted = Requirement(line)
        if wanted.name.lower() not in DECISIVE or (wanted.marker and not wanted.marker.evaluate()):
            continue
        try:
            here = version(wanted.name)
        except PackageNotFoundError:
            here = "missing"
        if not wanted.specifier.contains(here.split("+")[0], prereleases=True):
            yield f"{wanted.name} is {here}, not {wanted.specifier}"


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The measured numbers of nested JSON by dotted key. Whole numbers are counts and settings, not measurements."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, float):
        yield key, value


def _changed(*paths: str) -> list[str]:
    """Paths below these that git does not have as they are here."""
    return [line[3:] for line in _git("status", "--porcelain", "--", *paths).splitlines()]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _listed(paths: list[str], most: int = 8) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
