"""Perturbations do what the paper says, or what the published code did; the picture decides every draw."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from rine.pixels import perturbations
from rine.pixels.degradations import DEGRADATIONS, degrade
from rine.pixels.perturbations import (
    KERNELS,
    PERTURBATIONS,
    align,
    drawn,
    draws,
    opencv_bicubic,
    perturb,
)

DIGESTS = [f"{number:032x}" for number in range(400)]


class Fixed:
    """Stands for a generator whose every draw is known."""

    def __init__(self, value: float, noise: float = 0.0) -> None:
        self.value, self.noise = value, noise

    def choice(self, values: object) -> float:
        assert tuple(values) == KERNELS  # type: ignore[arg-type]
        return self.value

    def uniform(self, low: float, high: float) -> float:
        assert low <= self.value <= high
        return self.value

    def integers(self, low: int, high: int, endpoint: bool) -> int:
        assert (low, high, endpoint) == (10, 75, True)
        return int(self.value)

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, self.noise)


def picture(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    """Colours that vary slowly, with grain."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


def through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def squashed(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((256, 256), Image.Resampling.BILINEAR))


# --- which pictures, and how strongly


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_half_of_the_pictures_are_drawn_each_kind_its_own_half(kind: str) -> None:
    chosen = [drawn(kind, 0, digest) for digest in DIGESTS]
    assert chosen == [drawn(kind, 0, digest) for digest in DIGESTS]
    assert np.mean(chosen) == pytest.approx(0.5, abs=0.1)
    others = [(kind, 1), *((name, 0) for name in PERTURBATIONS if name != kind)]
    for name, seed in others:
        same = [drawn(name, seed, digest) == mine for digest, mine in zip(DIGESTS, chosen, strict=True)]
        assert np.mean(same) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("mode", ["paper", "reference"])
@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_a_perturbed_picture_depends_on_seed_kind_and_picture_alone(kind: str, mode: str) -> None:
    image = picture()
    before = image.copy()
    results = [perturb(image, kind, mode, draws(kind, 0, digest)) for digest in DIGESTS[:6]]
    again = [perturb(image, kind, mode, draws(kind, 0, digest)) for digest in reversed(DIGESTS[:6])]
    for result, same in zip(results, reversed(again), strict=True):
        np.testing.assert_array_equal(result, same)
        assert result.dtype == np.uint8
        assert result.shape == (image.shape if mode == "paper" else (256, 256, 3))
    np.testing.assert_array_equal(image, before)
    assert draws(kind, 0, DIGESTS[0]).random() != draws(kind, 1, DIGESTS[0]).random()
    if (kind, mode) != ("compress", "reference"):
        assert len({result.tobytes() for result in results}) > 1


@pytest.mark.parametrize("mode", ["paper", "reference"])
@pytest.mark.parametrize("kind", PERTURBATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (7, 5)])
def test_tiny_pictures_come_through(kind: str, mode: str, shape: tuple[int, int]) -> None:
    image = picture(*shape)
    for digest in DIGESTS[:4]:
        result = perturb(image, kind, mode, draws(kind, 0, digest))
        assert result.shape == (image.shape if mode == "paper" else (256, 256, 3))


def test_an_unknown_name_is_named_with_the_choices() -> None:
    for call in (
        lambda: drawn("sepia", 0, "d"),
        lambda: draws("sepia", 0, "d"),
        lambda: perturb(picture(), "sepia", "paper", np.random.default_rng(0)),
        lambda: degrade(picture(), "sepia", 1, 0, "d"),
    ):
        with pytest.raises(ValueError, match=r"'sepia'; choose from \['blur'"):
            call()


# --- as the paper says


