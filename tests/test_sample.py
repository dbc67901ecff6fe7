from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rine import sample as sample_module
from rine.dataset.config import DatasetConfig
from rine.dataset.generators import FAMILY
from rine.dataset.layouts import list_all
from rine.sample import SampleError, Sizes, make_sample, render
from rine.sample.cameras import camera_of, taken
from rine.sample.folder import write_mark
from rine.sample.layout import pictures
from rine.sample.pixels import noise, rng_of
from rine.sample.scenes import SCENES, paint
from rine.sample.simulated import GENERATORS, generated

TINY = Sizes(train=2, val=1, test=1, latent_train=4, latent_valid=2, synthbuster=1)
DATASETS = {
    "forensynths": DatasetConfig(layout="forensynths"),
    "diffusion": DatasetConfig(layout="universal_fake_detect"),
    "ldm": DatasetConfig(layout="dmimagedetection"),
    "synthbuster": DatasetConfig(layout="synthbuster"),
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample") / "data"
    make_sample(root, TINY, workers=1)
    return root


@pytest.fixture
def without_rendering(monkeypatch):
    """For tests of the folder alone: a file's content is its name."""
    monkeypatch.setattr("rine.sample.render", lambda item, seed: item.path.encode())


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_real_loaders_find_every_set_with_both_labels(sample):
    listings = list_all(sample, DATASETS)
    found = [picture for listing in listings.values() for picture in listing.pictures]
    tests = [test for listing in listings.values() for test in listing.test_sets]
    assert {test.generator for test in tests} == set(FAMILY)
    for test in tests:
        assert any(p.source == test.fake and p.label == 1 for p in found)
        assert any(p.source == test.real and p.label == 0 for p in found)
    for split in ("train", "val"):
        latent = [p for p in listings["ldm"].pictures if p.split == split]
        n = TINY.latent_train if split == "train" else TINY.latent_valid
        assert [sum(p.label == label for p in latent) for label in (0, 1)] == [n, n]
        assert {p.source for p in latent if p.label == 0} == {"lsun", "coco"}
    # every picture in the folder belongs to a set
    on_disk = {path for path in contents(sample) if path.endswith(("png", "jpg"))}
    assert {p.path for p in found} == on_disk == {item.path for item in pictures(TINY)}


def test_no_picture_is_in_two_splits_or_twice(sample):
    listing = list_all(sample, DATASETS)["ldm"]
    splits = defaultdict(set)
    for picture in listing.pictures:
        splits[picture.path].add(picture.split)
    assert all(len(of) == 1 for of in splits.values())
    bytes_of = [content for path, content in contents(sample).items() if path.endswith(("png", "jpg"))]
    assert len(set(bytes_of)) == len(bytes_of)


def test_labels_share_size_format_and_mode_but_for_the_leak_left_in_laion(sample):
    def facts(path: str) -> tuple:
        with Image.open(sample / path) as image:
            return image.size, image.format, image.mode

    by_set = defaultdict(set)
    for path in (item.path for item in pictures(TINY)):
        by_set["synthbuster" if path.startswith(("synthbuster", "RAISE")) else "other"].add(
            (facts(path), "/laion/" in path)
        )
    assert by_set["synthbuster"] == {(((320, 288), "PNG", "RGB"), False)}
    assert by_set["other"] == {(((256, 256), "PNG", "RGB"), False), (((256, 256), "JPEG", "RGB"), True)}


def test_counts_are_those_of_the_folder(sample):
    counts = make_sample(sample, TINY, workers=1)
    assert counts.pop("new") == 0
    assert sum(counts.values()) == len(pictures(TINY))
    assert counts["train"] == 2 * 4 * TINY.train
    assert counts["synthbuster"] == 9 * counts["RAISEpng"]


def test_bytes_do_not_depend_on_workers(sample, tmp_path):
    make_sample(tmp_path / "two", TINY, workers=2)
    assert contents(tmp_path / "two") == contents(sample)


def test_another_seed_makes_other_pictures():
    item = pictures(TINY)[0]
    assert render(item, 0) == render(item, 0) != render(item, 1)


@pytest.mark.usefixtures("without_rendering")
def test_the_same_sample_again_writes_nothing(tmp_path):
    make_sample(tmp_path, TINY, workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make_sample(tmp_path, TINY, workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.usefixtures("without_rendering")
def test_killed_and_started_again_equals_uninterrupted(tmp_path):
    def killed(files, total, description):
        for i, file in enumerate(files):
            if i == 20:
                raise KeyboardInterrupt
            yield file

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    make_sample(whole, TINY, workers=1)
    with pytest.raises(KeyboardInterrupt):
        make_sample(broken, TINY, workers=1, track=killed)
    there = {path for path in contents(broken) if path.endswith(("png", "jpg"))}
    assert 0 < len(there) < len(pictures(TINY))
    half_written = broken / (pictures(TINY)[-1].path + ".part")
    half_written.parent.mkdir(parents=True, exist_ok=True)
    half_written.write_bytes(b"half")
    assert make_sample(broken, TINY, workers=1)["new"] == len(pictures(TINY)) - len(there)
    assert contents(broken) == contents(whole)


@pytest.mark.usefixtures("without_rendering")
def test_a_worker_ends_with_who_started_it(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(os, "_exit", lambda status: ended.set())
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(join=lambda: None))
    sample_module._end_with_parent()
    assert ended.wait(10)


def test_a_file_that_went_missing_is_made_again(sample, tmp_path):
    there = Path(shutil.copytree(sample, tmp_path / "data"))
    (there / pictures(TINY)[3].path).unlink()
    assert make_sample(there, TINY, workers=1)["new"] == 1
    assert contents(there) == contents(sample)


def _stranger(root: Path) -> None:
    (root / "holiday.jpg").write_bytes(b"mine")


def _empty_stranger(root: Path) -> None:
    (root / "mine").mkdir()


def _no_mark(root: Path) -> None:
    (root / "sample.json").unlink()


def _other_mark(root: Path) -> None:
    (root / "sample.json").write_text("{}")


def _changed(root: Path) -> None:
    (root / pictures(TINY)[3].path).write_bytes(b"mine")


def _changed_while_partial(root: Path) -> None:
    _changed(root)
    write_mark(root, json.loads((root / "sample.json").read_text())["made with"], {})


def _link(root: Path) -> None:
    (root / "link").symlink_to(root.parent)


@pytest.mark.usefixtures("without_rendering")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_stranger, "holiday.jpg"),
        (_empty_stranger, "mine/"),
        (_no_mark, "no sample.json"),
        (_other_mark, "sample.json is not the mark"),
        (_changed, "is not as the sample has it"),
        (_changed_while_partial, "is not as the sample has it"),
        (_link, "link"),
    ],
)
def test_what_is_not_the_sample_is_refused_and_left_alone(tmp_path, change, named):
    root = tmp_path / "data"
    make_sample(root, TINY, workers=1)
    change(root)
    before = contents(root)
    with pytest.raises(SampleError, match=named):
        make_sample(root, TINY, workers=1)
    assert contents(root) == before


