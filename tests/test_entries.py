"""Every form of a data set's entry, on small files in the real format; what is wrong in one is said in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from containers import encoded, write_parquet, write_tar, write_zip
from dataset_folders import config, dataset, save
from graph import ROOT
from rine.dataset import index
from rine.dataset.layouts import list_all, tables_of
from rine.dataset.listing import DatasetError, Listing
from rine.pixels.pictures import read


def listed(root: Path, **entries: dict[str, Any]) -> dict[str, Listing]:
    return list_all(root, {name: dataset(**keys) for name, keys in entries.items()})


def sets(listing: Listing) -> dict[str, tuple[str, str]]:
    return {each.generator: (each.real, each.fake) for each in listing.test_sets}


def counts(listing: Listing) -> dict[tuple[str, int], int]:
    keys = [(picture.source, picture.label) for picture in listing.pictures]
    return {key: keys.count(key) for key in sorted(set(keys))}


OPENFAKE: dict[str, Any] = {
    "parquet": ["openfake/data/test-*"], "image": "image", "label": {"column": "label", "real": ["real"]},
    "generator": "model", "split": "test",
}  # fmt: skip


def openfake(root: Path, n: int = 2) -> None:
    """Two files; reals have no model of their own, and the models' names hold dots and spaces."""
    for part in range(2):
        labels = [("real", "real")] * n + [("fake", "flux.1-dev")] * n + [("fake", "SD 3.5")] * n
        write_parquet(
            root / f"openfake/data/test-{part}.parquet",
            [encoded(100 * part + i) for i in range(len(labels))],
            label=[label for label, _ in labels],
            model=[model for _, model in labels],
        )


def test_parquet_makes_a_test_set_of_each_generator(tmp_path: Path) -> None:
    openfake(tmp_path)
    listing = listed(tmp_path, openfake=OPENFAKE)["openfake"]
    assert sets(listing) == {
        "openfake/SD 3.5": ("openfake", "openfake/SD 3.5"),
        "openfake/flux.1-dev": ("openfake", "openfake/flux.1-dev"),
    }
    assert counts(listing) == {("openfake", 0): 4, ("openfake/SD 3.5", 1): 4, ("openfake/flux.1-dev", 1): 4}
    assert all(read(tmp_path / picture.path, 10_000) for picture in listing.pictures)


def test_only_and_family_are_by_generator(tmp_path: Path) -> None:
    openfake(tmp_path)
    keys = OPENFAKE | {"only": ["SD 3.5"], "family": {"SD 3.5": "diffusion"}}
    listing = listed(tmp_path, openfake=keys)["openfake"]
    assert [(each.generator, each.family) for each in listing.test_sets] == [("openfake/SD 3.5", "diffusion")]
    assert counts(listing) == {("openfake", 0): 4, ("openfake/SD 3.5", 1): 4}


def test_at_most_takes_the_first_by_digest(tmp_path: Path) -> None:
    openfake(tmp_path)
    whole = index.build(config(tmp_path, openfake=OPENFAKE), workers=0).tables["test"]
    part = index.build(config(tmp_path, openfake=OPENFAKE | {"at_most": 3}), workers=0).tables["test"]
    for key, rows in whole.groupby(["source", "label"]):
        first = sorted(rows["digest"])[:3]
        kept = part[(part["source"] == key[0]) & (part["label"] == key[1])]
        assert sorted(kept["digest"]) == first
    assert len(part) == 9


@pytest.mark.parametrize("values", [(["a"], ["b"]), ([0], [1]), ([False], [True])], ids=["text", "numbers", "truth"])
def test_labels_are_compared_by_their_text(tmp_path: Path, values: tuple[list[Any], list[Any]]) -> None:
    real, fake = values
    write_parquet(tmp_path / "a.parquet", [encoded(1), encoded(2)], "image_data", plain=True, label=real + fake)
    label = {"column": "label", "real": real, "fake": fake}
    keys = {"parquet": "a.parquet", "image": "image_data", "label": label, "split": "test"}
    assert counts(listed(tmp_path, mine=keys)["mine"]) == {("mine", 0): 1, ("mine", 1): 1}


