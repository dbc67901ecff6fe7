"""Send every picture of a feature set through the frozen encoder, once for each view, unless the store has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rine import encoder as encoders
from rine.caching import views
from rine.caching.assemble import assemble
from rine.caching.decode import Source, workers
from rine.caching.plan import plan
from rine.caching.run import fill
from rine.caching.store import Store, root
from rine.encoder.facts import token_shape
from rine.features import table
from rine.params import Params


def cache(item: str, params: Params, artifacts: Path) -> str:
    """Write artifacts/features/<encoder>/<set>/; returns one line on how much was encoded and how much was there."""
    what = params.cache.items[item]
    config = params.encoders[what.encoder]
    index = artifacts / "index" / f"{what.pictures}.csv"
    if not index.is_file():
        raise FileNotFoundError(f"{index} is missing: `dvc repro prepare` (or `rine prepare`) makes it")
    recipe = views.recipe(what, params)
    pictures = table.read(index)
    planned = plan(views.expand(pictures, recipe), params.cache.shard_rows)
    transforms = {family: views.describe(family, recipe) for family in sorted(planned.rows["family"].unique())}
    about: dict[str, Any] = {"set": what.set, "transforms": transforms, "encoder": {"name": config.name}}
    out = artifacts / "features" / what.encoder / what.set
    if planned.rows.empty:
        # nothing to encode: torch and open_clip are not even imported
        n_blocks, width = token_shape(config)
        assemble(planned, {}, about | {"n_blocks": n_blocks, "width": width}, out)
        return f"{item} has no pictures"

    encoder = encoders.load(config, params.runtime.device, params.runtime.precision)
    described, shape = encoder.describe(), (encoder.n_blocks, encoder.width)
    stores = {family: Store.open(root(), described, made, shape) for family, made in transforms.items()}
    source = Source(Path(params.prepare.root), recipe, params.prepare.max_pixels)
    how = workers(params.runtime.workers, encoder.device)
    batch = encoder.batch_size(params.runtime.batch_size)
    n_encoded = fill(list(planned.units.values()), stores, encoder, batch, source, how, item)
    about["encoder"] |= described
    assemble(planned, stores, about | {"n_blocks": encoder.n_blocks, "width": encoder.width}, out)
    n_views = len(planned.rows)
    n_pictures = len(planned.rows.drop_duplicates(list(table.PICTURE)))
    return f"{item}: {n_pictures} pictures, {n_views} views: encoded {n_encoded}, reused {n_views - n_encoded}"
