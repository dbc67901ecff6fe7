"""The evidence is what it claims to be: scores of those crops, blocks against their mean, verdicts after changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import tiny_model
from rine import Detector
from rine.cli import app
from rine.detector.explain import block_effects, changes, explain
from rine.detector.explanation import draw_map, heat
from rine.drawing import canvas
from rine.pixels.crops import cut, grid
from rine.pixels.pictures import UnreadablePicture


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("study")
    with tiny_model.model_in(folder):
        yield folder


@pytest.fixture(scope="module")
def detector(study: Path) -> Detector:
    return Detector.load(study / "artifacts/best/four_class", device="cpu")


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 32), (100, 70), (1000, 40), (5, 300), (64, 64)])
@pytest.mark.parametrize("most", [1, 3, 8])
def test_a_grid_lies_within_the_picture_evenly_and_covers_it_where_it_may(height: int, width: int, most: int) -> None:
    places = grid((height, width), 32, most)
    seen = np.zeros((max(height, 32), max(width, 32)), int)
    for top, left in places:
        assert 0 <= top <= seen.shape[0] - 32
        assert 0 <= left <= seen.shape[1] - 32
        seen[top : top + 32, left : left + 32] += 1
    assert len(set(places)) == len(places) <= most**2
    if most > 1:
        assert seen[0, 0] == seen[0, -1] == seen[-1, 0] == seen[-1, -1] == 1 or min(height, width) < 64
        assert seen[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    if max(height, width) <= 32 * most:
        assert seen.all()


def test_each_cell_has_the_verdict_of_its_own_crop(detector: Detector) -> None:
    image = tiny_model.picture(1, 90, 70)
    found = explain(detector, image, cells=4)
    assert (found.width, found.height) == (70, 90)
    assert len(found.map) == 9
    for cell in found.map:
        crop = np.ascontiguousarray(cut(image, [(cell.top, cell.left)], cell.size)[0])
        [alone] = detector(crop)
        assert cell.logit == pytest.approx(alone.logit, rel=1e-4)
        assert cell.probability == pytest.approx(alone.probability, rel=1e-4)
    assert found.verdict.logit == pytest.approx(detector(image)[0].logit, rel=1e-5)


def test_a_blocks_effect_is_the_logit_that_its_token_makes(detector: Detector) -> None:
    crops = tiny_model.crop(2)[None]
    blocks = block_effects(detector, crops)
    assert [block.block for block in blocks] == [1, 2, 3]
    assert sum(block.weight for block in blocks) == pytest.approx(1)
    tokens, mean = detector.tokens(crops), detector.mean_tokens
    assert mean is not None
    with torch.no_grad():
        for block in blocks:
            replaced = tokens.clone()
            replaced[0, block.block - 1] = mean[block.block - 1]
            expected = float(detector.head(tokens)[0] - detector.head(replaced)[0])
            assert block.change == pytest.approx(expected, abs=1e-5)
    assert any(abs(block.change or 0) > 1e-3 for block in blocks)
    # a picture whose tokens are the mean already loses nothing, and a file without the mean claims nothing
    with_own_mean = replace(detector, mean_tokens=tokens[0])
    assert [block.change for block in block_effects(with_own_mean, crops)] == pytest.approx([0, 0, 0], abs=1e-6)
    without = block_effects(replace(detector, mean_tokens=None), crops)
    assert [block.change for block in without] == [None] * 3


def test_twenty_mild_changes_each_change_the_picture_and_little_of_it() -> None:
    image = np.asarray(Image.fromarray(tiny_model.picture(3, 12, 16)).resize((320, 240), Image.Resampling.BICUBIC))
    assert len(changes()) == 20
    for name, change in changes().items():
        changed = change(image)
        assert changed.dtype == np.uint8
        assert changed.shape[2] == 3
        assert changed.shape != image.shape or not np.array_equal(changed, image), name
        back = np.asarray(Image.fromarray(changed).resize((320, 240), Image.Resampling.BICUBIC))
        if "cut" not in name:
            assert np.abs(back.astype(int) - image).mean() < 12, name
        else:
            assert changed.shape[0] * changed.shape[1] >= 0.8 * image.shape[0] * image.shape[1]
    assert all(change(np.zeros((1, 1, 3), np.uint8)).size for change in changes().values())


def test_stability_counts_verdicts_that_stayed(detector: Detector) -> None:
    found = explain(detector, tiny_model.picture(4, 60, 60))
    verdicts = [change.verdict for change in found.changes]
    assert found.same == verdicts.count(str(found.verdict.verdict))
    assert found.stability == f"stable in {found.same} of 20"
    sure = explain(replace(detector, threshold=0.0), tiny_model.picture(4, 60, 60))
    assert sure.stability == "stable in 20 of 20"


def test_the_map_is_the_mean_of_the_crops_over_a_point(detector: Detector) -> None:
    found = explain(detector, tiny_model.picture(5, 40, 96))
    drawn = heat(found.map, 40, 96, resolution=96)
    assert drawn.shape == (40, 96)
    point = [c.probability for c in found.map if c.left <= 50 < c.left + 32 and c.top <= 20 < c.top + 32]
    assert drawn[20, 50] == pytest.approx(np.mean(point))
    assert not np.isnan(drawn).any()


@pytest.mark.parametrize("size", [(200, 300), (10, 10), (1, 400)])
def test_the_command_writes_a_picture_and_a_json(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.chdir(study)
    path = (
        tmp_path / "写真 $x_1$.png"
    )  # glyphs that no font at hand has, and what Matplotlib would take for mathematics
    Image.fromarray(tiny_model.picture(6, *size)).save(path)
    result = CliRunner().invoke(app, ["explain", str(path), "-o", str(tmp_path / "new" / "why.png"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "stable in" in result.stdout
    found = json.loads((tmp_path / "new" / "why.json").read_text())
    assert found["verdict"]["path"] == str(path)
    assert (found["height"], found["width"]) == size
    assert len(found["changes"]) == 20
    with Image.open(BytesIO((tmp_path / "new" / "why.png").read_bytes())) as drawn:
        assert drawn.format == "PNG"
        assert np.asarray(drawn.convert("L")).std() > 10


def test_a_file_without_pixels_is_an_error_and_writes_nothing(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: Detector
) -> None:
    monkeypatch.chdir(study)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    result = CliRunner().invoke(app, ["explain", str(tmp_path / "bad.jpg"), "-o", str(tmp_path / "why")])
    assert result.exit_code == 2
    assert "not a picture" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jpg"]
    with pytest.raises(UnreadablePicture):
        explain(detector, tmp_path / "bad.jpg")


@pytest.mark.parametrize(("height", "width"), [(20, 24), (64, 40), (300, 500)])
def test_each_number_and_each_judged_square_lies_in_the_picture(detector: Detector, height: int, width: int) -> None:
    image = tiny_model.picture(8, height, width)
    found = explain(detector, image, "grid", cells=4)
    _, axes = canvas(1, 1, 4, 4)
    draw_map(axes[0, 0], image, found.map, found.judged)
    places = [text.xy for text in axes[0, 0].texts]
    assert len(set(places)) == len(found.map)
    assert all(0 < x < width and 0 < y < height for x, y in places)
    for square in axes[0, 0].patches[len(found.map) :]:
        assert 0 <= square.get_x() < square.get_x() + square.get_width() <= width
        assert 0 <= square.get_y() < square.get_y() + square.get_height() <= height
