"""What was measured: a table, a file of figures, a picture."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure as Canvas
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Figure, Skipped
from rine.device import usable_cores
from rine.drawing import COLOURS, styled

PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "scipy", "pillow", "safetensors", "dvc")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def name(about: dict[str, Any]) -> str:
    load = "" if about["load"] is None else f", load {about['load']:.1f} before"
    return f"{about['processor']}, {about['cores']} cores, {about['cuda'] or 'no CUDA'}{load}"


def show(found: Sequence[Figure | Skipped], about: dict[str, Any]) -> None:
    table = Table(title=f"Speed on {name(about)}")
    for column in ("what", "against", "reach", "median", "range", "", "note"):
        table.add_column(column, overflow="fold")
    for one in found:
        if isinstance(one, Skipped):
            table.add_row(one.what, "", "", "", "", "skipped", one.why)
            continue
        low, high = min(one.samples), max(one.samples)
        verdict = "[green]reached[/]" if one.reached else "[red]missed[/]"
        spread = f"{amount(low, one.unit)} to {amount(high, one.unit)}"
        table.add_row(one.what, one.against, goal(one), amount(one.value, one.unit), spread, verdict, one.note)
    # a log has no width of its own; 80 columns would break every cell
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def amount(value: float, unit: str) -> str:
    return f"{value:.2f} x" if unit == "x" else f"{value:.0f} {unit}"


def words(one: Figure | Skipped) -> str:
    """A figure for a log."""
    return "skipped" if isinstance(one, Skipped) else amount(one.value, one.unit)


def goal(one: Figure) -> str:
    return f"{'>=' if one.at_least else '<='} {one.goal:g} {one.unit}"


def write(found: Sequence[Figure | Skipped], about: dict[str, Any], path: Path) -> None:
    figures = [one for one in found if isinstance(one, Figure)]
    content = {
        "machine": about,
        "versions": versions(),
        "figures": [
            {"row": f.row, "what": f.what, "against": f.against, "unit": f.unit, "value": f.value, "goal": goal(f)}
            | {"reached": f.reached, "samples": list(f.samples), "seconds": f.seconds, "note": f.note}
            for f in figures
        ],
        "skipped": [{"row": s.row, "what": s.what, "why": s.why} for s in found if isinstance(s, Skipped)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@styled
def draw(found: Sequence[Figure | Skipped], about: dict[str, Any], path: Path) -> None:
    """How far each figure is from its goal: 1 is the goal, right of it is better."""
    figures = [one for one in found if isinstance(one, Figure)][::-1]
    canvas = Canvas(figsize=(8, 0.8 + 0.32 * len(figures)), layout="constrained")
    axes = canvas.subplots()
    for y, one in enumerate(figures):
        distances = [s / one.goal if one.at_least else one.goal / s if s else 0.0 for s in (*one.samples, one.value)]
        colour = COLOURS[2] if one.reached else COLOURS[1]
        axes.barh(y, distances[-1], height=0.6, color=colour)
        axes.plot(distances[:-1], [y] * len(one.samples), ".", color="#222222", markersize=3)
        axes.annotate(amount(one.value, one.unit), (0, y), xytext=(3, 0), textcoords="offset points", va="center")
    axes.axvline(1, color="#222222", linewidth=1)
    axes.set_yticks(range(len(figures)), [f"{one.what} ({goal(one)})" for one in figures])
    axes.set_xlabel(f"median over its goal; points are rounds, ochre is missed\n{name(about)}")
    axes.grid(visible=False, axis="y")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path)