@pytest.mark.usefixtures("without_rendering")
@pytest.mark.parametrize(("sizes", "seed"), [(TINY, 1), (Sizes(2, 1, 1, 4, 2, 2), 0)])
def test_another_sample_is_refused(tmp_path, sizes, seed):
    make_sample(tmp_path, TINY, workers=1)
    before = contents(tmp_path)
    with pytest.raises(SampleError, match=r"another sample|not of the sample"):
        make_sample(tmp_path, sizes, seed, workers=1)
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("without_rendering")
def test_pictures_of_ones_own_under_the_samples_names_are_kept(tmp_path):
    own = tmp_path / pictures(TINY)[3].path
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(SampleError, match=r"no sample\.json"):
        make_sample(tmp_path, TINY, workers=1)
    assert contents(tmp_path) == {pictures(TINY)[3].path: b"mine"}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(SampleError, match="is a file"):
        make_sample(tmp_path / "data", TINY, workers=1)


def test_progress_is_told_of_every_picture(tmp_path, without_rendering):
    told = []

    def track(files, total, description):
        told.append(total)
        for file in files:
            told.append(file[0])
            yield file

    make_sample(tmp_path, TINY, workers=1, track=track)
    assert told == [len(pictures(TINY)), *(item.path for item in pictures(TINY))]