def test_a_column_may_hold_the_split(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "a.parquet",
        [encoded(i) for i in range(6)],
        label=[0, 1] * 3,
        split=["train", "train", "validation", "valid", "test", "test"],
    )
    keys = {"parquet": "*.parquet", "label": {"column": "label", "real": [0]}, "split": {"column": "split"}}
    made = index.build(config(tmp_path, mine=keys), workers=0)
    assert made.tables["train"].groupby("split").size().to_dict() == {"train": 2, "val": 2}
    assert len(made.tables["test"]) == 2
    assert set(made.tables["train"]["category"]) == {"mine"}
    assert tables_of(dataset(**keys)) == ("train", "test")


def aigi(root: Path) -> None:
    for number, generator in enumerate(("Midjourney-V6", "sdv1.4")):
        for label in ("0_real", "1_fake"):
            for i in range(2):
                save(
                    root / f"aigi/test/{generator}/{label}/{i}.png", 10 * number + i + (100 if label == "0_real" else 0)
                )


AIGI: dict[str, Any] = {
    "tree": "aigi/test/{generator}/{label}", "real": "0_real", "fake": "1_fake", "split": "test",
    "family": {"Midjourney-V6": "diffusion"},
}  # fmt: skip


def test_a_tree_has_reals_for_each_generator(tmp_path: Path) -> None:
    aigi(tmp_path)
    listing = listed(tmp_path, aigi=AIGI)["aigi"]
    names = ("aigi/Midjourney-V6", "aigi/sdv1.4")
    assert sets(listing) == {name: (name, name) for name in names}
    assert counts(listing) == {(name, label): 2 for name in names for label in (0, 1)}
    assert [each.family for each in listing.test_sets] == ["diffusion", "own"]


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_tree_in_archives_as_they_come(tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path]) -> None:
    suffix = write.__name__.removeprefix("write_")
    for number, generator in enumerate(("R3GAN", "FLUX")):
        named = {
            f"{generator}/{label}/{i}.png": encoded(10 * number + i) for label in ("0_real", "1_fake") for i in (0, 1)
        }
        write(tmp_path / f"test/{generator}.{suffix}", named | {f"{generator}/notes.txt": b"", "__MACOSX/a.png": b""})
    keys = AIGI | {"tree": f"test/{{generator}}.{suffix}!{{generator}}/{{label}}", "family": "own"}
    listing = listed(tmp_path, aigi=keys)["aigi"]
    assert sets(listing) == {name: (name, name) for name in ("aigi/FLUX", "aigi/R3GAN")}
    assert len(listing.pictures) == 8
    with pytest.raises(
        DatasetError, match=re.escape(f"There are archives: pictures in them are 'test/{{generator}}.{suffix}!")
    ):
        listed(tmp_path, aigi=AIGI | {"tree": "test/{generator}/{label}"})


def test_a_tree_may_say_the_class_of_training(tmp_path: Path) -> None:
    for category in ("horse", "sdv1.4"):
        save(tmp_path / f"train/{category}/0_real/a.png", 1)
        save(tmp_path / f"train/{category}/1_fake/a.png", 2)
    keys = {"tree": "train/{category}/{label}", "real": "0_real", "split": "train"}
    assert {each.category for each in listed(tmp_path, mine=keys)["mine"].pictures} == {"horse", "sdv1.4"}


@pytest.mark.parametrize("pattern", ["./aigi//test/{generator}/{label}", "aigi/test/{generator}/{label}/"])
def test_a_pattern_may_be_written_in_other_ways(tmp_path: Path, pattern: str) -> None:
    aigi(tmp_path)
    assert len(listed(tmp_path, aigi=AIGI | {"tree": pattern})["aigi"].pictures) == 8


