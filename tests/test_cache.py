"""The cache stage encodes each view once, goes on where it was killed, and its output does not show how it was made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from rine import Detector, device, params
from rine import encoder as encoders
from rine.features import Features
from rine.features.table import INDEX
from rine.features.table import read as read_table
from rine.heads import HeadConfig, seeded_head
from rine.heads.scoring import logits
from rine.models import checkpoint
from rine.params import Params
from rine.paths import Paths
from rine.pixels.pictures import open_rgb
from rine.pixels.transforms import augment, centre_crop, rng_for
from rine.stages.cache import run as run_stage

STUDY = Path(__file__).parent.parent / "params.yaml"
TOWER = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 2, "head_width": 32}


def study(root: Path, **changes: object) -> dict:
    """The sample study with an encoder and crops that take no time."""
    raw = yaml.safe_load(STUDY.read_text())
    raw["encoders"] = {
        "tiny": {"name": "ViT-T/16", "model": TOWER, "pretrained": "random", "seed": 0},
        "other": {"name": "ViT-T/16 b", "model": TOWER, "pretrained": "random", "seed": 1},
    }
    raw["encoder"] = "tiny"
    raw["prepare"]["root"] = str(root / "data")
    raw["augmentation"]["views"] = 3
    raw["cache"]["shard_rows"] = 7
    raw["runtime"] |= {"arithmetic": "portable", "device": "cpu", "workers": 1}
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        place = raw
        for part in path:
            place = place[part]
        place[last] = value
    return raw


def cache(item: str, study: Params, artifacts: Path) -> str:
    """Run one item of the stage, named as DVC names it."""
    return run_stage(study, Paths(artifacts), *item.split("-"))


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 44, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def table(root: Path, counts: dict[tuple[str, int, str], int]) -> pd.DataFrame:
    """Make pictures and their index: (source, label, split) -> how many."""
    rows = []
    for (source, label, split), n in counts.items():
        for i in range(n):
            path = f"{source}/{label}/{split}/{i:02d}.png"
            file = root / "data" / path
            if not file.is_file():
                picture(file, seed=int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest(), "big"))
            digest = hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
            rows.append([path, label, source, "", split, 44, 40, "PNG", "RGB", digest, "centre"])
    return pd.DataFrame(rows, columns=list(INDEX)).sort_values(["source", "label", "path"])


def write_index(root: Path, which: str, counts: dict[tuple[str, int, str], int]) -> pd.DataFrame:
    pictures = table(root, counts)
    folder = root / "artifacts" / "index"
    folder.mkdir(parents=True, exist_ok=True)
    pictures["crops"] = "ten" if which == "synthbuster" else "centre"
    pictures.to_csv(folder / f"{which}.csv", index=False)
    return pictures


TRAIN = {("gan", 0, "train"): 5, ("gan", 1, "train"): 4, ("gan", 1, "val"): 2}
TEST = {("gan", 0, "test"): 4, ("gan", 1, "test"): 6, ("a/b", 1, "test"): 9}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    write_index(tmp_path, "train", TRAIN)
    write_index(tmp_path, "test", TEST)
    return tmp_path


def parsed(root: Path, **changes: object) -> Params:
    return params.parse(study(root, **changes))


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_cached_tokens_are_the_live_ones_to_the_last_bit(root: Path) -> None:
    study = parsed(root)
    line = cache("tiny-train", study, root / "artifacts")
    assert "11 pictures, 29 views: encoded 29, reused 0" in line
    features = Features.open(root / "artifacts" / "features" / "tiny" / "train")
    encoder = encoders.load(study.encoders["tiny"], "cpu")
    assert len(features) == 29
    for number, row in features.rows.iterrows():
        image = open_rgb(root / "data" / row["path"], 10**6)
        if row["view"] == "centre":
            pixels = centre_crop(image, 32)
        else:
            pixels = augment(image, rng_for(0, row["digest"], row["view"]), study.augmentation, 32)
        live = encoder.encode(torch.from_numpy(pixels)[None])
        assert torch.equal(features.tokens(np.array([number])), live), row["path"]


def test_the_table_is_in_canonical_order_with_every_view(root: Path) -> None:
    cache("tiny-train", parsed(root), root / "artifacts")
    rows = Features.open(root / "artifacts" / "features" / "tiny" / "train").rows
    assert rows.equals(rows.sort_values(["source", "label", "path", "view"], ignore_index=True))
    views = rows.groupby("split")["view"].agg(lambda each: sorted(set(each)))
    assert views.to_dict() == {"train": ["0", "1", "2"], "val": ["centre"]}
    about = json.loads((root / "artifacts" / "features" / "tiny" / "train" / "features.json").read_text())
    assert (about["n_blocks"], about["width"], about["encoder"]["name"]) == (2, 64, "ViT-T/16")


def test_a_second_run_encodes_nothing(root: Path) -> None:
    cache("tiny-test", parsed(root), root / "artifacts")
    out = root / "artifacts" / "features" / "tiny" / "test"
    before = files(out)
    assert "encoded 0, reused 19" in cache("tiny-test", parsed(root), root / "artifacts")
    assert files(out) == before


def test_a_whole_shard_is_linked_not_copied(root: Path) -> None:
    cache("tiny-test", parsed(root), root / "artifacts")
    out = root / "artifacts" / "features" / "tiny" / "test"
    assert {file.stat().st_nlink for file in out.glob("*.safetensors")} == {2}


def test_added_pictures_alone_are_encoded_and_other_shards_keep_their_bytes(root: Path) -> None:
    study, artifacts = parsed(root), root / "artifacts"
    out = artifacts / "features" / "tiny" / "test"
    cache("tiny-test", study, artifacts)
    before = files(out)
    write_index(
        root, "test", {("gan", 0, "test"): 4, ("gan", 1, "test"): 6, ("a/b", 1, "test"): 11, ("new", 1, "test"): 3}
    )
    assert "encoded 5, reused 19" in cache("tiny-test", study, artifacts)
    after = files(out)
    kept = [name for name in before if name.startswith("gan") or "000" in name]
    assert len(kept) == 3
    assert all(after[name] == before[name] for name in kept)

    # and the same from nothing: the output does not show in how many steps it came about
    os.environ["RINE_STORE"] = str(root / "another store")
    cache("tiny-test", study, artifacts)
    assert files(out) == after


def test_batch_and_workers_change_no_bytes(root: Path) -> None:
    artifacts = root / "artifacts"
    found = []
    for number, (batch, workers) in enumerate([("auto", 0), (100000, 3)]):
        os.environ["RINE_STORE"] = str(root / f"store {number}")
        cache("tiny-train", parsed(root, runtime__batch_size=batch, runtime__workers=workers), artifacts)
        found.append(files(artifacts / "features" / "tiny" / "train"))
    assert found[0] == found[1]


def test_other_weights_seed_or_transform_share_nothing(root: Path) -> None:
    artifacts = root / "artifacts"
    cache("tiny-train", parsed(root), artifacts)
    assert "encoded 29" in cache("other-train", parsed(root), artifacts)
    assert "encoded 27, reused 2" in cache(
        "tiny-train", parsed(root, augmentation__seed=1), artifacts
    )  # the centre crops stay
    assert "encoded 27" in cache("tiny-train", parsed(root, augmentation__blur_p=0.9), artifacts)
    assert "encoded 29" in cache("tiny-train", parsed(root, cache__align={"jpeg_quality": 90, "size": 36}), artifacts)
    # more draws leave those that there are
    assert "encoded 9, reused 29" in cache("tiny-train", parsed(root, augmentation__views=4), artifacts)


def test_copies_of_a_picture_are_encoded_once(root: Path) -> None:
    artifacts = root / "artifacts"
    for target in ("copy/1/test/00.png", "gan/1/test/98.png", "gan/1/test/99.png"):
        file = root / "data" / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((root / "data" / "gan/1/test/00.png").read_bytes())
    pictures = read_table(artifacts / "index" / "test.csv")
    original = pictures[pictures["path"] == "gan/1/test/00.png"]
    copies = [original.assign(path=f"gan/1/test/{n}.png") for n in (98, 99)]
    copies.append(original.assign(path="copy/1/test/00.png", source="copy"))
    pd.concat([pictures, *copies]).to_csv(artifacts / "index" / "test.csv", index=False)
    assert "encoded 19, reused 3" in cache("tiny-test", parsed(root), artifacts)
    features = Features.open(artifacts / "features" / "tiny" / "test")
    same = features.array(np.flatnonzero(features.rows["digest"] == original["digest"].iat[0]))
    assert len(same) == 4
    assert (same == same[0]).all()


def test_perturbed_sets_hold_the_drawn_half_and_the_sweeps(root: Path) -> None:
    sweeps = {"pictures": 2, "strengths": {"jpeg": [90, 50], "noise": [1.5]}}
    cache("tiny-perturb", parsed(root, perturb__degrade=sweeps), root / "artifacts")
    rows = Features.open(root / "artifacts" / "features" / "tiny" / "perturb").rows
    kinds = rows[~rows["view"].str.contains(":")]
    assert set(kinds["view"]) <= {"blur", "crop", "compress", "noise", "combined"}
    assert 19 < len(kinds) < 19 * 5 - 19  # about half of 95
    swept = rows[rows["view"].str.contains(":")]
    assert swept.groupby(["source", "label"])["digest"].nunique().tolist() == [2, 2, 2]
    assert swept.groupby("view")["path"].agg(tuple).nunique() == 1
    assert set(swept["view"]) == {"jpeg:90", "jpeg:50", "noise:1.5"}


def test_ten_crops_where_the_data_set_says_so(root: Path) -> None:
    pictures = write_index(root, "synthbuster", {("firefly", 1, "test"): 2})
    pictures.assign(crops="ten").to_csv(root / "artifacts" / "index" / "synthbuster.csv", index=False)
    cache("tiny-synthbuster", parsed(root), root / "artifacts")
    rows = Features.open(root / "artifacts" / "features" / "tiny" / "synthbuster").rows
    assert rows["view"].tolist() == [str(i) for i in range(10)] * 2


def test_a_set_with_no_pictures_is_made_without_torch(root: Path) -> None:
    write_index(root, "test", {})
    (root / "params.yaml").write_text(yaml.safe_dump(study(root)))
    program = (
        "import sys; from pathlib import Path; from rine import params; from rine.paths import Paths\n"
        "from rine.stages.cache import run\n"
        f"study, paths = params.read({str(root / 'params.yaml')!r}), Paths(Path({str(root / 'artifacts')!r}))\n"
        "print(run(study, paths, 'tiny', 'test'))\n"
        "assert 'torch' not in sys.modules and 'open_clip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    features = Features.open(root / "artifacts" / "features" / "tiny" / "test")
    assert (len(features), features.n_blocks, features.width) == (0, 2, 64)


def test_pictures_that_are_gone_or_changed_are_named(root: Path) -> None:
    (root / "data" / "a/b/1/test/03.png").unlink()
    (root / "data" / "a/b/1/test/04.png").write_bytes(b"no picture")
    picture(root / "data" / "a/b/1/test/05.png", seed=99)
    with pytest.raises(ValueError, match=r"(?s)rine prepare.*03\.png: No such file.*04\.png.*05\.png: changed since"):
        cache("tiny-test", parsed(root), root / "artifacts")


def test_after_a_picture_was_gone_for_a_while_every_token_is_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows a missing picture in its shard must not take its place, and is not encoded again either."""
    from rine.caching import draft
    from rine.encoder import encoder

    monkeypatch.setattr(draft, "SECONDS_BETWEEN_PARTS", 0.0)
    monkeypatch.setitem(encoder._ROWS, "cpu", 5)  # one picture a batch
    write_index(root, "test", {("gan", 0, "test"): 60})
    study = parsed(root, cache__shard_rows=100)
    out = root / "artifacts" / "features" / "tiny" / "test"
    cache("tiny-test", study, root / "artifacts")
    expected = files(out)

    monkeypatch.setenv("RINE_STORE", str(root / "another store"))
    path = read_table(root / "artifacts" / "index" / "test.csv")["path"].iloc[20]
    (root / "data" / path).rename(root / "away.png")
    with pytest.raises(ValueError, match=re.escape(path)):
        cache("tiny-test", study, root / "artifacts")
    (root / "away.png").rename(root / "data" / path)
    assert cache("tiny-test", study, root / "artifacts").endswith("encoded 1, reused 59")
    assert files(out) == expected
    assert len(shards_in(root / "another store")) == 1


