"""Send every picture of a feature set through the frozen encoder, once for each view, unless the store has it."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rine.dataset.table import read as read_table
from rine.features import views
from rine.features.assembly import assemble
from rine.features.decoding import Source, workers
from rine.features.filling import Target, fill, units
from rine.features.store import Store, locked, root
from rine.params import EncoderConfig, Params, RuntimeConfig, TowerConfig

if TYPE_CHECKING:
    from rine.encoder import Encoder


def cache(item: str, params: Params, artifacts: Path) -> str:
    """Write artifacts/features/<encoder>/<set>/; returns one line on how much was encoded and how much was there."""
    what = params.cache.items[item]
    config = params.encoders[what.encoder]
    table = artifacts / "index" / f"{what.pictures}.csv"
    if not table.is_file():
        raise FileNotFoundError(f"{table} is missing: `dvc repro prepare` (or `rine prepare`) makes it")
    recipe = views.recipe(what, params)
    rows = views.expand(read_table(table), recipe)
    out = artifacts / "features" / what.encoder / what.set
    families = sorted(rows["family"].unique())
    transforms = {family: views.describe(family, recipe) for family in families}
    about: dict[str, Any] = {"set": what.set, "transforms": transforms}
    if rows.empty:
        # nothing to encode: torch and open_clip are not even imported
        n_blocks, width = shape(config)
        assemble(rows, {}, {}, about | {"encoder": {"name": config.name}, "n_blocks": n_blocks, "width": width}, out)
        return f"{item} has no pictures"

    encoder = load(config, params.runtime, recipe.size)
    wanted = units(rows, params.cache.shard_rows)
    own = _target(encoder, transforms, params.runtime)
    lacks = any(key not in own.stores[unit.family].found for unit in wanted.values() for key in unit.keys)
    others = _beside(item, encoder, params) if params.runtime.share_decode and lacks else []
    beside = [_target(other, transforms, params.runtime) for other in others]
    targets = [own, *beside]
    source = Source(Path(params.prepare.root), recipe, params.prepare.max_pixels)
    with locked(store for target in targets for store in target.stores.values()):
        how = workers(params.runtime.workers, encoder.device)
        counts = fill(list(wanted.values()), targets, source, how, item)
        about |= {
            "encoder": {"name": config.name} | encoder.describe(),
            "n_blocks": encoder.n_blocks,
            "width": encoder.width,
        }
        assemble(rows, wanted, own.stores, about, out)
    n_pictures = len(rows[["source", "label", "path"]].drop_duplicates())
    words = [f"encoded {n_encoded}, reused {n_reused}" for n_encoded, n_reused in counts]
    words[1:] = [f"by {t.encoder.config.name} too: {said}" for t, said in zip(beside, words[1:], strict=True)]
    return f"{item}: {n_pictures} pictures, {len(rows)} views: {'; '.join(words)}"


def _target(encoder: Encoder, transforms: dict[str, dict[str, Any]], runtime: RuntimeConfig) -> Target:
    described, shape = encoder.describe(), (encoder.n_blocks, encoder.width)
    stores = {family: Store.open(root(), described, made, shape) for family, made in transforms.items()}
    return Target(encoder, stores, batch_size(runtime, encoder))


def _beside(item: str, own: Encoder, params: Params) -> list[Encoder]:
    """The other encoders that want the item's views: what is decoded now serves them too.

    Their own items then find the tokens in the store. One that cannot be had is left to its item, which fails by name;
    of those that are the same but for their name, one will do.
    """
    what = params.cache.items[item]
    same = [other.encoder for other in params.cache.items.values() if replace(other, encoder=what.encoder) == what]
    found = [own]
    for name in dict.fromkeys(same):
        if name == what.encoder:
            continue
        try:
            other = load(params.encoders[name], params.runtime, params.crops.size)
        except Exception as error:  # whatever is wrong with another encoder, this one is asked for
            print(f"{item}: not by {name} as well: {error}", file=sys.stderr, flush=True)
            continue
        if all(other.describe() != one.describe() for one in found):
            found.append(other)
    return found[1:]


def load(config: EncoderConfig, runtime: RuntimeConfig, size: int) -> Encoder:
    """The encoder on its device; raises where it takes pictures of another size than the crops have."""
    from rine.encoder import tower

    loaded = tower.load(config, None, runtime.device, runtime.precision)
    if loaded.image_size != size:
        raise ValueError(f"{config.name} takes pictures of {loaded.image_size} pixels a side, crops.size is {size}")
    return loaded


def batch_size(runtime: RuntimeConfig, encoder: Encoder) -> int:
    """Whole micro-batches: what is asked for, rounded down, but at least one."""
    asked = encoder.micro_batch if runtime.batch_size == "auto" else runtime.batch_size
    return max(asked // encoder.micro_batch, 1) * encoder.micro_batch


def shape(config: EncoderConfig) -> tuple[int, int]:
    """Blocks and width of an encoder, without building it; zeros where only open_clip's code could tell."""
    if isinstance(config.model, TowerConfig):
        return config.model.layers, config.model.width
    package = importlib.util.find_spec("open_clip")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "model_configs" / f"{config.model}.json"
    vision = json.loads(file.read_text())["vision_cfg"] if file.is_file() else {}
    layers, width = vision.get("layers", 0), vision.get("width", 0)
    return (layers, width) if isinstance(layers, int) else (0, 0)
