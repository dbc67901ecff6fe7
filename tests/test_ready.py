"""Studies that are ready: each reads a miniature of its data set in the layout in which it is distributed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter
from typer.testing import CliRunner

from containers import encoded, write_parquet, write_zip
from dataset_folders import Seeds, config, save, synthbuster
from graph import ROOT
from rine import params
from rine.checks import check
from rine.cli import app
from rine.commands.looked import look
from rine.dataset import index
from rine.dataset.config import DatasetConfig

GENIMAGE = ("Midjourney", "VQDM", "Wukong", "Stable Diffusion V1.4", "Stable Diffusion V1.5", "GLIDE", "BigGAN", "ADM")
AIGIBENCH = ("R3GAN", "FLUX1-dev", "SocialRF")
OPENFAKE = (("real", "real"), ("fake", "flux.1-dev"), ("fake", "gpt-image-1"), ("fake", "sd-3.5"))


def genimage(root: Path) -> None:
    seeds = Seeds()
    for generator in GENIMAGE:
        between = "imagenet_ai_0508_adm/" if generator == "ADM" else ""
        for folder in ("train/ai", "train/nature", "val/ai", "val/nature"):
            seeds.folder(root / "genimage" / generator / between / folder, 2)


def aigibench(root: Path) -> None:
    seeds = Seeds()
    folders = [f"{split}/{name}" for split in ("train", "val") for name in ("car", "cat", "chair", "horse", "sdv1.4")]
    for folder in (*folders, *(f"test/{generator}" for generator in AIGIBENCH)):
        for label in ("0_real", "1_fake"):
            seeds.folder(root / "aigibench" / folder / label, 2)


def openfake(root: Path) -> None:
    for number, name in enumerate(("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")):
        rows = OPENFAKE * 3
        write_parquet(
            root / f"openfake/data/{name}.parquet",
            [encoded(100 * number + i) for i in range(len(rows))],
            prompt=["a horse"] * len(rows),
            label=[label for label, _ in rows],
            model=[model for _, model in rows],
        )


def community_forensics(root: Path) -> None:
    for number, place in enumerate(("community_forensics_small/data", "community_forensics/data/publicEval")):
        n = 12
        write_parquet(
            root / place / "part-00000.parquet",
            [encoded(100 * number + i) for i in range(n)],
            "image_data",
            plain=True,
            image_name=[f"{i:08d}.png" for i in range(n)],
            model_name=["LAION" if i % 2 == 0 else f"stabilityai/sd-{i % 4}" for i in range(n)],
            label=[i % 2 for i in range(n)],
        )


def synthbuster_only(root: Path) -> None:
    generators = ("dalle2", "stable-diffusion-2", "firefly")
    for number, place in enumerate(("RAISEpng", *(f"synthbuster/{generator}" for generator in generators))):
        for i, name in enumerate(("r000da54ft", "r0a1b2c31t", "r0a1b2c39t", "r0a1b2c3dt")):
            save(root / place / f"{name}.png", 10 * number + i)
    (root / "synthbuster/prompts.csv").write_text("image name,prompt\n")


READY: dict[str, tuple[Callable[[Path], None], dict[str, int], list[str]]] = {
    "genimage": (genimage, {"train": 4, "test": 32}, [f"genimage/{name}" for name in sorted(GENIMAGE)]),
    "aigibench": (aigibench, {"train": 40, "test": 12}, [f"aigibench/{name}" for name in sorted(AIGIBENCH)]),
    "openfake": (
        openfake,
        {"train": 24, "test": 12},
        [f"openfake/{name}" for name in sorted(m for _, m in OPENFAKE[1:])],
    ),
    "community_forensics": (
        community_forensics,
        {"train": 12, "test": 12},
        ["public/stabilityai/sd-1", "public/stabilityai/sd-3"],
    ),
    "synthbuster_only": (
        synthbuster_only,
        {"train": 2, "test": 9},
        ["raise", "synthbuster/dalle2", "synthbuster/firefly"],
    ),
}


@pytest.mark.parametrize(("name", "make", "pictures", "generators"), [(k, *v) for k, v in READY.items()], ids=[*READY])
def test_a_ready_study_reads_its_data_set(
    tmp_path: Path, name: str, make: Callable[[Path], None], pictures: dict[str, int], generators: list[str]
) -> None:
    make(tmp_path)
    study = check(params.read(ROOT / "pipeline" / f"{name}.yaml"))
    made = index.build(replace(study.prepare, root=str(tmp_path)), workers=0)
    assert {table: len(rows) for table, rows in made.tables.items() if len(rows)} == pictures
    assert list(made.test_sets["generator"]) == generators
    assert set(made.tables["train"]["label"]) == {0, 1}
    classes = set(made.tables["train"]["category"])
    assert {each for setting in study.settings.values() for each in setting} <= classes


def test_every_ready_study_says_where_its_data_are() -> None:
    for name in READY:
        head = (ROOT / "pipeline" / f"{name}.yaml").read_text().split("profile:")[0]
        for word in ("# Where: http", "Size: ", "Licence: ", "As it is ", "tests/test_ready.py"):
            assert word in head.replace("As they are", "As it is"), (name, word)


def listed(root: Path) -> None:
    """A manifest beside its pictures and one of paths from the root, with digests and a split; a list of neither."""
    rows = []
    for i, split in enumerate(("train", "training", "valid", "test", "test")):
        data = save(root / f"spai/pics/{i}.png", i).read_bytes()
        rows.append({"img": f"pics/{i}.png", "typ": i % 2, "split": split, "sha256": hashlib.sha256(data).hexdigest()})
    (root / "spai/all.json").write_text(json.dumps(rows))
    write_zip(root / "grip/a.zip", {"x/0.png": encoded(8), "x/1.png": encoded(9)})
    (root / "grip/list.csv").write_text(
        "filename,typ,src\ngrip/a.zip!x/0.png,REAL,coco\ngrip/a.zip!x/1.png,FAKE,sd 2.1\n"
    )
    (root / "grip/prompts.csv").write_text("name,prompt\nx,a horse\n")
    (root / "grip/info.json").write_text('{"version": 1}')


def test_the_entries_of_lists_say_what_their_columns_do(tmp_path: Path) -> None:
    listed(tmp_path)
    (tmp_path / "web.csv").write_text("url,label\nhttps://example.org/a.png,real\n")
    (tmp_path / "gone.csv").write_text("path,label\nnowhere/a.png,real\n")
    looked = look(tmp_path)
    assert {guess.name: guess.entry for guess in looked.guesses} == {
        "spai": {
            "manifest": "spai/all.json", "path": "img", "label": {"column": "typ", "real": ["0"], "fake": ["1"]},
            "split": {"column": "split"}, "digest": {"column": "sha256", "kind": "sha256"},
        },
        "grip": {
            "manifest": "grip/list.csv", "path": "filename", "folder": "",
            "label": {"column": "typ", "real": ["REAL"], "fake": ["FAKE"]}, "generator": "src", "split": "test",
        },
    }  # fmt: skip
    assert set(looked.left_out) == {"web.csv", "gone.csv"}
    assert "of the web" in looked.left_out["web.csv"]
    assert "nowhere/a.png, which is not there" in looked.left_out["gone.csv"]


def test_the_numbers_of_classes_are_called_by_their_names(tmp_path: Path) -> None:
    """Hugging Face's data sets hold a class as a number, whose name stands in the file's metadata."""
    features = {"label": {"_type": "ClassLabel", "names": ["fake", "real"]}, "image": {"_type": "Image"}}
    file = write_parquet(tmp_path / "hf/a-0.parquet", [encoded(0), encoded(1)], label=[0, 1])
    said = json.dumps({"info": {"features": features}})
    pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": said}), file)
    [guess] = look(tmp_path).guesses
    assert guess.entry["label"] == {"column": "label", "real": ["1"], "fake": ["0"]}
    assert "label 0 is fake, 1 is real" in guess.remarks


FOLDERS = [genimage, aigibench, openfake, community_forensics, synthbuster, synthbuster_only, listed]


@pytest.mark.parametrize("make", FOLDERS)
def test_a_folder_is_recognised(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """What is printed can be pasted, and lists what it says it does."""
    make(tmp_path, Seeds()) if make is synthbuster else make(tmp_path)
    looked = look(tmp_path)
    assert looked.guesses
    entries = {guess.name: guess.entry for guess in looked.guesses}
    for entry in entries.values():
        TypeAdapter(DatasetConfig).validate_python(entry)
    made = index.build(config(tmp_path, **entries), workers=0)
    assert sum(map(len, made.tables.values())) == sum(guess.pictures for guess in looked.guesses)
    assert not looked.left_out


def test_the_command_prints_what_can_be_pasted(tmp_path: Path) -> None:
    openfake(tmp_path)
    write_zip(tmp_path / "R3GAN.zip", {f"R3GAN/{kind}/a.png": encoded(1) for kind in ("0_real", "1_fake")})
    save(tmp_path / "holiday" / "a.png", 1)
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    done = CliRunner().invoke(app, ["data", str(tmp_path)])
    assert done.exit_code == 0
    pasted = yaml.safe_load(done.stdout.replace("  root:", "root:").replace("  datasets:", "datasets:"))
    assert pasted["datasets"]["openfake"] == {
        "parquet": "openfake/data/test-00000-of-00001.parquet",
        "image": "image",
        "label": {"column": "label", "real": ["real"], "fake": ["fake"]},
        "generator": "model",
        "split": "test",
    }
    assert pasted["datasets"]["openfake_train"]["parquet"] == "openfake/data/train-*.parquet"
    assert pasted["datasets"]["R3GAN"]["tree"] == "R3GAN.zip!R3GAN/{label}"
    assert "# left out: holiday: 1 pictures; nothing in its name says real or synthetic" in done.stdout
    assert "# left out: broken.zip: " in done.stdout


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert "is no folder" in done.stderr
