"""Models, studies and scores of strangers: refused by name, soon; and no word of theirs is obeyed by a terminal."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import tiny_model
from rine import Detector
from rine.cli import app
from rine.detector import published
from rine.models.checkpoint import CheckpointError
from rine.params import ParamsError, read
from rine.scores import ScoresError, read_scores, table
from rine.terminal import message, printable

ROOT = Path(__file__).parents[1]
STUDY = (ROOT / "params.yaml").read_text()
TAKEN = 20.0  # seconds that a busy machine may take to refuse one; some would take for ever


def instead(of: str, text: str) -> str:
    assert of in STUDY
    return STUDY.replace(of, text, 1)


# Studies.

LAUGHS = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (instead("lr: 0.0005", "lr: !!python/object/apply:os.mkdir [ran]"), "could not determine a constructor"),
        (LAUGHS + instead("lr: 0.0005", "lr: *j"), "aliases that stand for more than"),
        (f"a: &a {'x' * 500_000}\nb: [*a, *a, *a]\n", "aliases that stand for more than"),
        (instead("encoders:", "encoders: &loop\n  more: *loop"), "nested deeper than"),
        (instead("lr: 0.0005", "lr: &loop [*loop]"), "nested deeper than"),
        (instead("lr: 0.0005", f"lr: {'[' * 5000}{']' * 5000}"), "nested deeper than"),
        (instead("lr: 0.0005", f"lr: {'{a: ' * 5000}1{'}' * 5000}"), "nested deeper than"),
        (instead("lr: 0.0005", f"lr: {'[' * 60}{']' * 60}"), "nested deeper than"),
        (instead("lr: 0.0005", f"lr: {'1' * 5000}"), "is not YAML: Exceeds the limit"),
        (instead("lr: 0.0005", "lr: 2001-13-32"), "is not YAML: month must be"),
        (STUDY + "#" * 1_000_000, "more than the 1,000,000 bytes"),
        (instead("lr: 0.0005", f"lr: {'x' * 900_000}"), r"lr = 'x{200,300}\.\.\.: Input should"),
        (STUDY.encode().replace(b"lr:", b"l\xe9:", 1), "is not YAML: 'utf-8' codec"),
        (STUDY.encode().replace(b"lr:", b"l\0:", 1), "is not YAML"),
        ("", "the study = None"),
        ("[1, 2]", "the study = "),
        (STUDY + "\n5: 3\n", "Keys should be strings"),
        # sizes that nobody can mean
        (instead("width: 128", "width: 1000000000"), r"encoders\.tiny_28\.model\.width = 1000000000"),
        (instead("width: 128", "width: 992000"), "more than 10,000,000,000 numbers"),
        (instead("layers: 6", "layers: 1000000000"), r"encoders\.tiny_28\.model\.layers = 1000000000"),
        (instead("patch_size: 28", "patch_size: 1000"), "patch_size = 1000 is more than image_size"),
        (instead("head_width: 32", "head_width: 33"), "width 128 is no multiple"),
        (instead("epochs: 40", "epochs: 1000000000"), r"grid\.epochs = 1000000000"),
        (instead("views: 2", "views: 1000000000"), r"augmentation\.views = 1000000000"),
        (instead("batch_size: 32", "batch_size: 1000000000"), r"training\.batch_size = 1000000000"),
        (instead("q: [1]", "q: [1000000000]"), r"grid\.q\.0 = 1000000000"),
        (instead("proj_dim: [64]", "proj_dim: [1000000000]"), r"grid\.proj_dim\.0 = 1000000000"),
        (instead("shard_rows: 2048", "shard_rows: 1000000000"), r"cache\.shard_rows = 1000000000"),
        (instead("- 0\n- 1", f"- {10**30}"), r"seeds\.0 = 1000"),
        (instead("max_pixels: 100000000", f"max_pixels: {10**12}"), r"prepare\.max_pixels = 1000"),
    ],
    ids=range(30),
)
def test_a_study_that_nobody_can_mean_is_refused_at_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    start = time.monotonic()
    with pytest.raises(ParamsError, match=said) as error:
        read("params.yaml")
    assert time.monotonic() - start < TAKEN
    assert len(str(error.value)) < 3000
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


# Models.


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    path = tiny_model.store(tmp_path_factory.mktemp("model") / "good.safetensors")
    with safe_open(path, "pt") as file:
        return load_file(path), json.loads(file.metadata()["rine"])


def places(value: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield at
    for key in value if isinstance(value, dict) else ():
        yield from places(value[key], (*at, key))


ODD = (None, True, -1, 10**9, 10**30, float("nan"), float("inf"), "../../x", "\x1b[31m", [], {}, [1, {}])


def test_whatever_a_model_file_says_of_itself_it_is_refused_or_usable(
    tmp_path: Path, stored: tuple[dict[str, torch.Tensor], dict[str, Any]]
) -> None:
    """Each entry of the header in turn is each odd value; what loads gives verdicts, and can be described."""
    from rine.serve.app import describe
    from rine.serve.settings import ServeSettings

    tensors, header = stored
    path, picture, refused, n = tmp_path / "odd.safetensors", tiny_model.picture(0, 32, 32), 0, 0
    # of the run's columns, one stands for all
    for at in [at for at in places(header) if at[:2] != ("meta", "training") or at[2:] in {(), ("seed",)}]:
        for value in ODD:
            odd = copy.deepcopy(header)
            inner = odd
            for key in at[:-1]:
                inner = inner[key]
            if at:
                inner[at[-1]] = value
            save_file(tensors, path, {"rine": json.dumps(odd if at else value)})
            n += 1
            try:
                detector = Detector.load(path, device="cpu")
            except ValueError as error:
                refused += len(str(error)) < 4000
                continue
            [verdict] = detector([picture])
            assert verdict.error is None
            assert re.fullmatch(r"[^/\x00-\x1f]+", detector.name)
            assert describe(detector, ServeSettings()).model_dump_json()
    assert n > 300
    assert refused > n / 2


def test_a_header_that_is_too_deep_or_lies_is_refused(
    tmp_path: Path, stored: tuple[dict[str, torch.Tensor], dict[str, Any]]
) -> None:
    tensors, header = stored
    path = tmp_path / "odd.safetensors"
    save_file(tensors, path, {"rine": '{"format": 1, "head": ' + "[" * 100_000 + "]" * 100_000 + "}"})
    with pytest.raises(CheckpointError, match="header cannot be read"):
        Detector.load(path)
    save_file(tensors, path, {"rine": json.dumps(header)})
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    for size in (0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1):
        path.write_bytes(size.to_bytes(8, "little") + good[8:])
        with pytest.raises(CheckpointError, match="no model file"):
            Detector.load(path)
    said = json.loads(good[8 : 8 + length])
    for offsets in ([0, 10**15], [-4, 0], [10, 5], [0, 4]):
        lie = json.dumps(said | {"alpha": said["alpha"] | {"data_offsets": offsets}}).encode()
        path.write_bytes(len(lie).to_bytes(8, "little") + lie + good[8 + length :])
        with pytest.raises(CheckpointError, match="no model file"):
            Detector.load(path)


def test_a_published_file_of_a_thousand_million_layers_is_refused(tmp_path: Path) -> None:
    torch.save({"proj1.3000000000.weight": torch.zeros(4, 4), "alpha": torch.zeros(1, 3, 4)}, tmp_path / "m.pth")
    with pytest.raises(ValueError, match="q = 1000000000; allowed: a whole number from 1 to 1,000"):
        published.read(tmp_path / "m.pth")


# Scores.

HEADER = ",".join(table.COLUMNS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{HEADER}\n{'x' * 2000}\n", "column study: x{200}; allowed"),
        (f"{HEADER}\n\0\0\0\n", "column study"),
        (f'{HEADER}\n"{"x" * 2000}', "not a CSV table"),
        ("a," * 60_000, "a header of 100,000"),
        (f"{HEADER}\n" + "a,b\n" * 60, "more than 50 rows"),
        (f"{HEADER}\n" + "a,b\n" * 3000, "more than 10,000 bytes"),
        ("\x1f\x8b" + HEADER, "missing column study"),
    ],
)
def test_a_scores_file_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str
) -> None:
    monkeypatch.setattr(table, "MOST_BYTES", 10_000 if "bytes" in said else 10**6)
    monkeypatch.setattr(table, "MOST_ROWS", 50)
    path = tmp_path / "scores.csv.gz"  # whatever it is called: nothing is unpacked
    path.write_text(content)
    with pytest.raises(ScoresError, match=said):
        read_scores(path)


# What reaches the terminal.

ESCAPES = "\x1b[31mred\x1b]0;title\x07 \u202eevil [/bold][red]"


def test_no_sign_that_a_terminal_obeys_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert printable("a\x1b[31mb\n") == r"a\x1b[31mb\n"
    assert message("a\nb\tc\x07") == "a\nb    c\\x07"
    assert len(message("x" * 10**6)) < 5000
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rine.commands.encoders.FAMILIES", {})
    published_rows = (ROOT / "pipeline" / "published" / "scores.csv").read_text().splitlines()
    rows = [line.replace("ViT-B/32", ESCAPES).replace(",stargan,", f",{ESCAPES},") for line in published_rows]
    Path("s.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "params.yaml").write_text(
        instead("name: ViT-T/28, 4 registers, no CLS", f"name: {json.dumps(ESCAPES)}")
    )
    (tmp_path / "wrong.yaml").write_text(instead("lr: 0.0005", f"lr: 0.0005\n{json.dumps(ESCAPES)}: 1"))
    for words, status in (
        (["select", "--scores", "s.csv"], 0),
        (["encoders"], 0),
        (["prepare"], 1),
        (["prepare", "--params", "wrong.yaml"], 1),
        (["predict", f"{ESCAPES}.png", "--model", ESCAPES], 2),
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        assert not set("\x1b\x07\u202e") & set(done.output), words
