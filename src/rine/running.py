"""A study from its params file, and its stages, each with what DVC tracks for it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from rine import arithmetic, extensions
from rine.params import Params, read
from rine.paths import Paths
from rine.terminal import message
from rine.tracked import view


def read_study(params_file: Path | str) -> Params:
    """Read and check a params file, and set its arithmetic; before NumPy is imported, which comes too late for that.

    Raises `ParamsError`, with one line for each thing that is wrong in it.
    """
    params = read(params_file)
    arithmetic.use(params.runtime.arithmetic)
    extensions.load()
    from rine.checks import check

    return check(params, str(params_file))


def run_stage(name: str, params: Params, paths: Paths, **item: Any) -> str:
    """Run a stage, or one item of it, with the sections of the study that it tracks; returns a line on its work.

    The first stage warns of weights that `cache` will not find.
    """
    from rine.checks import check_item, missing_files

    check_item(params, item)
    if name == "prepare":
        for line in missing_files(params):
            print(message(f"warning: {line}"), file=sys.stderr)
    module = import_module(f"rine.stages.{name}")
    return module.run(view(params, name, module.TRACKED, **item), paths, **item)