def test_globs_lead_into_archives(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{kind}/{i}.png": encoded(i) for kind in ("real", "deep/fake") for i in (1, 2)})
    keys = {"real": ["a.zip!real/*.png"], "fake": ["*.zip!deep"], "split": "test", "exclude": "*!real/2.*"}
    pictures = [picture.path for picture in listed(tmp_path, mine=keys)["mine"].pictures]
    assert pictures == ["a.zip!real/1.png", "a.zip!deep/fake/1.png", "a.zip!deep/fake/2.png"]


def test_a_test_set_is_called_by_its_entry(tmp_path: Path) -> None:
    """Or by `generator`, which of a table is a column."""
    aigi(tmp_path)
    openfake(tmp_path)
    keys = {"tree": "aigi/test/sdv1.4/{label}", "real": "0_real", "split": "test", "generator": "SD 1.4"}
    assert list(sets(listed(tmp_path, sd14=keys)["sd14"])) == ["SD 1.4"]
    assert sets(listed(tmp_path, openfake=OPENFAKE | {"label": "real"})["openfake"]) == {"openfake": ("openfake", "")}


def test_what_excluding_leaves_of_a_set_is_of_one_class(tmp_path: Path) -> None:
    aigi(tmp_path)
    listing = listed(tmp_path, aigi=AIGI | {"exclude": ["aigi/test/sdv1.4/0_real", "aigi/test/Mid*"]})["aigi"]
    assert sets(listing) == {"aigi/sdv1.4": ("", "aigi/sdv1.4")}


LISTS: dict[str, Any] = {
    "manifest": ["lists/*"], "path": "filename", "label": {"column": "typ", "real": ["REAL"]}, "generator": "src",
    "folder": "", "split": "test",
}  # fmt: skip


def rows(root: Path) -> list[dict[str, str]]:
    write_zip(root / "z.zip", {"in/a.png": encoded(9)})
    made = [("pics/a b.png", "REAL", "coco"), ("pics/c.png", "FAKE", "sd.1"), ("z.zip!in/a.png", "FAKE", "sd.1")]
    for number, name in enumerate(("a b", "c")):
        save(root / f"pics/{name}.png", number)
    return [dict(zip(("filename", "typ", "src"), row, strict=True)) for row in made]


def as_text(rows: list[dict[str, str]], kind: str) -> str:
    if kind == "json":
        return json.dumps(rows)
    if kind == "jsonl":
        return "\n".join(map(json.dumps, rows))
    return "\n".join(
        (";" if kind == "csv;" else "\t" if kind == "tsv" else ",").join(row)
        for row in [rows[0], *[r.values() for r in rows]]
    )


@pytest.mark.parametrize("kind", ["csv", "csv;", "tsv", "json", "jsonl"])
def test_a_manifest_names_files(tmp_path: Path, kind: str) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / f"lists/a.{kind.rstrip(';')}").write_text(as_text(rows(tmp_path), kind), encoding="utf-8-sig")
    listing = listed(tmp_path, lists=LISTS)["lists"]
    assert sets(listing) == {"lists/sd.1": ("lists", "lists/sd.1")}
    assert counts(listing) == {("lists", 0): 1, ("lists/sd.1", 1): 2}


def test_reals_of_another_entry_are_one_source(tmp_path: Path) -> None:
    for number, place in enumerate(("raise", "flux", "sd")):
        for i in range(2):
            save(tmp_path / place / f"{i}.png", 10 * number + i)
    raised = {"real": ["raise/*"], "split": "test"}
    fakes = {name: {"fake": [f"{name}/*"], "reals": "raise", "split": "test"} for name in ("flux", "sd")}
    made = listed(tmp_path, flux=fakes["flux"], **{"raise": raised}, sd=fakes["sd"])
    assert sets(made["flux"]) == {"flux": ("raise", "flux")}
    assert sets(made["sd"]) == {"sd": ("raise", "sd")}
    assert sets(made["raise"]) == {"raise": ("raise", "")}
    pictures = [(p.source, p.label, p.path) for listing in made.values() for p in listing.pictures]
    assert len(pictures) == len(set(pictures)) == 6, "encoded, counted and drawn once"


def test_reals_of_another_training_set_are_its_class_too(tmp_path: Path) -> None:
    for place in ("photos", "flux"):
        save(tmp_path / place / "0.png", len(place))
    made = listed(
        tmp_path,
        first={"real": ["photos/*"], "fake": ["flux/*"], "split": "train"},
        flux={"fake": ["flux/*"], "reals": "first", "split": "train"},
    )
    assert [(p.label, p.category, p.source) for p in made["flux"].pictures] == [
        (0, "flux", "flux"),
        (1, "flux", "flux"),
    ]