def _phases(image: np.ndarray, period: int) -> np.ndarray:
    """(period, period): how much each place in a period is brighter than its surroundings, on average."""
    grey = image[32:-32, 32:-32].mean(axis=2)
    height, width = (n - n % period for n in grey.shape)
    blocks = grey[:height, :width].reshape(height // period, period, width // period, period)
    return (blocks - blocks.mean(axis=(1, 3), keepdims=True)).mean(axis=(0, 2))


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """Twelve pictures of one camera: a trace is weaker than what a single picture has by chance."""
    rngs = [rng_of(0, "test", str(i)) for i in range(12)]
    return [taken(paint(SCENES["cat"], 256, 256, rng), SCENES["cat"], camera_of("lsun", 0), rng) for rng in rngs]


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_generator_leaves_a_periodic_trace_that_its_camera_does_not(name, photographs):
    period = 2 ** GENERATORS[name].doublings
    real = np.stack([_phases(photograph, period) for photograph in photographs])
    rngs = [rng_of(0, "test", name, str(i)) for i in range(len(photographs))]
    fake = np.stack(
        [_phases(generated(image, name, rng), period) for image, rng in zip(photographs, rngs, strict=True)]
    )
    traces = fake - real
    assert traces[:4].mean(0).std() > 2 * real[:4].mean(0).std()
    # the same network leaves the same trace in all pictures: in each third of them
    thirds = traces.reshape(3, 4, -1).mean(1)
    assert np.corrcoef(thirds).min() > 0.5


def test_a_deepfake_changes_the_face_alone():
    rng = rng_of(0, "test")
    photograph = taken(paint(SCENES["face"], 256, 256, rng), SCENES["face"], camera_of("deepfake", 0), rng)
    changed = (generated(photograph, "deepfake", rng) != photograph).any(axis=2)
    assert not changed[:16].any()
    assert changed[112:144, 112:144].all()


def test_every_published_generator_is_simulated_and_no_two_alike():
    assert set(GENERATORS) == set(FAMILY) | {"latent_diffusion"}
    made = {item.generator for item in pictures(TINY)} - {""}
    assert made == set(GENERATORS)


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_photograph_uses_the_range_and_is_well_exposed(scene):
    rng = rng_of(0, "test", scene)
    photograph = taken(paint(SCENES[scene], 256, 256, rng), SCENES[scene], camera_of("lsun", 0), rng)
    assert photograph.shape == (256, 256, 3)
    assert photograph.dtype == np.float32
    assert 0 <= photograph.min() < 0.2 < 0.6 < photograph.max() <= 1
    assert photograph.mean() == pytest.approx(0.45 * SCENES[scene].light, abs=0.06)


def test_noise_has_mean_zero_and_variance_one():
    values = noise(rng_of(0, "noise"), (301, 333))
    assert values.shape == (301, 333)
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)


def test_a_png_decodes_to_what_was_rendered():
    item = next(item for item in pictures(TINY) if item.generator == "glide")
    with Image.open(io.BytesIO(render(item, 0))) as image:
        assert image.size == (item.shape[1], item.shape[0])
        assert np.asarray(image).std() > 10


def test_needs_no_torch():
    code = "import sys, rine.sample; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
