"""Real weights of towers that are timm's: from the hub's cache or a file, and what is said where there are none."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event
from typing import Any

import huggingface_hub
import open_clip
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from rine.caching.store import key
from rine.cli import app
from rine.commands.encoders import row
from rine.encoder import load, reach, tags, weights
from rine.encoder.catalogue import look_up
from rine.encoder.files import WeightsError
from rine.encoder.random_weights import draw
from towers import entry, pictures

ARCH, SIZE = "vit_pe_core_tiny_patch16_384", 64


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache on this machine, and no network."""

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "hub"


def keep(state: dict[str, Tensor], hub: Path, repository: str, file: str) -> None:
    """Put a file of weights where the hub's own client keeps it."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(state, folder / "snapshots" / ("0" * 40) / file)


def published() -> dict[str, Tensor]:
    """A tower with its classifier, for its own input size, as it would be published."""
    theirs = timm.create_model(ARCH).eval()
    draw(theirs, 5)
    return {name: value.contiguous() for name, value in theirs.state_dict().items()}


def interpolated(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """CLS tokens of the published tower for a smaller input, as timm loads and runs it."""
    given: dict[str, Any] = {name: value for name, value in state.items() if not name.startswith("head.")}
    overlay = {"state_dict": given, "num_classes": 0}
    theirs = timm.create_model(ARCH, num_classes=0, img_size=SIZE, pretrained=True, pretrained_cfg_overlay=overlay)
    rows: list[Tensor] = []
    for block in theirs.eval().blocks:
        block.norm2.register_forward_hook(lambda _, __, output: rows.append(output[:, 0]))
    with torch.no_grad():
        theirs((images / 255 - 0.5) / 0.5)
    return torch.stack(rows, 1)


def test_weights_come_from_the_hubs_cache_or_a_file_for_any_input_size(hub: Path, tmp_path: Path) -> None:
    state, images = published(), pictures(2, SIZE)
    keep(state, hub, f"timm/{ARCH}.fb", "model.safetensors")
    save_file({f"visual.trunk.{name}": value for name, value in state.items()}, tmp_path / "open_clip.safetensors")
    ours = load(entry(ARCH, source="timm", pretrained="fb", image_size=SIZE), "cpu")
    expected = interpolated(state, images)
    assert (ours(images) - expected).norm() / expected.norm() < 1e-5

    file = str(tmp_path / "open_clip.safetensors")
    same = load(entry("PE-Core-T-16-384", pretrained=file, image_size=SIZE), "cpu")
    assert key(same.describe()) == key(ours.describe())  # two names of the same tokens share a store
    others = load(entry("PE-Core-T-16-384", image_size=SIZE), "cpu")
    assert key(others.describe()) != key(ours.describe())

    save_file(state | {"norm.weight": torch.ones(7)}, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError, match=r"(?s)wrong.safetensors .*does not fit the model.*norm.weight"):
        load(entry(ARCH, source="timm", pretrained=str(tmp_path / "wrong.safetensors")), "cpu")


def test_missing_weights_are_named_with_their_size_and_licence(hub: Path) -> None:
    page = r"model.safetensors of https://huggingface.co/timm/vit_small_patch16_dinov3.lvd1689m"
    with pytest.raises(WeightsError, match=rf"(?s){page} \(licence dinov3-license, which is not free.*about 86 MB"):
        load(entry("vit_small_patch16_dinov3", source="timm", pretrained="lvd1689m"), "cpu")


def test_the_wrong_activation_of_a_timm_tower_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"with QuickGELU.*name the model 'vit_base_patch32_clip_quickgelu_224'"):
        look_up(entry("vit_base_patch32_clip_224", source="timm", pretrained="openai"))


def test_the_command_lists_towers_and_whether_they_are_here(hub: Path) -> None:
    keep({"x": torch.zeros(1)}, hub, "timm/vit_small_patch14_dinov2.lvd142m", "model.safetensors")
    shown = CliRunner().invoke(app, ["encoders", "small_patch14_"]).output
    rows = [[part.strip() for part in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    by_name = {row[0]: row for row in rows}
    assert by_name["vit_small_patch14_dinov2"][1:5] == ["timm", "lvd142m", "12 x 384", "518"]
    assert by_name["vit_small_patch14_dinov2"][8:] == ["apache-2.0", "yes"]
    assert by_name["vit_small_patch14_reg4_dinov2"][-1] == "no"


def test_a_tick_is_for_a_tower_that_gives_tokens() -> None:
    tower = {"model": "PE-Core-T-16-384", "image_size": 64}
    assert row(entry(**tower), check=True)[-1] == "✓"
    *_, words, works = (cell for cell in row(entry(**tower, blocks=(13,)), check=True) if cell)
    assert ("blocks 1 to 12" in words, works) == (True, "no")
    assert row(entry("EVA02-E-14"))[5].endswith("(tap: block)")


def test_the_hub_is_asked_while_timm_is_imported(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, order = entry("vit_small_patch14_dinov2", source="timm", pretrained="lvd142m"), []
    silent = dict.fromkeys([weights._hub()], "nobody")
    monkeypatch.setattr(weights, "asked", lambda _: order.append("asked") or (lambda: order.append("heard") or silent))
    timm_tag = tags.timm_tag
    monkeypatch.setattr(tags, "timm_tag", lambda *model: order.append("timm") or timm_tag(*model))
    with pytest.raises(WeightsError, match=r"vit_small_patch14_dinov2.lvd142m \(licence apache-2.0, about 88 MB\)"):
        weights.require(config)
    assert order == ["asked", "timm", "timm", "heard"]
    keep({"x": torch.zeros(1)}, hub, "timm/vit_small_patch14_dinov2.lvd142m", "model.safetensors")
    weights.require(config)
    # not where its name says
    weights.require(entry("vit_base_patch32_clip_quickgelu_224", source="timm", pretrained="random"))
    keep({"x": torch.zeros(1)}, hub, "timm/vit_base_patch32_clip_224.openai", "model.safetensors")
    weights.require(entry("vit_base_patch32_clip_quickgelu_224", source="timm", pretrained="openai"))
    assert order[4:] == ["asked", "timm"]


def test_a_network_that_is_not_there_is_found_out_at_once(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A downloader tries again for a minute; whether anybody answers is asked before."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # discard: nobody listens
    tried: list[int] = []
    monkeypatch.setattr(tags, "download", lambda *_, **__: tried.append(1))
    with pytest.raises(weights.WeightsError, match=r"rine import --pretrained PATH"):
        weights.locate(entry("ViT-L-14", pretrained="openai"))
    assert tried == []


def test_a_network_that_swallows_what_is_sent_costs_no_more_than_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a name's addresses may take its time, and so may the look-up of the name."""
    answered = Event()
    monkeypatch.setattr(reach, "_PATIENCE", 0.05)
    monkeypatch.setattr(reach, "_reach", lambda _: answered.wait(30))
    silent = reach.asked(["https://a.example", "https://b.example"])()
    assert silent == dict.fromkeys(["https://a.example", "https://b.example"], "nobody answers within 0.05 seconds")
    answered.set()
    monkeypatch.setattr(reach, "_reach", lambda _: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert reach.asked(["https://a.example"])() == {"https://a.example": "HF_HUB_OFFLINE forbids it"}


def test_openais_weights_are_found_where_open_clip_and_the_hub_keep_them(hub: Path, tmp_path: Path) -> None:
    config, addresses = entry("ViT-L-14", pretrained="openai"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "asked", lambda those: addresses.append(those) or (lambda: dict.fromkeys(those, "no")))
        with pytest.raises(WeightsError):
            weights.require(config)
        keep({"x": torch.zeros(1)}, hub, "timm/vit_large_patch14_clip_224.openai", "open_clip_model.safetensors")
        weights.require(config)
        shutil.rmtree(hub)
        (tmp_path / ".cache" / "clip").mkdir(parents=True)
        (tmp_path / ".cache" / "clip" / "ViT-L-14.pt").touch()
        weights.require(config)
    assert addresses == [[weights._hub(), tags._OPENAI["ViT-L-14"]["url"]]]
    for name, record in tags._OPENAI.items():
        theirs = open_clip.pretrained.get_pretrained_cfg(name, "openai")
        assert record == {key: theirs[key] for key in record}