@pytest.mark.parametrize(
    ("keys", "crops"),
    [({}, "centre"), ({"study": "ldm"}, "ten"), ({"crops": "grid"}, "grid"), ({"crops": "resize"}, "resize")],
)
def test_the_rule_of_crops_is_the_data_sets(tmp_path: Path, keys: dict[str, str], crops: str) -> None:
    save(tmp_path / "r.png", 1)
    save(tmp_path / "f.png", 2)
    own = {"real": "r.png", "fake": "f.png", "split": "test"} | keys
    made = index.build(config(tmp_path, mine=own), workers=0)
    table = made.tables["synthbuster" if keys.get("study") else "test"]
    assert set(table["crops"]) == {crops}


def write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _manifest(text: str) -> Callable[[Path], object]:
    return lambda root: (rows(root), write_text(root / "lists/a.csv", "filename,typ,src\n" + text))


def _cut(root: Path) -> None:
    openfake(root)
    file = root / "openfake/data/test-1.parquet"
    file.write_bytes(file.read_bytes()[:-9])


def _no_text(root: Path) -> None:
    openfake(root)
    file = root / "openfake/data/test-0.parquet"
    file.write_bytes(file.read_bytes().replace(b"model", b"mod\xf0l"))


def _no_zip(root: Path) -> None:
    (root / "a.zip").write_bytes(b"no zip")


def _in_parts(root: Path) -> None:
    """The last part of a zip in two: its list names members of the first, whose disk is number 0, and its own."""
    data = bytearray(write_zip(root / "a.zip", {"r/0.png": encoded(0), "f/0.png": encoded(1)}).read_bytes())
    last, end = data.rindex(b"PK\1\2"), data.rindex(b"PK\5\6")
    data[last + 34], data[end + 4], data[end + 6] = 1, 1, 1  # the disk that it starts on, this disk, that of the list
    (root / "a.zip").write_bytes(data)


BAD: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "cut parquet": (_cut, OPENFAKE, r"openfake/data/test-1.parquet: no whole parquet file"),
    "columns that are no text": (_no_text, OPENFAKE, "test-0.parquet: no whole parquet file .'utf-8' codec"),
    "no parquet": (lambda root: None, OPENFAKE, r"matches no file under .*; expected files that end in .parquet"),
    "no column": (openfake, OPENFAKE | {"generator": "engine"}, r"no column 'engine'; allowed: \['image', 'label'"),
    "no pictures": (openfake, OPENFAKE | {"image": "label"}, r"'label' holds string; allowed: the bytes of pictures"),
    "label of a row": (
        openfake,
        OPENFAKE | {"label": {"column": "label", "real": ["real"], "fake": ["FAKE"]}},
        r"test-0.parquet, row 2: label is 'fake'; allowed: real: \['real'\], fake: \['FAKE'\]",
    ),
    "only": (openfake, OPENFAKE | {"only": ["sd"]}, r"only = \['sd'\] is no generator of it; allowed: \['SD 3.5'"),
    "exclude": (openfake, OPENFAKE | {"exclude": ["*.png"]}, r"exclude = '\*.png' matches none of its pictures"),
    "split of a row": (openfake, OPENFAKE | {"split": {"column": "model"}}, r"row 0: split is 'real'; allowed: train"),
    "tree of nothing": (lambda root: None, AIGI, r"tree = .* matches no picture .* such as aigi/test/sd14/0_real"),
    "folder of no class": (
        lambda root: (aigi(root), save(root / "aigi/test/sdv1.4/masks/0.png", 1)),
        AIGI,
        r"aigi/test/sdv1.4/masks/0.png lies in 'masks'; allowed for \{label\}: \['0_real', '1_fake'\]",
    ),
    "no field": (lambda root: None, AIGI | {"tree": "{model}/{label}"}, r"\{model\} is none of \{generator\}"),
    "no archive": (_no_zip, {"real": "a.zip!r/*", "fake": "a.zip!f/*", "split": "test"}, "a.zip: no whole zip"),
    "zip in parts": (
        _in_parts,
        {"real": "a.zip!r/*", "fake": "a.zip!f/*", "split": "test"},
        r"a.zip: one of several parts .*zip -s 0 parts.zip --out whole.zip",
    ),
    "compressed tar": (
        lambda root: (root / "a.tar.gz").write_bytes(b""),
        {"real": "a.tar.gz!r/*", "split": "test"},
        r"'a.tar.gz!r/\*' matches nothing under .*; archives that are read: zip, and tar without compression",
    ),
    "missing file": (
        _manifest("pics/c.png,FAKE,x\npics/d.png,FAKE,x\nz.zip!in/b.png,FAKE,x\n"),
        LISTS,
        r"of the 3 pictures that are listed, 2 are missing; the first: lists/a.csv, line 3 names pics/d.png",
    ),
    "empty manifest": (_manifest(""), LISTS, "names no picture"),
    "manifest's columns": (
        _manifest("pics/c.png,FAKE,x\n"),
        LISTS | {"path": "file"},
        r"lists/a.csv, line 2: there is no column 'file'; allowed: \['filename', 'typ', 'src'\]",
    ),
    "no path": (_manifest(",FAKE,x\n"), LISTS, "line 2: filename is ''; allowed: a file's path$"),
    "web": (_manifest("https://x.org/a.png,FAKE,x\n"), LISTS, "line 2: filename is 'https://x.org/a.png'; allowed"),
    "named twice": (
        _manifest("pics/c.png,FAKE,x\npics/c.png,REAL,x\n"),
        LISTS,
        r"line 2 and lists/a.csv, line 3 both name pics/c.png; allowed: one row a picture",
    ),
    "no label": (_manifest("pics/c.png,,x\n"), LISTS, r"line 2: typ is 'empty'; allowed: real: \['REAL'\]"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "keys", "message"), BAD.values(), ids=[*BAD])
