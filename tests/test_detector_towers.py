"""A model on any kind of tower judges, explains itself and is exported, by the crops and the blocks of its tower."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rine.detector import Detector
from rine.detector.explain import explain
from rine.detector.export import export_onnx
from rine.encoder import encoder
from rine.pixels.transforms import centre_crop
from tiny_model import picture, store
from towers import TOWERS, entry

# The smallest of each kind, in part. Plain towers are those of all other tests of detectors.
SMALL: dict[str, dict[str, Any]] = {
    "EVA02 B": {"image_size": 64, "blocks": (2,)},
    "PE T": {"blocks": (1, 3)},
    "SigLIP2 B": {"image_size": 64, "blocks": (1,)},
    "DINOv2 S": {"image_size": 42},
    "DINOv2 S-reg4": {"image_size": 42},
    "DINOv3 S": {"image_size": 48},
    "AIMv2 L": {"image_size": 56, "blocks": (1,)},
    "own, no CLS": {"blocks": (1, 3)},
}
EXPORTED = ("DINOv3 S", "own, no CLS")  # by timm's modules and by ours; each takes seconds


@pytest.fixture(scope="module")
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    config = entry(**(TOWERS[request.param][0] | SMALL[request.param] | {"name": request.param}))
    folder = tmp_path_factory.mktemp("towers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoder._ROWS, "cpu", 64)  # batches are filled up to so many rows: less than usual, for time
        yield Detector.load(store(folder / "model.safetensors", config, n=4), device="cpu")
    torch.set_num_threads(n)


@pytest.mark.parametrize("detector", SMALL, indirect=True)
def test_judged_and_explained_by_its_own_crops_and_blocks(detector: Detector) -> None:
    size, blocks = detector.encoder.image_size, detector.encoder.config.blocks
    image = picture(1, 2 * size, size + 9)
    found = explain(detector, image, cells=2)
    with torch.no_grad():
        tokens = detector.encoder(torch.from_numpy(centre_crop(image, size))[None]).half().float()
        whole = float(detector.head(tokens)[0])
        assert found.verdict.logit == pytest.approx(whole, rel=1e-4)
        assert tokens.shape == (1, len(blocks), detector.encoder.width)
        assert tuple(block.block for block in found.blocks) == blocks
        assert sum(block.weight for block in found.blocks) == pytest.approx(1)
        for i, block in enumerate(found.blocks):
            replaced = tokens.clone()
            replaced[:, i] = detector.mean_tokens[i]  # type: ignore[index]
            assert block.change == pytest.approx(whole - float(detector.head(replaced)[0]), abs=2e-3)
    assert {(cell.left, cell.top) for cell in found.map} == {(0, 0), (9, 0), (0, size), (9, size)}
    for cell in found.map:
        part = image[cell.top : cell.top + size, cell.left : cell.left + size]
        assert cell.logit == pytest.approx(detector.logits(np.ascontiguousarray(part)[None])[0], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("detector", EXPORTED, indirect=True)
def test_exported(detector: Detector, tmp_path: Path) -> None:
    export_onnx(detector, tmp_path / "model.onnx")
