"""A picture inside a zip, a tar or a parquet file is read by its address as the same picture in a file is."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

import tiny_model
from containers import encoded, write_parquet, write_tar, write_zip
from dataset_folders import OLD, config
from rine import apart
from rine.caching import decode
from rine.caching.views import Recipe
from rine.cli import app
from rine.commands import arguments
from rine.dataset import facts, index, reading
from rine.dataset.facts import Facts, Skipped
from rine.pixels.config import AugmentationConfig
from rine.pixels.pictures import UnreadablePicture, containers, open_rgb, pieces, read, tables

PICTURES = [encoded(seed) for seed in range(7)]
MOST = 10_000  # pixels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    named = {f"b/{i}.png": data for i, data in enumerate(PICTURES)}
    write_zip(tmp_path / "a.zip", named)
    write_tar(tmp_path / "a.tar", named)
    write_parquet(tmp_path / "a.parquet", PICTURES)
    write_parquet(tmp_path / "plain.parquet", PICTURES, "image_data", plain=True)
    for name, data in named.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


FORMS = {"file": "b/{}.png", "zip": "a.zip!b/{}.png", "tar": "a.tar!b/{}.png", "parquet": "a.parquet#{}@image"}
FORMS["usual column"] = "a.parquet#{}"
FORMS["bytes"] = "plain.parquet#{}@image_data"


@pytest.mark.parametrize("form", FORMS.values(), ids=[*FORMS])
def test_an_address_gives_the_picture(root: Path, form: str) -> None:
    for i in (0, 6, 2, 3, 1):  # forwards and backwards, over the ends of row groups
        path = root / form.format(i)
        assert read(path, MOST) == PICTURES[i]
        assert (open_rgb(path, MOST) == open_rgb(PICTURES[i], MOST)).all()
        found = facts.examine(path, MOST)
        assert isinstance(found, Facts)
        assert found.digest == hashlib.blake2b(PICTURES[i], digest_size=16).hexdigest()


@pytest.mark.parametrize("form", FORMS.values(), ids=[*FORMS])
def test_little_memory_is_enough_whatever_a_picture_may_have(root: Path, form: str) -> None:
    """A limit of 100 million pixels allows files of 864 MB: as much is not taken for one of 3 kB."""
    [found] = apart.call(facts.examine_all, [root / form.format(1)], 100_000_000)
    assert isinstance(found, Facts)


def test_a_file_that_is_called_like_an_address_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a.zip!b.png").write_bytes(PICTURES[0])
    assert read(tmp_path / "a.zip!b.png", MOST) == PICTURES[0]


def test_a_table_is_read_in_pieces_of_its_row_groups(root: Path) -> None:
    rows = [f"a.parquet#{i}@image" for i in range(7)]
    members = [f"a.zip!b/{i}.png" for i in range(7)]
    files = [f"b/{i}.png" for i in range(2)]
    made = list(pieces(root, sorted([*rows, *members, *files])))
    assert made == [rows[:3], rows[3:6], rows[6:], members, *([file] for file in files)]


def test_every_cell_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their addresses: no row group is opened twice, whoever asks."""
    started = []
    opened = tables.opened

    def counted(file: Path | str) -> object:
        table = opened(file)
        batches = table.iter_batches

        class Counted:
            metadata, schema_arrow, close = table.metadata, table.schema_arrow, table.close

            def iter_batches(self, rows: int, groups: list[int], *args: object, **keys: object) -> object:
                started.extend(groups)
                return batches(rows, groups, *args, **keys)

        return Counted()

    monkeypatch.setattr(tables, "opened", counted)
    for i in range(7):
        read(root / f"a.parquet#{i}@image", MOST)
    assert started == [0, 1, 2]


def test_an_archive_that_changed_is_opened_again(root: Path) -> None:
    assert read(root / "a.zip!b/0.png", MOST) == PICTURES[0]
    write_zip(root / "a.zip", {"b/0.png": PICTURES[1], "b/1.png": b"more"})
    assert read(root / "a.zip!b/0.png", MOST) == PICTURES[1]