@pytest.mark.parametrize(("kernel", "sigma"), [(3, 0.8), (5, 1.1), (7, 1.4), (9, 1.7)])
def test_paper_blur_has_the_sigma_of_its_kernel(kernel: int, sigma: float) -> None:
    image = picture()
    expected = image.astype(float)
    for axis in (0, 1):
        expected = gaussian_filter1d(expected, sigma, axis, mode="mirror", radius=kernel // 2)
    result = PERTURBATIONS["blur"].apply(image, "paper", Fixed(kernel))
    assert np.abs(result - expected).max() < 0.501
    flat = np.full((9, 9, 3), 200, np.uint8)
    np.testing.assert_array_equal(PERTURBATIONS["blur"].apply(flat, "paper", Fixed(kernel)), flat)


def test_paper_crop_takes_the_middle_and_keeps_height_and_width() -> None:
    image = picture(100, 200)
    result = PERTURBATIONS["crop"].apply(image, "paper", Fixed(0.2))
    expected = Image.fromarray(image).crop((20, 10, 180, 90)).resize((200, 100), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(result, np.asarray(expected))


@pytest.mark.parametrize("quality", [10, 75])
def test_paper_compression_has_the_quality_that_was_drawn(quality: int) -> None:
    result = PERTURBATIONS["compress"].apply(picture(), "paper", Fixed(quality))
    np.testing.assert_array_equal(result, through_jpeg(picture(), quality))


def test_paper_noise_has_a_variance_of_5_to_20_and_no_bias() -> None:
    grey = np.full((90, 90, 3), 128, np.uint8)
    variances = []
    for digest in DIGESTS[:60]:
        error = PERTURBATIONS["noise"].apply(grey, "paper", draws("noise", 0, digest)).astype(float) - 128
        assert abs(error.mean()) < 0.15
        variances.append(error.var())
    # rounding to whole levels adds 1/12
    assert 4.5 < min(variances) < 7
    assert 18 < max(variances) < 21


def test_paper_combined_is_all_four_in_order() -> None:
    image, rng = picture(), draws("combined", 0, "d")
    expected = image
    for kind in ("blur", "crop", "compress", "noise"):
        expected = PERTURBATIONS[kind].apply(expected, "paper", rng)
    np.testing.assert_array_equal(perturb(image, "combined", "paper", draws("combined", 0, "d")), expected)


def test_draws_span_the_ranges_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    qualities: list[int] = []
    monkeypatch.setattr(perturbations, "jpeg", lambda image, quality: qualities.append(quality) or image)
    fractions: list[float] = []
    monkeypatch.setattr(perturbations, "inner", lambda image, fraction: fractions.append(fraction) or image)
    for number in range(1500):
        perturb(picture(4, 4), "compress", "paper", draws("compress", 0, str(number)))
        perturb(picture(4, 4), "crop", "paper", draws("crop", 0, str(number)))
    assert set(qualities) == set(range(10, 76))
    assert 0.05 <= min(fractions) < 0.051
    assert 0.199 < max(fractions) <= 0.2


# --- as the published code did


def test_reference_blur_has_sigma_4_whatever_the_kernel() -> None:
    image = picture()
    for kernel in KERNELS:
        expected = image.astype(float)
        for axis in (0, 1):
            expected = gaussian_filter1d(expected, 4.0, axis, mode="mirror", radius=kernel // 2)
        assert np.abs(PERTURBATIONS["blur"].apply(image, "reference", Fixed(kernel)) - expected).max() < 0.501


def test_reference_crop_swaps_height_and_width() -> None:
    assert PERTURBATIONS["crop"].apply(picture(60, 80), "reference", Fixed(0.1)).shape == (80, 60, 3)


def test_reference_compression_is_always_quality_95_with_red_and_blue_exchanged() -> None:
    image = picture()
    for quality in (10, 75):
        result = PERTURBATIONS["compress"].apply(image, "reference", Fixed(quality))
        np.testing.assert_array_equal(result, through_jpeg(image[..., ::-1], 95)[..., ::-1])
    assert (result != through_jpeg(image, 95)).any()


def test_reference_noise_takes_the_variance_for_a_deviation_and_cuts_fractions_off() -> None:
    grey = np.full((2, 2, 3), 100, np.uint8)
    assert (PERTURBATIONS["noise"].apply(grey, "reference", Fixed(5.0, noise=0.19)) == 100).all()  # 100.95
    assert (PERTURBATIONS["noise"].apply(grey, "reference", Fixed(5.0, noise=-0.01)) == 99).all()  # 99.95
    assert (PERTURBATIONS["noise"].apply(grey, "reference", Fixed(20.0, noise=2.0)) == 140).all()
    assert (PERTURBATIONS["noise"].apply(grey, "reference", Fixed(20.0, noise=-9.0)) == 0).all()


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_reference_pictures_are_squashed(kind: str) -> None:
    image = picture(90, 60)
    expected = squashed(PERTURBATIONS[kind].apply(image, "reference", draws(kind, 0, "d")))
    np.testing.assert_array_equal(perturb(image, kind, "reference", draws(kind, 0, "d")), expected)


def test_opencv_bicubic_interpolates_with_a_of_three_quarters() -> None:
    # An impulse doubled in size shows the kernel, written out here as its two cubics
    a = -0.75
    line = np.full((1, 9, 3), 100, np.uint8)
    line[0, 4] = 200
    result = opencv_bicubic(line, (18, 1))[0, :, 0].astype(float)
    near = lambda t: (a + 2) * t**3 - (a + 3) * t**2 + 1  # noqa: E731
    far = lambda t: a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a  # noqa: E731
    expected = [far(1.75), far(1.25), near(0.75), near(0.25), near(0.25), near(0.75), far(1.25), far(1.75)]
    assert np.abs(result[5:13] - 100 * (1 + np.array(expected))).max() <= 0.501
    image = picture(20, 31)
    np.testing.assert_array_equal(opencv_bicubic(image, (31, 20)), image)


# --- sweeps


WEAK = {"jpeg": 95, "webp": 95, "downscale": 1, "rescale": 1, "blur": 0, "noise": 0, "crop": 0}
STRONG = {"jpeg": 10, "webp": 5, "downscale": 0.4, "rescale": 0.3, "blur": 3, "noise": 40, "crop": 0.5}


def test_every_degradation_says_what_its_strength_is() -> None:
    assert WEAK.keys() <= DEGRADATIONS.keys()


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_degradations_depend_on_seed_and_picture_alone_and_grow(name: str) -> None:
    image = picture()
    weak, strong = WEAK.get(name, 95), STRONG.get(name, 10)
    result = degrade(image, name, strong, 0, "d")
    np.testing.assert_array_equal(result, degrade(image, name, strong, 0, "d"))
    assert result.dtype == np.uint8
    if name not in {"downscale", "upload", "share"}:
        assert result.shape == image.shape
        errors = [np.abs(degrade(image, name, s, 0, "d").astype(int) - image).mean() for s in (weak, strong)]
        assert errors[0] < errors[1]
    if weak in (0, 1):
        np.testing.assert_array_equal(degrade(image, name, weak, 0, "d"), image)


def test_noise_of_a_sweep_is_one_pattern_that_grows() -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    few, many = (degrade(grey, "noise", sigma, 0, "d").astype(float) - 128 for sigma in (10, 20))
    assert np.abs(2 * few - many).max() <= 1.5
    other = degrade(grey, "noise", 10, 0, "e").astype(float) - 128
    assert abs(np.corrcoef(few.ravel(), other.ravel())[0, 1]) < 0.1


def test_downscale_is_down_only_and_chains_run_in_order() -> None:
    image = picture(60, 80)
    assert degrade(image, "downscale", 0.5, 0, "d").shape == (30, 40, 3)
    small = np.asarray(Image.fromarray(image).resize((60, 45), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(degrade(image, "upload", 60, 0, "d"), through_jpeg(small, 60))
    shared = degrade(image, "share", 60, 0, "d")
    top, left = 45 - shared.shape[0], 60 - shared.shape[1]
    assert 1 <= top <= 7
    assert 1 <= left <= 7
    np.testing.assert_array_equal(shared, through_jpeg(through_jpeg(small, 60)[top:, left:], 60))


@pytest.mark.parametrize(("name", "strength"), [("jpeg", 0), ("webp", 101), ("downscale", 0), ("crop", 1)])
def test_an_impossible_strength_is_named(name: str, strength: float) -> None:
    with pytest.raises(ValueError, match=f"{name!r}: .* = {strength}; allowed: "):
        degrade(picture(), name, strength, 0, "d")


# --- alignment


@pytest.mark.parametrize(
    ("shape", "to"), [((60, 80), (64, 85)), ((300, 40), (480, 64)), ((64, 64), (64, 64)), ((10, 9), (71, 64))]
)
def test_aligned_pictures_have_one_shorter_side_and_one_quality(shape: tuple, to: tuple) -> None:
    result = align(picture(*shape), 80, 64)
    assert result.shape == (*to, 3)
    # what has been through JPEG at a quality changes little when it goes through again
    assert np.abs(through_jpeg(result, 80).astype(int) - result).mean() < 1


def test_alignment_leaves_out_what_is_not_asked_for() -> None:
    image = picture(64, 64)
    np.testing.assert_array_equal(align(image, None, None), image)
    np.testing.assert_array_equal(align(image, None, 64), image)
    np.testing.assert_array_equal(align(image, 70, None), through_jpeg(image, 70))
    large = Image.fromarray(picture(128, 256))
    expected = np.asarray(large.resize((128, 64), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(align(np.asarray(large), None, 64), expected)
