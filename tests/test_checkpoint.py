"""Checkpoints say what they are and are read strictly; published files become them; no pickle runs code."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rine.detector import published
from rine.detector.published import convert
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.evaluation.selection import RULES
from rine.heads import Head, HeadConfig, seeded_head
from rine.models import checkpoint
from rine.models.card import trained_on
from rine.models.checkpoint import CheckpointError
from rine.scores.calibration import Calibration

SHAPE = HeadConfig(q=2, proj_dim=6, n_blocks=3, width=8)
TOWER = TowerConfig(image_size=32, patch_size=16, width=64, layers=3, head_width=32)
TINY = EncoderConfig(name="ViT-T/16", model=TOWER, pretrained="random", seed=0)
META: dict[str, Any] = {
    "name": "four_class",
    "encoder": {
        "name": "ViT-L/14",
        "model": "ViT-L-14",
        "pretrained": "openai",
        "seed": 0,
        "weights": "ab" * 16,
    },
    "transform": {"crop": 224},
    "training": {
        "training_set": "progan",
        "q": 2,
        "d": 6,
        "xi": 0.2,
        "epochs": 1,
        "fraction": None,
        "seed": 0,
    },
    "classes": ["car", "horse"],
    "pictures": 4000,
    "profile": "paper",
    "choice": {"rule": "paper", "words": "the best on the test sets", "acc": 0.915, "ap": 0.988},
    "calibration": {
        "scale": 1.5,
        "bias": -0.25,
        "threshold_fpr1": 2.0,
        "threshold_fpr5": 1.0,
        "n": 50,
        "reason": "",
    },
}


def head(shape: HeadConfig = SHAPE) -> Head:
    return seeded_head(shape, seed=3).eval()


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    path, mean = tmp_path / "model.safetensors", torch.randn(3, 8)
    checkpoint.save(path, head(), META, mean)
    stored = checkpoint.load(path)
    again, meta = stored
    assert {key: meta[key] for key in META} == META
    assert again.config == SHAPE
    assert not again.training
    tokens = torch.randn(5, 3, 8)
    assert torch.equal(again(tokens)[0], head()(tokens)[0])
    assert stored.mean_tokens is not None
    assert torch.equal(stored.mean_tokens, mean)
    assert stored.name == "four_class"
    assert stored.encoder_config == EncoderConfig(name="ViT-L/14", model="ViT-L-14", pretrained="openai", seed=0)
    assert stored.weights_digest == "ab" * 16
    assert stored.calibration == Calibration(1.5, -0.25, 2.0, 1.0, 50)


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_an_ablated_head_comes_back_as_one(tmp_path: Path, pool: str) -> None:
    ablated = head(HeadConfig(1, 4, 3, 8, pool, dropout=0.2))  # type: ignore[arg-type]
    checkpoint.save(tmp_path / "m.safetensors", ablated, META)
    assert checkpoint.load(tmp_path / "m.safetensors").head.config == ablated.config


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        checkpoint.save(tmp_path / f"{name}.safetensors", head(), dict(reversed(META.items())) if name == "b" else META)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.md", "a.safetensors", "b.md", "b.safetensors"]


def test_a_stored_model_without_a_calibration_says_so(tmp_path: Path) -> None:
    meta = {key: value for key, value in META.items() if key != "calibration"}
    checkpoint.save(tmp_path / "m.safetensors", head(), meta)
    calibration = checkpoint.load(tmp_path / "m.safetensors").calibration
    assert not calibration.fitted
    assert "without" in calibration.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour = 1: unknown key"),
        ({"classes": None}, None),
        ({"encoder": {"name": "x"}}, "model"),
        ({"calibration": {"slope": 1}}, "slope"),
        ({"pictures": float("nan")}, "plain data"),
        ({"pictures": Path("x")}, "plain data"),
    ],
)
def test_impossible_meta_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict, message: str | None
) -> None:
    meta = META | change
    if message is None:
        del meta["classes"]
        message = "classes: missing"
    with pytest.raises(CheckpointError, match=message):
        checkpoint.save(tmp_path / "m.safetensors", head(), meta)
    assert not list(tmp_path.iterdir())


def altered(tmp_path: Path, change: Any) -> Path:
    """A stored model whose tensors or header were changed by hand."""
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, head(), META, torch.zeros(3, 8))
    tensors = load_file(path)
    header = {"format": 1, "head": SHAPE.__dict__.copy(), "meta": json.loads(json.dumps(META))}
    change(tensors, header)
    save_file(tensors, path, {"rine": header if isinstance(header, str) else json.dumps(header)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: t.pop("proj2.1.bias"), r"lacks proj2\.1\.bias \(6,\)"),
        (lambda t, h: t.update(extra=torch.zeros(1)), "has extra, which is unknown"),
        (lambda t, h: t.update(alpha=torch.zeros(1, 4, 6)), r"alpha is \(1, 4, 6\), expected \(1, 3, 6\)"),
        (
            lambda t, h: t.update(alpha=torch.full((1, 3, 6), torch.nan)),
            "alpha holds what is no finite number",
        ),
        (
            lambda t, h: t.update(alpha=torch.zeros(1, 3, 6, dtype=torch.int64)),
            "alpha holds what is no finite number",
        ),
        (lambda t, h: t.update(mean_tokens=torch.zeros(8, 3)), r"mean_tokens is \(8, 3\), expected \(3, 8\)"),
        (lambda t, h: h.update(format=7), "format 7"),
        (lambda t, h: h["head"].update(pool="max"), "pool = 'max'"),
        (lambda t, h: h["head"].update(depth=2), "header cannot be read"),
        (lambda t, h: h["meta"].pop("encoder"), "encoder: missing"),
        (lambda t, h: h["head"].update(proj_dim=10**6), "does not fit"),
    ],
)
def test_an_altered_file_is_refused_and_the_reason_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(altered(tmp_path, change))


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(CheckpointError, match="another network"):
        checkpoint.load(other)
    torch.save(head().state_dict(), other)
    with pytest.raises(CheckpointError, match="rine import"):
        checkpoint.load(other)
    other.write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(other)
    other.write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(other)
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "none.safetensors")


def test_a_file_cut_short_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, head(), META)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path)


def test_the_card_says_what_one_must_know(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, head(), META)
    card = path.with_suffix(".md").read_text()
    for words in (
        "ViT-L/14",
        "car, horse",
        "Rule `paper`: the best on the test sets.",
        "0.915",
        "0.988",
        "2.0000",
        "1.0000",
        "## Limits",
        "4000",
    ):
        assert words in card
    assert "| q |" not in card
    assert "Not for use" not in card
    assert "None" not in card
    sample = checkpoint.model_card(
        META | {"profile": "sample", "about": "Figures without meaning.", "calibration": None}
    )
    assert "Figures without meaning." in sample
    assert "None were fitted" in sample


def test_the_card_names_the_crop_that_the_model_sees() -> None:
    assert "crops of 336 pixels" in checkpoint.model_card(META | {"transform": {"crop": 336}})


# Published files.


@pytest.mark.parametrize(("q", "proj_dim"), [(1, 8), (2, 5), (4, 8)])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_published_file_becomes_a_checkpoint(tmp_path: Path, q: int, proj_dim: int, zipped: bool) -> None:
    original = head(HeadConfig(q, proj_dim, n_blocks=3, width=64))
    torch.save(original.state_dict(), tmp_path / "any.pth", _use_new_zipfile_serialization=zipped)
    line = convert(tmp_path / "any.pth", encoder=TINY)
    assert f"q {q}, P {proj_dim}" in line
    stored = checkpoint.load(tmp_path / "any.safetensors")
    assert stored.head.config == original.config
    tokens = torch.randn(4, 3, 64)
    assert torch.equal(stored.head(tokens)[0], original(tokens)[0])
    assert stored.encoder_config == TINY
    assert stored.weights_digest is not None
    assert stored.meta["classes"] == []  # not stated, and not guessed from the name
    assert "not stated" in (tmp_path / "any.md").read_text()


def test_a_published_model_was_chosen_by_the_rule_of_the_paper() -> None:
    assert RULES["paper"].on_card == published.PAPER_RULE


def test_the_published_models_are_known_by_the_setting_that_the_user_names(tmp_path: Path) -> None:
    file, out = tmp_path / "model_1class_trainable.pth", tmp_path / "out" / "two.safetensors"
    torch.save(head(HeadConfig(4, 128, n_blocks=24, width=1024)).state_dict(), file)
    convert(file, out, "two_class")
    stored = checkpoint.load(out)
    assert stored.meta["classes"] == ["chair", "horse"]
    assert stored.meta["training"]["xi"] == 0.2
    assert stored.encoder_config.model == "ViT-L-14"
    assert stored.weights_digest is None
    assert stored.meta["encoder"]["file_sha256"].startswith("b8cca3fd41ae0c99")  # of OpenAI's ViT-L-14.pt
    assert "0.877" in out.with_suffix(".md").read_text()
    with pytest.raises(CheckpointError, match="published ldm model has q 4, P 1024"):
        convert(file, out, "ldm")
    with pytest.raises(CheckpointError, match="four_class"):
        convert(file, out, "3_class")


def test_an_encoder_of_another_shape_is_refused(tmp_path: Path) -> None:
    torch.save(head().state_dict(), tmp_path / "m.pth")
    with pytest.raises(ValueError, match="3 blocks of width 8; ViT-L/14 has 24 of width 1024"):
        convert(tmp_path / "m.pth")
    with pytest.raises(ValueError, match="no model 'ViT-X'"):
        convert(tmp_path / "m.pth", encoder=EncoderConfig(name="x", model="ViT-X", pretrained="openai", seed=0))


def test_a_file_that_does_not_fit_lists_every_fault(tmp_path: Path) -> None:
    state = head().state_dict()
    del state["alpha"], state["proj2.4.bias"]
    state["clip.logit_scale"] = torch.zeros(1)
    state["head.3.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(CheckpointError) as error:
        published.read(tmp_path / "m.pth")
    for fault in (
        "lacks alpha",
        "lacks proj2.4.bias (6,)",
        "has clip.logit_scale",
        "head.3.bias is (7,), expected (6,)",
    ):
        assert fault in str(error.value)


def test_a_first_layer_that_is_missing_is_listed(tmp_path: Path) -> None:
    state = head().state_dict()
    del state["proj1.1.weight"]
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"lacks proj1\.1\.weight"):
        published.read(tmp_path / "m.pth")


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"alpha": torch.zeros(1, 3, 6), "x": bomb}])
@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, wrap: Any, plain: bool) -> None:
    path, marker = tmp_path / "m.pth", tmp_path / "ran"
    if plain:
        path.write_bytes(pickle.dumps(wrap(Bomb(marker))))
    else:
        torch.save(wrap(Bomb(marker)), path)
    with pytest.raises(CheckpointError, match="refused"):
        published.read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"layer1.weight": torch.zeros(3, 3)}, "no RINE head"),
        ({}, "no RINE head"),
        ({"state_dict": {"alpha": torch.zeros(1)}, "epoch": 3}, "no tensors: state_dict"),
        ([torch.zeros(1)], "holds a list"),
        (torch.zeros(3), "holds a Tensor"),
    ],
)
def test_other_torch_files_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=message):
        published.read(tmp_path / "m.pth")


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04broken", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"m\.pth is"):
        published.read(tmp_path / "m.pth")


def test_the_command_ends_with_a_line_or_an_error_without_a_trace(tmp_path: Path) -> None:
    import typer
    from typer.testing import CliRunner

    from rine.commands.import_ import import_

    app, file = typer.Typer(), tmp_path / "m.pth"
    app.command()(import_)
    torch.save(head(HeadConfig(1, 4, n_blocks=24, width=1024)).state_dict(), file)
    done = CliRunner().invoke(app, [str(file), "--output", str(tmp_path / "x.safetensors")])
    assert done.exit_code == 0, done.output
    assert "q 1, P 4" in done.output
    file.write_bytes(b"no model")
    failed = CliRunner().invoke(app, [str(file)])
    assert failed.exit_code == 2
    assert isinstance(failed.exception, SystemExit)
    assert CliRunner().invoke(app, [str(tmp_path / "none.pth")]).exit_code == 2
    assert CliRunner().invoke(app, [str(file), "--output", str(tmp_path / "card.md")]).exit_code == 2


def test_a_model_of_ones_own_names_its_data_sets_once() -> None:
    meta = {"classes": ["first", "second"], "sources": ["first", "second"], "pictures": 1200, "training": {}}
    assert trained_on(meta) == "first, second (1,200 pictures)"
    assert trained_on(meta | {"sources": ["progan"]}) == "first, second of progan (1,200 pictures)"
