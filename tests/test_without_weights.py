"""Baselines that need no weights: the radial power spectrum, and the facts of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from rine.dataset import shortcuts
from rine.detectors.config import DetectorConfig
from rine.detectors.kinds import KINDS
from rine.detectors.method import DetectorError
from rine.detectors.pictures import Pictures
from rine.detectors.spectrum import BINS, radial_spectrum
from rine.pixels.config import AlignConfig


@pytest.mark.parametrize("shape", [(300, 400), (40, 31), (8, 8), (1, 1), (2, 5)])
def test_every_picture_has_a_spectrum_and_contrast_changes_nothing(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 128, (*shape, 3), dtype=np.uint8)
    found = radial_spectrum(image)
    assert found.shape == (BINS,)
    assert np.isfinite(found).all()
    assert abs(found.mean()) < 1e-9
    if min(shape) > 2:
        np.testing.assert_allclose(radial_spectrum(2 * image), found, atol=1e-6)


def test_a_wave_stands_at_its_frequency() -> None:
    wave = 100 + 50 * np.sin(2 * np.pi * 0.25 * np.arange(224))
    image = np.repeat(np.broadcast_to(wave, (224, 224))[..., None], 3, axis=-1)
    assert abs(int(radial_spectrum(image).argmax()) - 0.25 / np.sqrt(0.5) * BINS) <= 1


def write(root: Path, n: int) -> pd.DataFrame:
    """Noise, and noise that was drawn at half the size and enlarged."""
    rng, rows = np.random.default_rng(1), []
    for i in range(n):
        for label, side in ((0, 64), (1, 32)):
            image = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((64, 64))
            image.save(root / f"{label}-{i}.png")
            digest = hashlib.blake2b((root / f"{label}-{i}.png").read_bytes(), digest_size=16).hexdigest()
            rows.append({"path": f"{label}-{i}.png", "label": label, "digest": digest})
    return pd.DataFrame(rows)


def test_the_spectrum_tells_what_was_enlarged(tmp_path: Path) -> None:
    rows = write(tmp_path, 12).assign(view="", crops="centre")
    learn, held = rows[:14], rows[14:]
    pictures = Pictures(tmp_path, 10_000, None, None)
    method = KINDS["baseline"].start(DetectorConfig(baseline="spectrum"), pictures, learn)
    shown = [pictures.show(row, tmp_path) for row in held.to_dict("records")]
    answers = method.score([each for each in shown if not isinstance(each, str)]).by_number
    assert roc_auc_score(held["label"], [answers[i] for i in range(len(held))]) == 1
    assert sum((answers[i] > 0) == label for i, label in enumerate(held["label"])) == len(held)
    with pytest.raises(DetectorError, match="7 training pictures of one class"):
        KINDS["baseline"].start(DetectorConfig(baseline="spectrum"), pictures, learn[learn["label"] == 1])


def facts(n: int, quality: int, label: int) -> pd.DataFrame:
    row = {"format": "JPEG", "mode": "RGB", "jpeg_quality": quality, "jpeg_standard": True, "exif": False}
    table = pd.DataFrame([row | {"width": 64, "height": 64, "bytes": 900, "label": label}] * n)
    return table.assign(digest=[f"{label}{quality}{i:04d}" for i in range(n)], path=[f"{i}" for i in range(n)])


def test_the_facts_of_files_are_a_detector_where_they_differ() -> None:
    learn = pd.concat([facts(30, 95, 0), facts(30, 75, 1)])
    rows = pd.concat([facts(5, 95, 0), facts(5, 75, 1)])
    scores = shortcuts.trained(learn, None)(rows)
    assert ((scores > 0) == rows["label"]).all()
    alike = shortcuts.trained(learn, AlignConfig(90, 64))(rows)
    assert len(set(alike)) == 1  # nothing is left to tell them apart
    assert (shortcuts.trained(learn[:30], None)(rows) == 0).all()