def test_parts_of_a_killed_run_serve_a_set_that_grew_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rine.caching import draft

    monkeypatch.setattr(draft, "SECONDS_BETWEEN_PARTS", 0.0)
    (root / "data" / "a/b/1/test/03.png").rename(root / "away.png")
    with pytest.raises(ValueError, match="No such file"):  # leaves a part of 6 of the first 7 rows
        cache("tiny-test", parsed(root), root / "artifacts")
    (root / "away.png").rename(root / "data" / "a/b/1/test/03.png")
    write_index(root, "test", TEST | {("a/b", 1, "test"): 11})
    assert cache("tiny-test", parsed(root, cache__shard_rows=5), root / "artifacts").endswith("encoded 15, reused 6")


def test_sets_cut_otherwise_share_their_rows(root: Path) -> None:
    artifacts, out = root / "artifacts", root / "artifacts" / "features" / "tiny" / "test"
    assert "encoded 19, reused 0" in cache("tiny-test", parsed(root), artifacts)
    assert "encoded 0, reused 19" in cache("tiny-test", parsed(root, cache__shard_rows=4), artifacts)
    cut = files(out)
    os.environ["RINE_STORE"] = str(root / "another store")
    cache("tiny-test", parsed(root, cache__shard_rows=4), artifacts)
    assert files(out) == cut


