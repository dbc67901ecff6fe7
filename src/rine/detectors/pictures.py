"""The study's pictures as detectors are shown them: whole, where the study's own heads see a crop of the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rine.caching.views import Recipe, expand
from rine.detectors.method import Shown
from rine.features.table import PICTURE
from rine.pixels.config import AlignConfig, AugmentationConfig, PerturbConfig
from rine.pixels.degradations import degrade
from rine.pixels.perturbations import align, draws, perturb
from rine.pixels.pictures import UnreadablePicture, is_remote, open_rgb, read, split

TABLES = ("train", "ldm", "test", "synthbuster")  # of the index; of the first two the validation pictures


def asked(
    tables: Mapping[str, pd.DataFrame], perturbed: PerturbConfig | None, augmentation: AugmentationConfig
) -> pd.DataFrame:
    """Every picture in every view that the study scores: the index's columns, `table`, `view` and `crops`.

    `view` is "" for pictures as they are, else "perturb:blur", "degrade:jpeg:60".
    """
    parts = []
    for name in TABLES:
        rows = tables[name]
        if name in ("train", "ldm"):
            rows = rows[rows["split"] == "val"].assign(crops="centre")
        parts.append(rows.assign(table=name, view=""))
    recipe = Recipe("perturb", 1, augmentation, perturbed)
    views = expand(tables["test"], recipe)
    views["view"] = [f"{family}:{view}" for family, view in zip(views["family"], views["view"], strict=True)]
    parts.append(views.drop(columns="family").assign(table="test", crops="centre"))
    # a validation picture of both training sets is one
    return pd.concat(parts, ignore_index=True).drop_duplicates([*PICTURE, "split", "view"], ignore_index=True)


def training(train: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The training pictures of some classes (of all where none is named), each once."""
    rows = train[(train["split"] == "train") & (train["category"].isin(list(classes)) | (not classes))]
    return rows.drop_duplicates(["digest", "label"])


@dataclass(frozen=True)
class Pictures:
    """Where pictures lie, and what is done to them before anybody sees them."""

    root: Path
    max_pixels: int
    align: AlignConfig | None
    perturb: PerturbConfig | None

    def show(self, row: Mapping[str, Any], folder: Path) -> Shown | str:
        """A picture in a view (a row of `asked`): its file, or a PNG in `folder`; else why there is none."""
        path, digest, view = row["path"], row["digest"], row["view"]
        file = self.root / path
        try:
            data = read(str(file), self.max_pixels)
            if hashlib.blake2b(data, digest_size=16).hexdigest() != digest:
                return "changed since `prepare` looked at it"
            if view or self.align is not None:
                image = self._seen(open_rgb(data, self.max_pixels), digest, view)
                file = folder / f"{digest}-{view.replace(':', '-') or 'aligned'}.png"
                Image.fromarray(image).save(file, compress_level=1)
            elif split(str(file))[1] or is_remote(file):  # detectors open files
                file = folder / f"{digest}{'.image' if '#' in path else Path(path).suffix}"
                file.write_bytes(data)
        except OSError as error:
            return error.strerror or str(error)
        except UnreadablePicture as error:
            return error.reason
        return Shown(path, digest, view, row["crops"], file)

    def _seen(self, image: np.ndarray, digest: str, view: str) -> np.ndarray:
        """The whole picture (H, W, 3) of which the study's heads see a crop."""
        if self.align is not None:
            image = align(image, self.align.jpeg_quality, self.align.size)
        family, _, name = view.partition(":")
        if not family:
            return image
        assert self.perturb is not None
        if family == "perturb":
            return perturb(image, name, self.perturb.mode, draws(name, self.perturb.seed, digest))
        name, _, strength = name.rpartition(":")
        return degrade(image, name, float(strength), self.perturb.seed, digest)
