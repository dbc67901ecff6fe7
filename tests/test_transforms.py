"""Crops equal torchvision's, the augmentation its steps on the whole picture; names alone decide a draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision import transforms as tv

from rine.pixels import transforms
from rine.pixels.transforms import augment, blurred, centre_crop, jpeg, recoded, rng_for, ten_crop

SIZES = [
    (224, 224),
    (256, 256),
    (255, 301),
    (225, 227),
    (640, 480),
    (100, 300),
    (223, 100),
    (1, 1),
    (333, 111),
]


@dataclass(frozen=True)
class Config:
    mode: str = "paper"
    views: int = 1
    blur_p: float = 0.5
    blur_sigma: tuple[float, float] = (0.0, 3.0)
    jpeg_p: float = 0.5
    jpeg_quality: tuple[int, int] = (30, 100)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colours that vary slowly, with grain and a flat corner."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    image = np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)
    image[: height // 3, : width // 3] = 255
    return image


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [224, 31])
def test_centre_crop_is_that_of_torchvision(height: int, width: int, size: int) -> None:
    image = picture(height, width)
    expected = np.asarray(tv.CenterCrop(size)(Image.fromarray(image)))
    np.testing.assert_array_equal(centre_crop(image, size), expected)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_ten_crop_is_that_of_torchvision(height: int, width: int) -> None:
    image = picture(height, width)
    crops = ten_crop(image, 224)
    assert crops.shape == (10, 224, 224, 3)
    large = Image.fromarray(transforms.pad(image, 224))
    for crop, expected in zip(crops, tv.TenCrop(224)(large), strict=True):
        np.testing.assert_array_equal(crop, np.asarray(expected))


def test_a_small_picture_is_padded_as_torchvision_pads_it() -> None:
    image = picture(100, 301)
    padded = transforms.pad(image, 224)
    assert padded.shape == (224, 301, 3)
    np.testing.assert_array_equal(centre_crop(padded, 224), np.asarray(tv.CenterCrop(224)(Image.fromarray(image))))


def test_crops_share_no_memory_with_the_picture() -> None:
    image = picture(300, 300)
    assert not np.shares_memory(centre_crop(image, 224), image)


def stepwise(image: np.ndarray, rng: np.random.Generator, config: Config, size: int) -> np.ndarray:
    """Each step of the augmentation on the whole picture, by channel, as the published code does it."""
    blur, code, flip = rng.random(3)
    where_sigma, where_quality, where_top, where_left = rng.random(4)
    image = image.copy()
    if blur < config.blur_p:
        low, high = config.blur_sigma
        sigma = low + (high - low) * where_sigma
        for channel in range(3):
            gaussian_filter(image[:, :, channel], output=image[:, :, channel], sigma=sigma)
    if code < config.jpeg_p:
        low, high = config.jpeg_quality
        quality = [low, high][int(where_quality * 2)]
        if config.mode == "paper":
            quality = low + int(where_quality * (high - low + 1))
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        image = np.asarray(Image.open(file))
    top = int(where_top * (max(image.shape[0] - size, 0) + 1))
    left = int(where_left * (max(image.shape[1] - size, 0) + 1))
    image = centre_crop(image[top : top + size, left : left + size], size)
    return image[:, ::-1] if flip < 0.5 else image


@pytest.mark.parametrize("mode", ["paper", "reference"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 75), (40, 90), (130, 33), (23, 9), (150, 150)])
def test_augment_equals_its_steps_on_the_whole_picture(mode: str, height: int, width: int) -> None:
    image = picture(height, width)
    config = Config(mode=mode, blur_p=0.6, jpeg_p=0.7)
    for view in range(40):
        expected = stepwise(image, rng_for(0, "digest", view), config, 40)
        np.testing.assert_array_equal(augment(image, rng_for(0, "digest", view), config, 40), expected)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 2.9, 30.0])
def test_blur_of_a_part_is_the_part_of_scipys_blur(sigma: float) -> None:
    image = picture(50, 61)
    whole = gaussian_filter(image, (sigma, sigma, 0))
    for rows, columns in [
        (slice(0, 50), slice(0, 61)),
        (slice(13, 30), slice(40, 61)),
        (slice(49, 50), slice(0, 1)),
    ]:
        np.testing.assert_array_equal(blurred(image, sigma, rows, columns), whole[rows, columns])


def test_jpeg_of_the_needed_blocks_is_the_part_of_the_whole() -> None:
    image = picture(101, 90)
    whole = jpeg(image, 40)
    for start in range(0, 60):
        rows, columns = slice(start, start + 31), slice(59 - start, 90 - start)
        cut, across = transforms._coded(rows, 101), transforms._coded(columns, 90)
        part = jpeg(image[cut, across], 40)
        inside = part[start - cut.start :][:31, columns.start - across.start :][:, :31]
        np.testing.assert_array_equal(inside, whole[rows, columns])


def test_a_view_depends_on_its_names_alone() -> None:
    image, config = picture(80, 80), Config()
    views = [augment(image, rng_for(3, "digest", view), config, 64) for view in range(6)]
    again = [augment(image, rng_for(3, "digest", view), config, 64) for view in reversed(range(6))]
    for view, same in zip(views, reversed(again), strict=True):
        np.testing.assert_array_equal(view, same)
    assert len({view.tobytes() for view in views}) > 1
    for other in (rng_for(4, "digest", 0), rng_for(3, "other", 0), rng_for(3, "digest", 1)):
        assert other.random() != rng_for(3, "digest", 0).random()


def test_a_number_and_its_text_name_the_same_draw_and_keys_do_not_run_together() -> None:
    assert rng_for(0, "a", 1).random() == rng_for(0, "a", "1").random()
    assert rng_for(0, "ab", "c").random() != rng_for(0, "a", "bc").random()
    assert rng_for(1, 2).random() != rng_for(12).random()


def test_the_draws_of_a_seed_stay_what_they_are() -> None:
    # cached features were made with these: a change here silently mixes two augmentations in one store
    assert rng_for(0, "digest", 0).random(2).tolist() == [0.6493952558971405, 0.009611180162445776]


def test_modes_draw_the_quality_from_a_range_or_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(transforms, "jpeg", lambda image, quality: seen.append(quality) or image)
    image, config = picture(16, 16), Config(blur_p=0, jpeg_p=1)
    for view in range(3000):
        augment(image, rng_for(0, view), config, 16)
    assert set(seen) == set(range(30, 101))
    seen.clear()
    for view in range(300):
        augment(image, rng_for(0, view), replace(config, mode="reference"), 16)
    assert set(seen) == {30, 100}
    assert 0.4 < np.mean(np.array(seen) == 30) < 0.6


def test_probabilities_are_kept() -> None:
    image = picture(32, 32)
    plain = {image.tobytes(), image[:, ::-1].tobytes()}

    def changed(config: Config) -> float:
        return np.mean([augment(image, rng_for(1, view), config, 32).tobytes() not in plain for view in range(400)])

    assert changed(Config(blur_p=0, jpeg_p=0)) == 0
    assert changed(Config(blur_p=1, blur_sigma=(1, 2), jpeg_p=0)) == 1
    assert changed(Config(blur_p=0, jpeg_p=1)) == 1
    assert changed(Config(blur_p=0, jpeg_p=0.5)) == pytest.approx(0.5, abs=0.08)
    assert changed(Config(blur_p=0.5, blur_sigma=(1, 2), jpeg_p=0.5)) == pytest.approx(0.75, abs=0.08)


def test_crops_reach_every_place_and_half_are_mirrored() -> None:
    image = np.zeros((10, 11, 3), np.uint8)
    image[..., 0] = np.arange(10)[:, None]
    image[..., 1] = np.arange(11)
    views = [augment(image, rng_for(0, view), Config(blur_p=0, jpeg_p=0), 8) for view in range(600)]
    places = {(int(view[0, 0, 0]), int(view[0, :, 1].min())) for view in views}
    assert places == {(top, left) for top in range(3) for left in range(4)}
    assert np.mean([view[0, 0, 1] > view[0, 1, 1] for view in views]) == pytest.approx(0.5, abs=0.07)


def test_views_are_whole_arrays_that_torch_takes_without_a_copy() -> None:
    image = picture(60, 60)
    for view in range(20):
        pixels = augment(image, rng_for(0, view), Config(), 48)
        assert pixels.shape == (48, 48, 3)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable


@pytest.mark.parametrize("quality", [0, 101])
def test_an_impossible_quality_is_named(quality: int) -> None:
    with pytest.raises(ValueError, match=f"JPEG quality {quality}; allowed: 1 to 100"):
        recoded(picture(8, 8), "JPEG", quality)