def _encrypted(root: Path) -> str:
    file = write_zip(root / "locked.zip", {"a.png": PICTURES[0]})
    data = bytearray(file.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag in both headers
        data[data.index(mark) + at] |= 1
    file.write_bytes(data)
    return "locked.zip!a.png"


def _bomb(root: Path) -> str:
    with zipfile.ZipFile(root / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.png", bytes(80_000_000))
    return "bomb.zip!a.png"


def _liar(root: Path) -> str:
    """A member that unpacks to more than its headers say."""
    _bomb(root)
    data = (root / "bomb.zip").read_bytes().replace((80_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))
    (root / "bomb.zip").write_bytes(data)
    return "bomb.zip!a.png"


def _twice(root: Path) -> str:
    data = write_zip(root / "twice.zip", {"a.png": PICTURES[0], "b.png": PICTURES[1]}).read_bytes()
    (root / "twice.zip").write_bytes(data.replace(b"b.png", b"a.png"))
    return "twice.zip!a.png"


def _climbing(root: Path) -> str:
    write_zip(root / "up.zip", {"../a.png": PICTURES[0]})
    return "up.zip!../a.png"


def _cut(name: str) -> Callable[[Path], str]:
    def cut(root: Path) -> str:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) // 2])
        return {"a.zip": "a.zip!b/6.png", "a.tar": "a.tar!b/6.png"}.get(name, "a.parquet#6@image")

    return cut


def _null(root: Path) -> str:
    write_parquet(root / "null.parquet", [PICTURES[0], None])
    return "null.parquet#1@image"


BAD: dict[str, tuple[Callable[[Path], str], str]] = {
    "encrypted": (_encrypted, "encrypted; allowed: archives that need no password"),
    "bomb": (_bomb, "unpacks to 80 MB; allowed: 67 MB"),
    "liar": (_liar, "cannot be unpacked|unpacks to more"),
    "twice": (_twice, "two members of the archive have this name; allowed: one"),
    "climbing": (_climbing, "leads out of the archive"),
    "cut zip": (_cut("a.zip"), "no whole zip archive"),
    "cut tar": (_cut("a.tar"), "no whole tar archive|less than|has no 'b/6.png'"),
    "cut parquet": (_cut("a.parquet"), "no whole parquet file"),
    "null": (_null, "row 1 of column 'image' is null; allowed: the bytes of a picture"),
    "no member": (lambda _: "a.zip!b/9.png", "the archive has no 'b/9.png'"),
    "no row": (lambda _: "a.parquet#7@image", "there is no row 7"),
    "no column": (lambda _: "a.parquet#0@picture", r"no column 'picture'; allowed: \['image'\]"),
    "no archive": (lambda _: "b.zip!a.png", "No such file"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=[*BAD])
def test_what_cannot_be_read_says_why(root: Path, make: Callable[[Path], str], reason: str) -> None:
    address = make(root)
    with pytest.raises(UnreadablePicture, match=reason) as error:
        read(root / address, MOST)
    assert address in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(facts.examine(root / address, MOST), Skipped)


def test_what_takes_others_along_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is lost with a piece is made again with its halves: one picture is left out, no other."""

    def call(function: object, paths: list[Path], *args: object, **keys: object) -> object:
        if any("#4@" in str(path) for path in paths):
            raise apart.Lost("it crashed")
        return facts.examine_all(paths, MOST)

    monkeypatch.setattr(apart, "call", call)
    monkeypatch.setattr(reading, "pieces", lambda root, paths: [list(paths)])
    found, _ = reading.read_all(root, [f"a.parquet#{i}@image" for i in range(7)], MOST, workers=1)
    assert found.skipped == {4: "it crashed"}


def test_facts_are_remembered_until_the_file_changes(root: Path, tmp_path: Path) -> None:
    study = config(root, mine={"parquet": ["a.parquet"], "label": "real", "split": "train"})
    store = tmp_path / "store"
    os.utime(root / "a.parquet", (OLD, OLD))
    assert index.build(study, store).n_examined == 7
    assert index.build(study, store).n_reused == 7
    os.utime(root / "a.parquet", (OLD + 1, OLD + 1))
    assert index.build(study, store).n_examined == 7


@pytest.mark.parametrize("form", FORMS.values(), ids=[*FORMS])
def test_views_are_those_of_the_file(root: Path, form: str) -> None:
    augmentation = AugmentationConfig("paper", 1, 0.5, (0.0, 3.0), 0.5, (30, 100), 0)
    source = decode.Source(root, Recipe("test", 32, augmentation), MOST)
    digests = [hashlib.blake2b(data, digest_size=16).hexdigest() for data in PICTURES]
    jobs = [
        (None, decode.Job(form.format(i), digest, (("centre", "centre"),), (i,))) for i, digest in enumerate(digests)
    ]
    made = [pixels for _, _, pixels in decode.decoded(source, jobs, 0)]
    alone = [pixels for _, _, pixels in decode.decoded(source, jobs, 2)]
    for i, (one, other) in enumerate(zip(made, alone, strict=True)):
        assert not isinstance(one, str), one
        assert (one == other).all()
        assert (one[0] == open_rgb(PICTURES[i], MOST)[:, 4:36]).all()


def test_few_files_stay_open(root: Path) -> None:
    for n in range(10):
        write_zip(root / f"{n}.zip", {"a.png": PICTURES[0]})
        read(root / f"{n}.zip!a.png", MOST)
    assert len(containers._kept.files) == 4


def test_a_command_takes_an_address(root: Path) -> None:
    inside = [str(root / form.format(1)) for form in FORMS.values()]
    assert list(arguments.find(inside)) == [arguments.Found(path) for path in inside]
    [gone] = arguments.find([str(root / "b.zip!a.png")])
    assert gone.error == "no such file"


def test_predict_explain_and_evaluate_take_addresses(root: Path, tmp_path: Path) -> None:
    model, out = tiny_model.store(tmp_path / "m.safetensors"), tmp_path / "seen"

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--device", "cpu"])

    inside = [str(root / FORMS[form].format(2)) for form in ("file", "zip", "tar", "parquet", "usual column")]
    done = run("predict", *inside, str(root / "a.zip!b/none.png"), "--model", str(model), "--jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows[:-1]] == inside
    assert [row["logit"] for row in rows[:-1]] == pytest.approx([rows[0]["logit"]] * 5, rel=1e-5), "one picture"
    assert rows[-1]["error"] == "the archive has no 'b/none.png'"
    assert run("explain", inside[3], "--model", str(model), "--output", str(out)).exit_code == 0
    assert inside[3] in out.with_suffix(".json").read_text()
    other = str(root / "a.parquet#3")
    done = run("evaluate", str(model), "--real", inside[1], "--fake", other, "--output", str(tmp_path / "e"))
    assert done.exit_code == 0, done.output
    assert {inside[1], other} <= set(pd.read_csv(tmp_path / "e/pictures.csv")["path"])
