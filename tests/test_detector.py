"""A picture gets the same verdict however it is handed in, and no file makes the detector fall over or run code."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import tiny_model
from rine import Detector
from rine.changes import VERSIONS
from rine.detector.stored import ModelNotFound, find_model
from rine.models import checkpoint
from rine.pixels.crops import CropRule
from rine.pixels.transforms import centre_crop, ten_crop


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tiny_model.model_in(tmp_path_factory.mktemp("study")) as path:
        yield path


@pytest.fixture(scope="module")
def detector(model: Path) -> Detector:
    return Detector.load(model, device="cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return tiny_model.write_pictures(tmp_path / "pictures", 8)


def test_path_bytes_image_array_and_tensor_get_the_same_verdict(detector: Detector, pictures: list[Path]) -> None:
    path = pictures[0]
    pixels = np.asarray(Image.open(path))
    forms = [
        path,
        str(path),
        path.read_bytes(),
        io.BytesIO(path.read_bytes()),
        Image.open(path),
        pixels,
        pixels / 255,
        torch.from_numpy(pixels.copy()).permute(2, 0, 1),
        torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255,
    ]
    verdicts = detector(forms)
    assert len({v.verdict for v in verdicts}) == 1
    # the head sums a larger batch in another order: the seventh digit
    assert [v.logit for v in verdicts] == pytest.approx([verdicts[0].logit] * len(forms), rel=1e-5)
    assert [v.error for v in verdicts] == [None] * len(forms)
    assert verdicts[0].path == str(path)


def test_what_makes_a_verdict_weak_is_said(detector: Detector, model: Path) -> None:
    assert "random weights" in detector.cautions[0]
    unsure = replace(detector, calibration=replace(detector.calibration, reason="7 real pictures"))
    assert unsure.cautions[1] == "the thresholds are weak: 7 real pictures"
    assert len(replace(unsure, threshold=0.5).cautions) == 1
    assert repr(detector) == f"Detector({detector.name!r}, encoder={detector.encoder.config.name!r}, device='cpu')"


def test_what_is_no_picture_is_a_type_error_that_says_what_is(detector: Detector) -> None:
    with pytest.raises(TypeError, match=r"a picture is a path.* got int"):
        detector(3)  # type: ignore[arg-type]


def test_the_logit_is_that_of_encoder_and_head(detector: Detector, pictures: list[Path]) -> None:
    pixels = np.asarray(Image.open(pictures[0]))
    for rule, crops in (("centre", centre_crop(pixels, 32)[None]), ("ten", ten_crop(pixels, 32))):
        tokens = detector.encoder.encode(torch.from_numpy(np.ascontiguousarray(crops))).float()  # as features are kept
        expected = detector.head(tokens)[0].mean().item()
        [verdict] = detector(pictures[0], crops=rule)  # type: ignore[arg-type]
        assert verdict.logit == pytest.approx(expected, rel=1e-5)
        assert verdict.crops == rule


def test_a_verdict_depends_on_its_picture_alone(detector: Detector, pictures: list[Path]) -> None:
    together = detector(pictures, crops="grid")
    assert len({v.logit for v in together}) == len(pictures)
    for path, verdict in zip(pictures, together, strict=True):
        [alone] = detector([path], crops="grid")
        assert (alone.path, alone.verdict) == (verdict.path, verdict.verdict)
        assert alone.logit == pytest.approx(verdict.logit, rel=1e-5)


def test_the_three_verdicts_follow_the_calibration_and_two_a_threshold(model: Path, detector: Detector) -> None:
    crops = [tiny_model.crop(i) for i in range(40)]
    calibrated = detector(crops)
    assert {v.verdict for v in calibrated} == {"real", "synthetic", "inconclusive"}
    sharp = Detector.load(model, device="cpu", threshold=0.3)(crops)
    assert [v.logit for v in sharp] == [v.logit for v in calibrated]
    assert [v.verdict for v in sharp] == ["synthetic" if v.probability >= 0.3 else "real" for v in sharp]
    with pytest.raises(ValueError, match=r"threshold = 1\.5"):
        Detector.load(model, threshold=1.5)


def test_what_cannot_be_read_gets_a_reason_and_takes_nothing_along(
    detector: Detector, pictures: list[Path], tmp_path: Path
) -> None:
    bad = {
        "text.jpg": b"no picture",
        "empty.png": b"",
        "cut.png": pictures[0].read_bytes()[:3000],
        "huge.png": tiny_model.huge_png(30_000, 30_000),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "page.pdf": b"%PDF-1.7",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    names = [*bad, "folder.jpg", "gone.jpg"]
    mixed = [path for name in names for path in (tmp_path / name, pictures[0])]
    verdicts = detector(mixed)
    assert [v.path for v in verdicts] == [str(path) for path in mixed]
    for verdict in verdicts[::2]:
        assert verdict.error
        assert verdict.verdict is verdict.probability is verdict.logit is None
    expected = detector(pictures[0])[0].logit
    assert [v.logit for v in verdicts[1::2]] == pytest.approx([expected] * len(names), rel=1e-5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4), np.int64), np.full((4, 4), 7.0), np.full((4, 4), np.nan)]
)
def test_an_array_that_is_no_picture_is_an_error(detector: Detector, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        detector(wrong)


def test_grey_tiny_and_batched_arrays_are_pictures(detector: Detector) -> None:
    assert detector(np.zeros((1, 1), np.uint8))[0].error is None
    assert len(detector(np.zeros((3, 40, 40, 3), np.uint8))) == 3
    assert detector([]) == []
    with pytest.raises(TypeError, match="got int"):
        detector([3])  # type: ignore[list-item]


def test_a_long_stream_is_never_held(detector: Detector) -> None:
    handed_out = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal handed_out
        while True:
            handed_out += 1
            yield np.zeros((40, 40, 3), np.uint8)

    stream = detector.stream(endless(), workers=2, batch=4)
    for seen in range(1, 200):
        next(stream)
        assert handed_out - seen <= 4 * 2 + 4 + 2 * 4
    before = threading.active_count()
    stream.close()
    assert threading.active_count() < before  # the readers are gone with it


def test_a_thousand_files_that_cannot_be_read_are_not_kept_waiting(detector: Detector) -> None:
    handed_out = 0

    def endless() -> Iterator[bytes]:
        nonlocal handed_out
        while True:
            handed_out += 1
            yield b"no picture"

    stream = detector.stream(endless(), workers=2, batch=4)
    for seen in range(1, 100):
        assert next(stream).error
        assert handed_out - seen <= 4 * 2 + 4 + 2 * 4
    stream.close()


def test_weights_that_the_model_was_not_trained_with_are_refused(model: Path, tmp_path: Path) -> None:
    head, meta = checkpoint.load(model)
    meta.pop("head")
    meta["encoder"]["weights"] = "0" * 32
    checkpoint.save(tmp_path / "other.safetensors", head, meta)
    with pytest.raises(ValueError, match="not those that the model was trained with"):
        Detector.load(tmp_path / "other.safetensors")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (Path.write_text, (Path("ran"), "code"))  # type: ignore[return-value]


def test_a_pickle_or_another_network_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.pth").write_bytes(pickle.dumps(_Bomb()))
    Path("text.safetensors").write_text("nothing")
    save_file({"fc.weight": torch.zeros(2, 2)}, "other.safetensors")
    for name in ("bomb.pth", "text.safetensors", "other.safetensors"):
        with pytest.raises(ValueError, match=name):
            Detector.load(name)
    assert not Path("ran").exists()


def test_the_model_that_best_names_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match="rine sample && dvc repro"):
        find_model("best")
    for name in ("ldm", "one_class", "two_class"):
        path = Path("artifacts/best") / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
    assert find_model("best").parent.name == "two_class"  # the most classes of those that are there
    Path("params.yaml").write_text("best: {default: ldm}\n")
    assert find_model("best").parent.name == "ldm"
    assert find_model("one_class").parent.name == "one_class"
    assert find_model(path) == path
    assert find_model(path.parent) == path
    with pytest.raises(ModelNotFound, match="ldm, one_class, two_class"):
        find_model("three_class")


def test_a_verdict_that_mild_changes_turn_round_is_inconclusive(detector: Detector) -> None:
    pictures = [tiny_model.picture(i, 64, 80) for i in range(30)]
    plain = detector(pictures)
    careful = replace(detector, stable=True)
    found = careful(pictures)
    alone = [detector([change(image) for change in VERSIONS.values()]) for image in pictures]
    for before, after, versions in zip(plain, found, alone, strict=True):
        assert after.logit == pytest.approx(before.logit, rel=1e-4)
        same = {before.verdict, *(version.verdict for version in versions)} == {before.verdict}
        assert after.verdict == (before.verdict if same else "inconclusive")
        assert ("not after" in (after.remark or "")) == (not same)
        probabilities = [before.probability or 0.0, *(version.probability or 0.0 for version in versions)]
        assert (after.low, after.high) == pytest.approx((min(probabilities), max(probabilities)), abs=1e-4)
        assert before.low is None
    assert any("not after" in (verdict.remark or "") for verdict in found)
    assert any("not after" not in (verdict.remark or "") for verdict in found)


@pytest.mark.parametrize(
    ("size", "crops", "words"),
    [
        ((20, 64), "centre", "smaller than the 32 pixels"),
        ((64, 64), "centre", None),
        ((200, 300), "centre", "rests on 1.7% of its 300 x 200 pixels"),
        ((200, 300), "grid", None),
    ],
)
def test_a_picture_far_from_a_crops_size_has_a_remark(
    detector: Detector, size: tuple[int, int], crops: CropRule, words: str | None
) -> None:
    [verdict] = detector(tiny_model.picture(1, *size), crops)
    assert (verdict.remark is None) if words is None else (words in str(verdict.remark))