def test_what_is_wrong_is_one_line(
    tmp_path: Path, make: Callable[[Path], object], keys: dict[str, Any], message: str
) -> None:
    make(tmp_path)
    with pytest.raises(DatasetError, match=message) as error:
        listed(tmp_path, **{"its name": keys})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"a": {"fake": ["f.png"], "reals": "b", "split": "test"}},
            r"reals = 'b' is no other data set; choose from \[\]",
        ),
        (
            {
                "a": {"fake": ["f.png"], "reals": "b", "split": "test"},
                "b": {"real": ["r.png"], "fake": ["f.png"], "split": "train"},
            },
            r"reals = 'b' has no real pictures of split \['test'\]",
        ),
        (
            {
                "a": {"fake": ["f.png"], "reals": "b", "split": "test"},
                "b": {"real": ["r.png"], "split": "test", "study": "ldm"},
            },
            "is of another study",
        ),
    ],
)
def test_reals_that_are_not_there(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    save(tmp_path / "r.png", 1)
    save(tmp_path / "f.png", 2)
    with pytest.raises(DatasetError, match=message):
        listed(tmp_path, **entries)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"parquet": "a", "tree": "b", "split": "test"}, "one form; got parquet and tree"),
        ({"parquet": "a", "split": "test"}, "parquet needs label"),
        ({"parquet": "a", "label": "fake"}, "parquet needs split"),
        ({"tree": "a/{label}", "split": "test"}, "a tree with .label. needs real: or fake:"),
        ({"tree": "a/{generator}", "split": "test", "real": "r"}, "a tree has .label. in its pattern, or label"),
        ({"tree": "a/{label}", "real": "r", "split": {"column": "s"}}, "a tree has no columns"),
        ({"real": "a", "reals": "b", "split": "test"}, "reals of its own or another's"),
        ({"real": "a", "label": "real", "split": "test"}, "label belongs to tree"),
        ({"parquet": "a", "label": {"column": "l", "real": "x", "fake": "x"}, "split": "test"}, "none in both"),
        ({"real": "a", "split": "test", "crops": "tiles"}, "'centre', 'ten', 'grid' or 'resize'"),
    ],
)
def test_an_entry_that_says_nothing_sensible(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        dataset(**keys)


def test_the_entries_of_the_documentation_are_entries() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    study = yaml.safe_load(page.split("```yaml")[1].split("```")[0])
    made = {name: dataset(**keys).form for name, keys in study["prepare"]["datasets"].items()}
    assert set(made.values()) == {"globs", "tree", "manifest", "parquet"}
