"""How much a study's figures hang on the last bits of its tokens.

    python -m benchmarks.noise --draws 10

Every token is moved up or down by one unit in the last place of float16, then the grid of the encoder in force and the
LDM models are trained and chosen anew. For each draw: the largest move of a mean accuracy, over settings and rules.
"""

from __future__ import annotations

from rine import arithmetic

arithmetic.use("portable")

import argparse  # noqa: E402  the arithmetic must be set before NumPy is imported
import json  # noqa: E402
import shutil  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from tempfile import TemporaryDirectory  # noqa: E402

import numpy as np  # noqa: E402
from safetensors.numpy import load_file, save_file  # noqa: E402

from rine.params import Params, read  # noqa: E402
from rine.paths import Paths  # noqa: E402
from rine.stages import grid, ldm, select  # noqa: E402


def moved(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tokens float16, each but zeros one unit in the last place larger or smaller in size."""
    bits = tokens.view(np.int16)
    steps = rng.integers(0, 2, bits.shape, dtype=np.int16) * 2 - 1
    return (bits + steps * ((bits & 0x7FFF) != 0).astype(np.int16)).view(np.float16)


def means(study: Params, here: Paths, draw: int) -> dict[str, float]:
    """Mean accuracy by setting and rule, from tokens moved by a draw; draw 0 moves nothing."""
    rng = np.random.default_rng(draw)
    with TemporaryDirectory() as folder:
        there = Paths(artifacts=Path(folder) / "artifacts", metrics=Path(folder) / "metrics")
        shutil.copytree(here.index(), there.index())
        shutil.copytree(here.features(study.encoder), there.features(study.encoder))
        for shard in sorted(there.features(study.encoder).rglob("*.safetensors")) if draw else []:
            tokens = load_file(shard)
            shard.unlink()
            save_file({name: moved(value, rng) for name, value in tokens.items()}, shard)
        for setting in study.settings:
            grid.run(study, there, encoder=study.encoder, setting=setting)
        ldm.run(study, there)
        select.run(study, there)
        rules = json.loads(there.metric("select").read_text())
    return {f"{setting} {rule}": values["acc"] for setting, table in rules.items() for rule, values in table.items()}


def main() -> None:
    """Print each draw's largest move, and the spread of each mean over all draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    draws = parser.parse_args().draws
    study = replace(read(Path("params.yaml")))
    plain = means(study, Paths(), 0)
    found = []
    for draw in range(1, draws + 1):
        found.append(means(study, Paths(), draw))
        moves = {key: 100 * (found[-1][key] - value) for key, value in plain.items()}
        most = max(moves, key=lambda key: abs(moves[key]))
        print(f"draw {draw}: at most {abs(moves[most]):.2f} points ({most})", flush=True)
    for key, value in plain.items():
        values = [100 * one[key] for one in found]
        print(f"{key:36} {100 * value:6.2f}   {min(values):6.2f} to {max(values):6.2f}")


if __name__ == "__main__":
    main()
