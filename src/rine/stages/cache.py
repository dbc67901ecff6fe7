"""Send every picture of a feature set through the frozen encoder, once for each view, unless the store has it."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd

from rine import apart
from rine import encoder as encoders
from rine.caching import by_actors, parts, views
from rine.caching.assemble import assemble
from rine.caching.decode import Source, workers
from rine.caching.plan import plan
from rine.caching.run import fill
from rine.caching.store import Store
from rine.encoder.facts import remembered
from rine.features import table
from rine.files import note
from rine.params import Params
from rine.paths import Paths, store_folder
from rine.pixels.pictures import place

TRACKED = (
    "encoder",
    "encoders.{encoder}",
    "prepare.root",
    "prepare.max_pixels",
    "augmentation",
    "perturb",
    "cache",
    "runtime.arithmetic",
)


def run(study: Params, paths: Paths, encoder: str, feature_set: str, part: str | None = None) -> str:
    """Write artifacts/features/<encoder>/<set>/; a set that the study does not read with this encoder is left empty.

    With a part (`parts.read`) only have the store hold that share of the set's tokens.
    """
    share = None if part is None else parts.read(part)
    config, pictures = study.encoders[encoder], _pictures(study, paths, encoder, feature_set)
    if not pictures.empty and study.runtime.workers != 0 and not study.runtime.cluster:
        apart.start("rine.caching.decode")  # what decodes imports its modules while the encoder is loaded
    recipe = views.recipe(feature_set, study, encoder)
    rows = views.expand(pictures, recipe)
    del pictures  # with a million it counts
    planned = plan(rows, study.cache.shard_rows)
    table.give_back()
    transforms = {family: views.describe(family, recipe) for family in sorted(planned.rows["family"].unique())}
    about: dict[str, Any] = {"set": feature_set, "transforms": transforms, "encoder": {"name": config.name}}
    out, name = paths.features(encoder, feature_set), f"{encoder}-{feature_set}"
    if planned.rows.empty:
        if share:
            return f"{name}, part {share}: nothing to encode"
        _, n_blocks, width = remembered(config)
        assemble(planned, {}, about | {"n_blocks": n_blocks, "width": width}, out)
        return f"{name}: {_unread(study, encoder, feature_set) or 'there are no pictures'}; nothing to encode"

    loaded = None
    if study.runtime.cluster:
        described, shape = by_actors.describe(config, study.runtime)
    else:
        loaded = encoders.load(config, study.runtime.device, study.runtime.precision)
        described, shape = loaded.describe(), (loaded.n_blocks, loaded.width)
    stores = {family: Store.open(store_folder(), described, made, shape) for family, made in transforms.items()}
    source = Source(place(study.prepare.root), recipe, study.prepare.max_pixels)
    units = list(planned.units.values())
    if share:
        units, name = share.share(units), f"{name}, part {share}"
    start = time.perf_counter()
    if loaded:
        how, batch = workers(study.runtime.workers, loaded.device), loaded.batch_size(study.runtime.batch_size)
        n_encoded = fill(units, stores, loaded, batch, source, how, name)
    else:
        n_encoded = by_actors.fill(units, stores, config, described, study.runtime, source, name)
    if share:
        n_own = sum(len(unit.own) for unit in units)
        return f"{name}: {len(units)} units, {n_own} views: encoded {n_encoded}, reused {n_own - n_encoded}"
    if loaded and n_encoded:
        seconds = round(time.perf_counter() - start, 3)
        note(paths.encoder_speeds, {name: {"views": n_encoded, "seconds": seconds}})
    table.give_back()
    about["encoder"] |= described
    assemble(planned, stores, about | {"n_blocks": shape[0], "width": shape[1]}, out)
    n_views = len(planned.rows)
    n_pictures = 1 + int(table.pictures(planned.rows)[-1])
    return f"{name}: {n_pictures} pictures, {n_views} views: encoded {n_encoded}, reused {n_views - n_encoded}"


def _pictures(study: Params, paths: Paths, encoder: str, feature_set: str) -> pd.DataFrame:
    """The pictures of a feature set: a table of `prepare`, or no row of it where no stage would read their tokens."""
    index = paths.index(views.FEATURE_SETS[feature_set].pictures)
    if not index.is_file():
        raise FileNotFoundError(f"{index} is missing: `dvc repro prepare` (or `rine prepare`) makes it")
    pictures = table.read(index)
    return pictures.head(0) if _unread(study, encoder, feature_set) else pictures


def _unread(study: Params, encoder: str, feature_set: str) -> str:
    """Why no stage reads a feature set's tokens; empty where one does."""
    if encoder != study.encoder and not views.FEATURE_SETS[feature_set].every_encoder:
        return f"the study reads this set of {study.encoder} alone"
    return "perturb is null" if feature_set == "perturb" and study.perturb is None else ""