def test_a_unit_that_is_done_is_seen_without_reading_other_manifests(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rine.caching.store import Store

    cache("tiny-test", parsed(root), root / "artifacts")
    n_shards = len(shards_in(root / "store"))
    write_index(root, "test", TEST | {("new", 1, "test"): 3})
    read: list[str] = []
    manifest = Store._manifest
    monkeypatch.setattr(Store, "_manifest", lambda store, name: read.append(name) or manifest(store, name))
    monkeypatch.setattr(Store, "find", lambda store, keys, but: pytest.fail("nothing to look for"))
    with pytest.raises(pytest.fail.Exception, match="nothing to look for"):
        cache("tiny-test", parsed(root), root / "artifacts")
    monkeypatch.undo()
    assert len(read) == n_shards + 1  # each unit's own, the new one's is not there


def test_shared_pictures_are_encoded_and_stored_once(root: Path) -> None:
    """Two generators with one folder of real pictures: the same rows in two groups of the set."""
    pictures = read_table(root / "artifacts" / "index" / "test.csv")
    shared = pictures[pictures["source"] == "gan"].assign(source="other")
    pd.concat([pictures, shared]).to_csv(root / "artifacts" / "index" / "test.csv", index=False)
    assert "29 views: encoded 19, reused 10" in cache("tiny-test", parsed(root), root / "artifacts")
    assert len(shards_in(root / "store")) == 4
    features = Features.open(root / "artifacts" / "features" / "tiny" / "test")
    twice = [features.select((features.rows["source"] == source).to_numpy()).array() for source in ("gan", "other")]
    np.testing.assert_array_equal(*twice)
    links = {file.name: file.stat().st_nlink for file in root.glob("artifacts/features/tiny/test/*.safetensors")}
    assert links["other-0-centre-000.safetensors"] == 3  # the store's, and that of each source


def shards_in(store: Path) -> list[Path]:
    return [file for file in store.rglob("*.json") if file.name != "about.json"]


def test_two_names_of_one_encoder_share_a_store(root: Path) -> None:
    study = parsed(root, encoders__other__seed=0)
    assert cache("tiny-test", study, root / "artifacts").endswith("encoded 19, reused 0")
    assert cache("other-test", study, root / "artifacts").endswith("encoded 0, reused 19")


@pytest.mark.parametrize(
    ("item", "changes", "reason"),
    [
        ("other-perturb", {}, "the study reads this set of tiny alone"),
        ("other-ldm", {}, "the study reads this set of tiny alone"),
        ("tiny-perturb", {"perturb": None}, "perturb is null"),
    ],
)
def test_a_set_that_the_study_does_not_read_is_left_empty(
    root: Path, item: str, changes: dict[str, object], reason: str
) -> None:
    write_index(root, "ldm", TRAIN)
    line = cache(item, parsed(root, **changes), root / "artifacts")
    assert line == f"{item}: {reason}; nothing to encode"
    assert len(Features.open(root / "artifacts" / "features" / Path(*item.split("-")))) == 0


def test_a_missing_index_is_an_error(root: Path) -> None:
    (root / "artifacts" / "index" / "test.csv").unlink()
    with pytest.raises(FileNotFoundError, match="rine prepare"):
        cache("tiny-test", parsed(root), root / "artifacts")


def test_encoders_of_different_sizes_are_in_one_study_and_each_has_its_own_crop(root: Path) -> None:
    other = {"name": "ViT-T/16 at 48", "model": TOWER | {"image_size": 48}, "pretrained": "random", "seed": 0}
    study = parsed(root, encoders__other=other)
    for name, size in (("tiny", 32), ("other", 48)):
        assert cache(f"{name}-test", study, root / "artifacts").endswith("encoded 19, reused 0")
        about = json.loads((root / "artifacts" / "features" / name / "test" / "features.json").read_text())
        assert (about["encoder"]["image_size"], about["transforms"]["centre"]["size"]) == (size, size)


def test_small_pictures_are_padded_or_by_declaration_enlarged_and_kept_apart(root: Path) -> None:
    large = {"name": "ViT-T/16 at 64", "model": TOWER | {"image_size": 64}, "pretrained": "random", "seed": 0}
    for small in ("pad", "resize"):  # the pictures have 40 x 44 pixels
        study = parsed(root, cache__small=small, encoders__other=large)
        assert cache("other-test", study, root / "artifacts").endswith("encoded 19, reused 0")


def test_a_picture_is_decoded_once_for_all_its_views(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rine.caching import decode

    opened: list[object] = []
    monkeypatch.setattr(decode, "open_rgb", lambda *args: opened.append(args) or open_rgb(*args))
    assert "encoded 29, reused 0" in cache("tiny-train", parsed(root, runtime__workers=0), root / "artifacts")
    assert len(opened) == 11


PROGRAM = """\
from rine import arithmetic

arithmetic.use("portable")

import os, signal, sys, time
from pathlib import Path
import open_clip
from rine import params
from rine.encoder import encoder
from rine.caching import draft
from rine.paths import Paths
from rine.stages.cache import run

params_file, artifacts, count = sys.argv[1:]
draft.SECONDS_BETWEEN_PARTS = 0.0
encoder._ROWS["cpu"] = 1  # as few pictures a batch as can be: four
forward = encoder.Encoder.forward
def slow(self, pictures):
    os.write(counter, b".")
    time.sleep(0.03)  # or it is done before the kills come
    return forward(self, pictures)
encoder.Encoder.forward = slow

for line in sys.stdin:
    os.environ["RINE_STORE"], seconds = line.split("\\t")
    before = os.path.getsize(count) if os.path.exists(count) else 0
    # forked, so that the seconds that imports take are spent once; nothing has run in this process yet
    if not (child := os.fork()):
        counter = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        print(run(params.read(params_file), Paths(Path(artifacts)), "tiny", "train"), flush=True)
        os._exit(0)
    if float(seconds) >= 0:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (not os.path.exists(count) or os.path.getsize(count) == before):
            time.sleep(0.001)
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(f"exit {status}", flush=True)
"""


def test_killed_at_random_moments_and_started_again_gives_the_same_bytes(root: Path) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(study(root, augmentation__views=5, cache__shard_rows=20)))
    out, count = root / "artifacts" / "features" / "tiny" / "train", root / "count"
    arguments = [str(root / "params.yaml"), str(root / "artifacts"), str(count)]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run(store: str, seconds: float) -> str:
            """Run the stage, and kill it so many seconds after it began to encode (never: -1); what it said."""
            process.stdin.write(f"{root / store}\t{seconds}\n")
            process.stdin.flush()
            lines = []
            while not (line := process.stdout.readline()).startswith("exit"):
                assert line, "the program ended"
                lines.append(line)
            assert line == ("exit 9\n" if seconds >= 0 and not lines else "exit 0\n")
            return "".join(lines)

        assert "encoded 47, reused 0" in run("whole", -1)
        whole, n_forwards = files(out), count.stat().st_size
        assert n_forwards == 13
        moments = np.random.default_rng(0).uniform(0, 0.15, size=10)
        said = []
        for seconds in moments:
            said.append(run("killed", seconds))
            if said[-1]:
                break  # it was done before the kill
        if not said[-1]:
            said.append(run("killed", -1))
        process.stdin.close()
    kills = said.count("")
    assert kills >= 2
    assert "encoded 47" not in said[-1]
    assert files(out) == whole
    # nothing is encoded twice but what was under way
    assert count.stat().st_size - n_forwards <= n_forwards + kills * (2 * device.usable_cores() + 2)
    # a part outlives its unit until the store is opened again, a file half written until nobody can be writing it
    left = [*(root / "killed").rglob("*.tmp"), *(root / "killed").rglob(".tmp*")]
    assert len(left) <= 2 * kills
    for file in left:
        os.utime(file, (0, 0))
    os.environ["RINE_STORE"] = str(root / "killed")
    assert "encoded 0" in cache("tiny-train", params.read(root / "params.yaml"), root / "artifacts")
    kept = {file.name for file in (root / "killed").rglob("*.*")}
    assert kept == {file.name for file in (root / "whole").rglob("*.*")}


def test_scores_from_cached_tokens_are_those_from_pictures(root: Path) -> None:
    study = parsed(root)
    cache("tiny-test", study, root / "artifacts")
    features = Features.open(root / "artifacts" / "features" / "tiny" / "test")
    head = seeded_head(HeadConfig(1, 8, features.n_blocks, features.width), seed=0).eval()
    encoder = asdict(study.encoders["tiny"]) | {"weights": features.about["encoder"]["weights"]}
    meta = {"name": "tiny", "encoder": encoder, "transform": {"crop": 32}, "training": {}, "classes": []}
    checkpoint.save(root / "model.safetensors", head, meta)
    detector = Detector.load(root / "model.safetensors", device="cpu")
    live = [verdict.logit for verdict in detector([root / "data" / path for path in features.rows["path"]])]
    cached = logits([head], features, "cpu")[0]
    assert len(live) == 19
    assert np.ptp(cached) > 1e-3
    np.testing.assert_allclose(live, cached, rtol=1e-6, atol=1e-7)
