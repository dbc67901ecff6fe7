"""Every path that is named has one row, whatever lies there; a CSV that was cut anywhere ends with the same rows."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

import tiny_model
from rine.cli import app
from rine.commands.arguments import find
from rine.commands.resume import resume
from rine.commands.rows import COLUMNS, writer
from rine.detector import Detector, Verdict
from rine.terminal import printable


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("study")
    with tiny_model.model_in(folder):
        tiny_model.write_pictures(folder / "pictures", 6)
        yield folder


@pytest.fixture(autouse=True)
def _inside(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)


def rine(*arguments: str, given: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["predict", "--device", "cpu", *arguments], input=given)
    return result.exit_code, result.stdout, result.stderr


def names(*arguments: str, listing: str = "") -> list[str]:
    return [found.path for found in find(arguments, io.StringIO(listing))]


def test_files_folders_globs_urls_and_lists_give_the_same_paths(study: Path) -> None:
    expected = [f"pictures/{i:02d}.png" for i in range(6)]
    assert names("pictures") == expected
    assert names("pictures/*.png") == expected
    assert names(*expected) == expected
    assert names("-", listing="\n".join(expected) + "\r\n\n") == expected
    assert names((study / "pictures").as_uri()) == [str(study / path) for path in expected]
    assert names("pictures/0[12].png") == expected[1:3]


def test_a_folder_is_walked_in_order_and_never_left(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/10.jpg", "a/x.JPEG", "a/notes.txt", ".hidden/h.jpg", "b/.h.jpg", "z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "c.jpg").mkdir()
    found = list(find([str(tmp_path)]))
    assert [Path(f.path).relative_to(tmp_path).as_posix() for f in found] == [
        "z.png",
        "a/x.JPEG",
        "b/10.jpg",
        "b/2.jpg",
        "c.jpg",
    ]
    assert [f.error for f in found] == [None] * 4 + ["a folder, not a picture"]


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("nothing.jpg", "no such file"),
        ("nothing*.jpg", "no file matches this pattern"),
        ("empty", "no pictures"),
        ("pipe.jpg", "not a regular file"),
        ("astray*", "no such file"),
        ("https://example.org/a.jpg", "only file:// is read"),
        ("file://elsewhere/a.jpg", "another machine"),
        ("nul\0.jpg", "null"),
    ],
)
def test_what_leads_nowhere_is_a_row_with_the_reason(
    argument: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    os.mkfifo("pipe.jpg")
    Path("astray*").symlink_to("nowhere")
    [found] = find([argument])
    assert found.path == argument
    assert reason in (found.error or "")


def test_rows_have_the_same_columns_in_every_form() -> None:
    code, out, said = rine("pictures", "gone.jpg", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1
    assert tuple(rows[0]) == COLUMNS
    assert "7 pictures" in said
    assert rows[-1] | {"seconds": ""} == dict.fromkeys(COLUMNS, "") | {
        "path": "gone.jpg",
        "model": "four_class",
        "crops": "centre",
        "error": "no such file",
    }
    code, out, _ = rine("pictures", "gone.jpg", "--jsonl")
    objects = [json.loads(line) for line in out.splitlines()]
    assert [tuple(o) for o in objects] == [COLUMNS] * 7
    assert [o["path"] for o in objects] == [r["path"] for r in rows]
    assert {row["says"] for row in rows} == {""}
    for text, value in zip(rows[:-1], objects, strict=False):
        assert float(text["probability"]) == pytest.approx(value["probability"], rel=1e-5)
        assert text["verdict"] == value["verdict"]
    assert objects[-1]["verdict"] is None
    code, out, _ = rine("pictures")
    assert code == 0
    assert len(out.splitlines()) == 7
    assert all(row["path"] in out for row in rows[:-1])


@pytest.mark.parametrize("at", [0, 5, *range(20, 100, 8)])
def test_a_csv_that_was_cut_anywhere_is_finished_to_the_same_rows(at: int, tmp_path: Path) -> None:
    # a name with a quote, a comma and a line break is the hardest for a half-written row
    odd = tmp_path / 'a "b",\nc.png'
    Image.fromarray(tiny_model.crop(9)).save(odd)
    arguments = (str(odd), "pictures/00.png", str(tmp_path / "gone.png"), "pictures/01.png")
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    assert rine(*arguments, "--output", str(whole))[0] == 1
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * at // 100])
    code, _, _ = rine(*arguments, "--output", str(cut), "--resume")
    assert code == 1  # as the whole run: one could not be read, whichever run found that out
    expected, got = (list(csv.DictReader(io.StringIO(path.read_text(), newline=""))) for path in (whole, cut))
    assert [row["path"] for row in got] == list(arguments)
    for a, b in zip(expected, got, strict=True):
        assert float(a.pop("logit") or 0) == pytest.approx(float(b.pop("logit") or 0), rel=1e-4)
        for row in (a, b):
            row.pop("seconds"), row.pop("probability")
        assert a == b


def test_resume_touches_no_other_file(tmp_path: Path) -> None:
    for content in ("name,age\nx,3\n", "no header", ",".join(COLUMNS) + "\na.jpg,real,0.1,-1,ldm,centre,0.1,\n"):
        path = tmp_path / "other.csv"
        path.write_text(content)
        with pytest.raises(ValueError, match=r"other\.csv"):
            resume(path, "four_class", "centre")
        assert path.read_text() == content


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    code, _, said = rine("pictures", "-o", str(path))
    assert code == 2
    assert "--resume" in said
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--csv", "--jsonl"), "choose one"),
        (("--resume",), "--output FILE.csv"),
        (("--output", "x.txt"), "add --csv or --jsonl"),
        (("--model", "nothing"), "rine sample && dvc repro"),
        (("--device", "toaster"), "toaster"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_runs(options: tuple[str, ...], message: str) -> None:
    code, out, said = rine("pictures", *options)
    assert code == 2
    assert message in " ".join(said.split())
    assert out == ""


def test_names_that_are_no_text_survive_and_cannot_play_with_the_terminal(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(Path("pictures/00.png").read_bytes())
    code, _, _ = rine(str(tmp_path), "--output", str(tmp_path / "rows.csv"))
    assert code == 0
    assert raw in (tmp_path / "rows.csv").read_bytes()
    assert rine(str(tmp_path), "--output", str(tmp_path / "rows.csv"), "--resume")[0] == 0
    assert (tmp_path / "rows.csv").read_bytes().count(b"caf") == 1
    assert printable("a\x1b[31mb\n\udce9") == r"a\x1b[31mb\n\udce9"


def test_each_row_is_on_the_disk_before_the_next_is_made(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with writer("csv", path) as write:
        for i in range(3):
            write(Verdict(f"{i}.jpg", "real", 0.1, -1.0, "m", "centre", 0.0))
            assert len(path.read_text().splitlines()) == i + 2


def test_a_list_on_standard_input_and_a_reader_that_leaves(study: Path) -> None:
    listing = "\n".join(["pictures/00.png"] * 200)
    command = [sys.executable, "-c", "from rine.cli import app; app()", "predict", "-", "--jsonl", "--device", "cpu"]
    with subprocess.Popen(
        command, cwd=study, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(listing)
        process.stdin.close()
        assert json.loads(process.stdout.readline())["path"] == "pictures/00.png"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_the_command_line_starts_without_numpy_whose_arithmetic_is_still_to_be_set() -> None:
    code = "import sys, rine.cli; sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'open_clip', 'pandas')))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--help"], "rine[onnx]"),
        (["export", "--onnx", "-o", "model.safetensors"], "end in .onnx"),
        (["predict", "pictures", "--jsonl", "-o", "rows.csv"], "two forms"),
        (["predict", "--help"], "best.default"),
        (["predict", "gone.jpg"], "1 unreadable"),
    ],
)
def test_help_and_suffixes_say_what_is_so(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert words in " ".join(result.output.split())
    assert result.exit_code == (0 if "--help" in arguments else 2)
    assert not Path("rows.csv").exists()


def test_what_a_file_says_stands_beside_the_verdict_and_changes_nothing(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat, Steps: 20")
    Image.fromarray(tiny_model.picture(0, 60, 80)).save(tmp_path / "said.png", pnginfo=info)
    both = [str(tmp_path / "said.png"), "pictures/00.png", "gone.png"]
    code, out, _ = rine(*both, "--csv", "--provenance")
    assert code == 1
    said, silent, gone = csv.DictReader(io.StringIO(out))
    assert (said["verdict"], said["logit"]) == (silent["verdict"], silent["logit"])  # the same pixels
    assert (said["generated"], silent["generated"], gone["generated"]) == ("True", "False", "")
    assert "Steps: 20" in said["says"]
    assert "not suspicious" in silent["says"]
    detector = Detector.load("four_class", device="cpu")
    of_python = detector.provenance(tmp_path / "said.png")
    assert of_python is not None
    assert of_python.words == said["says"]
    assert detector.provenance(tiny_model.picture(0, 60, 80)) is None
    code, out, _ = rine(*both[:1], "--stable", "--provenance")
    assert code == 0
    assert "Steps: 20" in out
    assert "[0." in out or "[1." in out
