"""The benchmarks: medians and ratios are right, and both ways of each row compute the same thing."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import added, cluster, driver, encoder, flops, heads, measure, programme, report, store, views
from benchmarks.made import Tokens, encoded, index, picture
from benchmarks.measure import Figure, Skipped

from rine import encoder as encoders
from rine import params
from rine.caching import by_actors
from rine.caching.on_actor import Encoding
from rine.caching.store import Store
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.features import Features
from rine.params import Params
from rine.pixels.config import AugmentationConfig
from rine.training import Run

STUDY = Path(__file__).parent.parent / "params.yaml"
TOWER = TowerConfig(image_size=32, patch_size=16, width=64, layers=3, head_width=32)
TINY = EncoderConfig(name="ViT-T/16", model=TOWER, pretrained="random", seed=0)


@pytest.fixture
def study() -> Params:
    """The sample study with pictures and an encoder that take no time, and without what is drawn at random."""
    whole = params.read(STUDY)
    return replace(
        whole,
        encoders=whole.encoders | {whole.encoder: TINY},
        augmentation=replace(whole.augmentation, blur_p=0.0, jpeg_p=0.0),
        training=replace(whole.training, batch_size=8, dropout=0.0),
        runtime=replace(whole.runtime, device="cpu", workers=1),
    )


def figure(samples: tuple[float, ...], goal: float, at_least: bool = True) -> Figure:
    return Figure("row", "what", "against", samples, goal, {}, at_least)


def test_ways_take_turns_and_every_other_round_runs_backwards() -> None:
    done: list[str] = []
    seconds = measure.in_turn([lambda: done.append("a"), lambda: done.append("b")], 5)
    assert "".join(done) == "ab" + "ab" + "ba" + "ab" + "ba" + "ab"
    assert seconds.shape == (5, 2)
    assert (seconds >= 0).all()
    with pytest.raises(ValueError, match="at least 5"):
        measure.in_turn([], 4)


def test_a_ratio_is_the_median_of_those_of_neighbours() -> None:
    ours = np.array([1.0, 2.0, 4.0, 8.0, 16.0])  # a machine that slows down
    samples = measure.ratios(3 * ours, ours)
    assert samples == pytest.approx([3.0] * 5)
    assert figure((9.0, 1.0, 3.0, 2.0, 100.0), 3.0).value == 3.0


def test_a_goal_is_reached_from_its_own_side() -> None:
    assert figure((1.5,), 1.5).reached
    assert not figure((1.4,), 1.5).reached
    assert figure((1.4,), 1.5, at_least=False).reached
    assert not figure((1.6,), 1.5, at_least=False).reached


def test_the_report_says_what_was_missed_and_what_was_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [figure((2.0,) * 5, 1.5), figure((1.0,) * 5, 1.5), Skipped("row", "on a device", "no CUDA device here")]
    about = report.machine()
    report.show(found, about)
    report.write(found, about, tmp_path / "bench.json")
    report.draw(found, about, tmp_path / "bench.png")
    text = capsys.readouterr().out
    assert "reached" in text
    assert "missed" in text
    assert "no CUDA device here" in text
    assert (tmp_path / "bench.json").read_text().count('"reached"') == 2
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_the_encoder_and_hooks_give_the_same_tokens() -> None:
    ours = encoders.load(TINY, "cpu")
    pictures = encoder.noise(5, 32)
    assert encoder.relative_error(ours(pictures), encoder.hooked(TINY, ours)(pictures)) < encoder.CLOSE


def test_operations_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    ours = encoders.load(TINY, "cpu")
    block = ours.body.transformer.resblocks[0]
    T, D = ours.body.sequence, ours.width
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        x = torch.zeros(1, T, D)
        block.feed(x, block.attend(x))
    attention = 4 * T * T * D  # not counted on every device
    assert counter.get_total_flops() in {24 * T * D * D, 24 * T * D * D + attention}
    one_block_more = replace(TINY, model=replace(TOWER, layers=4))
    more = flops.operations(encoders.load(one_block_more, "cpu")) - flops.operations(ours)
    assert more == 24 * T * D * D + attention


def test_heads_trained_together_are_those_trained_one_by_one() -> None:
    tokens, config = Tokens(24, 3, 16), replace(heads.CONFIG, batch_size=8, dropout=0.0)
    runs = [Run(q=q, proj_dim=8, xi=xi) for q in (1, 2) for xi in (0.1, 0.8)]
    pairs = zip(heads.together(tokens, runs, config), heads.one_by_one(tokens, runs, config), strict=True)
    for ours, theirs in pairs:
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_views_and_the_references_chain_give_the_same_pixels(kind: str) -> None:
    data = encoded(picture(0, 64), kind)
    config = AugmentationConfig(
        mode="reference", views=8, blur_p=1.0, blur_sigma=(1.5, 1.5), jpeg_p=1.0, jpeg_quality=(30, 30), seed=0
    )
    ours = views.augmented(data, "digest", views.recipe(config, 64), 8)  # (8, 64, 64, 3), some of them flipped
    chain = views.Chain(config, 64)
    random.seed(0)
    torch.manual_seed(0)
    normalise = chain.rest.transforms.pop()
    theirs = {(chain(data) * 255).round().byte().permute(1, 2, 0).numpy().tobytes() for _ in range(20)}
    assert len(theirs) == 2
    assert {view.tobytes() for view in ours} == theirs
    assert type(normalise).__name__ == "Normalize"
    assert views.same_as_pillow(data, 33)


def test_the_store_gives_the_rows_of_the_memory_map(tmp_path: Path) -> None:
    made = Store.open(tmp_path, {}, {}, (3, 8))
    tokens = np.random.default_rng(0).standard_normal((10, 3, 8)).astype(np.float16)
    made.write([f"1/{i}" for i in range(6)], tokens[4:])
    made.write([f"0/{i}" for i in range(4)], tokens[:4])
    store.save(tmp_path / "one.npy", tokens)
    batch = np.array([7, 0, 9, 3, 4])
    features: Features = store.opened(made)
    assert np.array_equal(features.array(batch), np.load(tmp_path / "one.npy", mmap_mode="r")[batch])


def test_adding_a_generator_encodes_its_pictures_alone(tmp_path: Path, study: Params) -> None:
    work = added.Work(tmp_path, study, there=6, new=3, side=40)
    assert "encoded 3, reused 0" in work.alone()
    assert "encoded 3, reused 6" in work.added()
    assert "encoded 3, reused 6" in work.added()  # each round starts from the same store
    folder = Path("features") / study.encoder / "test"
    alone, both = (Features.open(tmp_path / "artifacts" / name / folder) for name in ("empty", "some"))
    assert torch.equal(both.select((both.rows["source"] == "new").to_numpy()).tokens(), alone.tokens())


def test_one_process_and_an_actor_store_the_same(tmp_path: Path, study: Params) -> None:
    pair = cluster.Pair(tmp_path, study, pictures=2, rounds=1, side=40, shard=2)
    pair.alone()
    with by_actors.token(tmp_path) as token:
        work = Encoding(pair.errand(token))
        assert sum(work(each).value for each in pair.work("actors")) == 2 * study.augmentation.views
    alone, actors = ({file.name: file.read_bytes() for file in made.folder.iterdir()} for made in pair.stores.values())
    assert len(alone) > 2
    assert alone == actors


def test_a_driver_keeps_workers_that_sleep_busy() -> None:
    done = driver.simulate(8, 4, 0.1, 2, different=1)
    assert all(0.5 < share <= 1.0 for share in done.shares)
    assert done.rate == pytest.approx(80 * np.median(done.shares), rel=0.1)


def test_the_programme_and_the_references_way_give_the_same_logits(tmp_path: Path, study: Params) -> None:
    # mirrored pictures as large as the crop, all in one batch: nothing is left to draw
    runs = [Run(q=1, proj_dim=8, xi=0.1), Run(q=2, proj_dim=8, xi=0.4)]
    work = programme.Work(tmp_path, study, runs, train=8, test=6, side=32, mirrored=True)
    np.testing.assert_allclose(work.ours(), work.theirs(), atol=2e-4)  # tokens are kept as float16


def test_pictures_are_made_as_their_table_says(tmp_path: Path) -> None:
    table = index(tmp_path, "a", 3, "test", 16, mirrored=True)
    assert table["digest"].nunique() == 3
    from rine.pixels.pictures import open_rgb

    pixels = open_rgb(tmp_path / table["path"][0], 10**6)
    assert np.array_equal(pixels, pixels[:, ::-1])


@pytest.mark.parametrize(
    ("status", "found", "asked", "outcome"),
    [
        (200, [("real", -1.0)], [("real", -1.0)], "answered"),
        (200, [("real", -1.1)], [("real", -1.0)], "wrong"),
        (200, [("synthetic", -1.0)], [("real", -1.0)], "wrong"),
        (422, [None], [("real", -1.0)], "wrong"),
        (422, [None], [None], "answered"),
        (200, [("real", -1.0)], [None], "wrong"),
        (200, [None, ("real", -1.0)], [None, ("real", -1.0)], "answered"),
        (200, [("real", -1.0), None], [None, ("real", -1.0)], "wrong"),
        (400, [], [], "answered"),
        (200, [], [], "wrong"),
        (500, [], [], "wrong"),
        (500, [], [None], "wrong"),
        (429, [], [None], "lost"),
    ],
)
def test_the_load_run_tells_a_wrong_answer(
    status: int, found: list[tuple[str, float] | None], asked: list[tuple[str, float] | None], outcome: str
) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    load = pytest.importorskip("benchmarks.load")
    rows = [dict(zip(("verdict", "logit", "error"), (*(row or (None, None)), not row), strict=True)) for row in found]
    assert load.outcome(httpx.Response(status, json={"results": rows}), asked) == outcome
