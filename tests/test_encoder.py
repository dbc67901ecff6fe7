"""The encoder equals open_clip's own modules, block by block, and a picture's tokens depend on that picture alone."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from safetensors.torch import save_file
from torch import Tensor, nn

from rine.caching import store
from rine.encoder import Encoder, files, load, tags
from rine.encoder.catalogue import Shape, Tower, look_up
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.encoder.rows import Rows
from rine.encoder.vit import ViT
from rine.heads import HeadConfig, seeded_head
from rine.models import checkpoint

TINY = TowerConfig(image_size=32, patch_size=8, width=64, layers=3, head_width=16)
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def config(model: str | TowerConfig = TINY, pretrained: str = "random", seed: int = 0) -> EncoderConfig:
    return EncoderConfig(name="tiny", model=model, pretrained=pretrained, seed=seed)


def pictures(n: int, size: int = 32, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def by_hooks(tower: nn.Module, images: Tensor) -> Tensor:
    """CLS tokens (B, L, D) of open_clip's own forward, run whole."""
    tokens: list[Tensor] = []
    for block in tower.transformer.resblocks:
        block.ln_2.register_forward_hook(lambda _, __, y: tokens.append(y[:, 0]))
    with torch.no_grad():
        tower((images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1))
    return torch.stack(tokens, dim=1)


def tower(seed: int = 0, quick_gelu: bool = False, **how: object) -> nn.Module:
    """open_clip's module of the tiny tower."""
    torch.manual_seed(seed)
    shape = {
        "image_size": 32,
        "patch_size": 8,
        "width": 64,
        "layers": 3,
        "heads": 4,
        "mlp_ratio": 4.0,
        "output_dim": 24,
    }
    module = VisionTransformer(**(shape | how), act_layer=QuickGELU if quick_gelu else nn.GELU)
    with torch.no_grad():
        for name, value in module.named_parameters():
            # torch starts norms and biases at 1 and 0, which would hide a slip in them
            if value.ndim == 1:
                value += 0.1 * torch.randn(value.shape)
            elif "c_fc" in name:
                value *= 4  # activations large enough for GELU and QuickGELU to differ
    return module.eval()


@pytest.mark.parametrize("quick_gelu", [False, True])
@pytest.mark.parametrize(
    ("how", "ours"),
    [
        ({}, {}),
        ({"ls_init_value": 0.3}, {"layer_scale": 0.3}),
        ({"no_ln_pre": True}, {"ln_pre": False}),
        ({"mlp_ratio": 2.5}, {"mlp_ratio": 2.5}),
    ],
)
def test_equals_open_clips_modules_run_with_hooks(quick_gelu: bool, how: dict, ours: dict) -> None:
    images = pictures(7)
    theirs = tower(quick_gelu=quick_gelu, **how)
    expected = by_hooks(theirs, images)
    shape = Shape(**asdict(TINY), quick_gelu=quick_gelu, **ours)
    body = ViT(shape, Rows("norm2", "cls", True, 0), (1, 2, 3))
    files.fit(body, dict(theirs.state_dict()), "theirs", body.needless)
    tokens = Encoder(body, config(), Tower("own", None, shape, 32, MEAN, STD), "cpu", "fp32")(images)
    assert tokens.shape == (7, 3, 64)
    assert (tokens - expected).norm() / expected.norm() < 1e-5
    other = tower(quick_gelu=not quick_gelu, **how)
    assert (by_hooks(other, images) - expected).norm() / expected.norm() > 1e-4  # activations can be told apart


# What these entries were called in stores before an entry could say more: their tokens must never be made again
KEYS = {
    "45028b9500a91dbe": TowerConfig(image_size=224, patch_size=16, width=128, layers=6, head_width=32),
    "579bf69d798ea911": TowerConfig(image_size=224, patch_size=32, width=128, layers=6, head_width=32),
    "5a8b84487a59359e": TINY,
    "d15456081c8adae9": "ViT-M-16-alt",  # with layer scale
}


@pytest.mark.parametrize("expected", KEYS)
def test_what_is_in_a_store_stays_there(expected: str) -> None:
    assert store.key(load(config(KEYS[expected]), "cpu", "fp32").describe()) == expected


def test_missing_weights_are_told_without_torch_and_plain_towers_need_no_open_clip(tmp_path: Path) -> None:
    """By every command that takes a model, and by what `cache` loads an encoder with; in a process of its own."""
    head = seeded_head(HeadConfig(q=1, proj_dim=4, n_blocks=24, width=1024), 0)
    encoder = {"name": "ViT-L/14", "model": "ViT-L-14", "pretrained": "openai", "seed": 0, "weights": None}
    others = {
        "laion": {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},
        "siglip": {"model": "ViT-B-16-SigLIP2", "pretrained": "webli"},
    }
    for name, change in {"m": {}, **others}.items():
        meta = {"name": "m", "encoder": encoder | change, "transform": {"crop": 224}, "training": {}, "classes": []}
        checkpoint.save(tmp_path / f"{name}.safetensors", head, meta)
    vision = {"image_size": 224, "patch_size": 32, "width": 384, "layers": 12, "heads": 6, "mlp_ratio": 4.0}
    with torch.device("meta"):
        module = VisionTransformer(**vision, output_dim=512)
    state = {
        f"visual.{name}": torch.zeros(value.shape, dtype=torch.float16) for name, value in module.state_dict().items()
    }
    save_file(state, tmp_path / "clip.safetensors")
    program = """
import sys
from typer.testing import CliRunner
from rine.cli import app
from rine.encoder import load
from rine.encoder.config import EncoderConfig

model = ["--model", "m.safetensors"]
for command in (
    ["predict", "a.jpg", *model],
    ["explain", "a.jpg", *model],
    ["evaluate", "m.safetensors", "--real", "a.jpg"],
    ["calibrate", "m.safetensors", "--real", "a.jpg"],
    ["export", "--onnx", *model],
    ["serve", *model],
):
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2 and "/.cache/clip/ViT-L-14.pt" in done.stderr, done.stderr
for pretrained in ("openai", "gone.pt"):
    try:
        load(EncoderConfig("L/14", "ViT-L-14", pretrained, 0))
    except ValueError as error:
        assert "rine import --pretrained PATH" in str(error)
print(sorted({"torch", "timm", "open_clip"} & sys.modules.keys()))

for name, page in (("laion", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"), ("siglip", "timm/ViT-B-16-SigLIP2")):
    done = CliRunner().invoke(app, ["predict", "a.jpg", "--model", f"{name}.safetensors"])
    assert done.exit_code == 2 and f"huggingface.co/{page}" in done.stderr, done.stderr
print(sorted({"timm", "open_clip", "rine.encoder.encoder", "rine.detector.detector"} & sys.modules.keys()))
assert load(EncoderConfig("S/32", "ViT-S-32", "clip.safetensors", 0), "cpu").n_blocks == 12
print(sorted({"open_clip", "timm", "torchvision"} & sys.modules.keys()))
"""
    nowhere = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ | nowhere, capture_output=True)
    assert done.stdout.decode().split("\n")[:3] == ["[]"] * 3, done.stderr.decode()


def test_a_row_depends_on_its_picture_alone_to_the_last_bit() -> None:
    encoder = load(config(), "cpu")
    encoder.micro_batch = 4
    images = pictures(11)
    together = encoder(images)
    alone = torch.cat([encoder(images[i : i + 1]) for i in range(11)])
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    assert torch.equal(together, alone)
    assert torch.equal(encoder(images[order]), together[order])
    assert not torch.equal(together[0], together[1])


def test_a_small_batch_is_filled_up_where_its_bits_would_differ(monkeypatch) -> None:
    encoder = load(config(), "cpu")
    images = pictures(2)
    seen: list[int] = []
    encoder.body.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    expected = encoder(images)
    monkeypatch.setattr(encoder.body, "same_bits", lambda few, many: False)
    encoder._exact_sizes.clear()
    assert torch.equal(encoder(images), expected)
    assert seen[-1] == encoder.micro_batch > 2


def test_both_layouts_of_pixels_and_an_empty_batch() -> None:
    encoder = load(config(), "cpu")
    images = pictures(3)
    assert torch.equal(encoder(images.permute(0, 2, 3, 1).contiguous()), encoder(images))
    assert encoder.encode(images[:0]).shape == (0, 3, 64)
    assert encoder.encode(images).dtype == torch.float16


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 16, 16, dtype=torch.uint8)])
def test_pixels_of_another_kind_or_size_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 pictures \(B, 3, 32, 32\).*got"):
        load(config(), "cpu")(images)


def test_random_weights_are_the_seeds_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = load(config(), "cpu")
    assert torch.equal(torch.rand(3), expected)  # what the process draws is not moved
    assert load(config(), "cpu").weights_digest == one.weights_digest
    assert load(config(seed=1), "cpu").weights_digest != one.weights_digest


def openai_state(module: nn.Module) -> dict[str, Tensor]:
    """A whole CLIP in the names of OpenAI's own files, matrices in float16 as there."""
    state = {f"visual.{key}": value.half() for key, value in module.state_dict().items()}
    state |= {
        "positional_embedding": torch.zeros(77, 16),
        "text_projection": torch.zeros(16, 24),
        "logit_scale": torch.tensor(4.6),
        "token_embedding.weight": torch.zeros(20, 16),
        "ln_final.weight": torch.ones(16),
        "ln_final.bias": torch.zeros(16),
        "transformer.resblocks.0.attn.in_proj_weight": torch.zeros(48, 16),
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(20),
    }
    return state


class Scripted(nn.Module):
    """Tensors under dotted names, for a TorchScript archive."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for key, value in state.items():
            *path, name = key.split(".")
            place: nn.Module = self
            for part in path:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = getattr(place, part)
            place.register_buffer(name, value)


def openai_file(form: str, folder, module: nn.Module):
    path = folder / "clip.pt"
    state = openai_state(module)
    if form == "state dict":
        torch.save(state, path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates TorchScript; OpenAI's files are in it
            torch.jit.script(Scripted(state)).save(str(path))
    return path


@pytest.mark.parametrize("form", ["state dict", "TorchScript"])
def test_openais_files_load_and_bring_quick_gelu(form: str, tmp_path) -> None:
    path = openai_file(form, tmp_path, tower(quick_gelu=True))
    encoder = load(config(pretrained=str(path)), "cpu")
    reference = tower(quick_gelu=True)
    reference.load_state_dict({key: value.half().float() for key, value in reference.state_dict().items()})
    images = pictures(3)
    expected = by_hooks(reference, images)
    assert (encoder(images) - expected).norm() / expected.norm() < 1e-5
    assert encoder.describe()["quick_gelu"] is True


def test_a_tower_has_one_digest_whatever_file_it_came_in(tmp_path) -> None:
    module = tower()
    whole = {f"visual.{key}": value for key, value in module.state_dict().items()}
    torch.save(
        {"epoch": 1, "state_dict": {f"module.{key}": value for key, value in whole.items()}},
        tmp_path / "a.pt",
    )
    save_file(whole, tmp_path / "b.safetensors")
    save_file(dict(module.state_dict()), tmp_path / "c.safetensors")
    digests = {
        load(config(pretrained=str(tmp_path / name)), "cpu").weights_digest
        for name in ("a.pt", "b.safetensors", "c.safetensors")
    }
    assert len(digests) == 1


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_a_file_that_would_run_code_is_refused(tmp_path) -> None:
    torch.save({"visual.conv1.weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(files.WeightsError, match="never allowed to run code"):
        load(config(pretrained=str(tmp_path / "evil.pt")), "cpu")


def test_weights_that_do_not_fit_are_listed(tmp_path) -> None:
    save_file(dict(tower(width=32).state_dict()), tmp_path / "narrow.safetensors")
    with pytest.raises(files.WeightsError, match=r"class_embedding is \(32,\), expected \(64,\)"):
        load(config(pretrained=str(tmp_path / "narrow.safetensors")), "cpu")


def test_the_wrong_activation_is_an_error(tmp_path) -> None:
    with pytest.raises(ValueError, match="with QuickGELU, 'ViT-L-14' is not: name the model 'ViT-L-14-quickgelu'"):
        look_up(config("ViT-L-14", "dfn2b"))
    (tmp_path / "openai").mkdir()
    unnamed = tmp_path / "openai" / "open_clip_model.safetensors"
    save_file({"class_embedding": torch.zeros(1)}, unnamed)
    with pytest.raises(files.WeightsError, match="need QuickGELU"):
        load(config("ViT-B-32", str(unnamed)), "cpu")


@pytest.mark.parametrize("model", ["RN50", "convnext_base"])
def test_towers_without_cls_tokens_are_refused(model: str) -> None:
    with pytest.raises(ValueError, match="ViT"):
        load(config(model), "cpu")


def test_an_unknown_model_or_tag_names_what_there_is() -> None:
    with pytest.raises(ValueError, match="did you mean 'ViT-B-32'"):
        load(config("ViT-B/32"), "cpu")
    with pytest.raises(ValueError, match=r"one of .*'openai'"):
        load(config("ViT-B-32", "no_such_tag"), "cpu")
    with pytest.raises(files.WeightsError, match=r"pretrained = 'gone/clip.pt': there is no such file"):
        load(config("ViT-B-32", "gone/clip.pt"), "cpu")


def test_with_no_network_the_error_says_which_file_and_where(monkeypatch, tmp_path) -> None:
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(tags, "download", offline)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(files.WeightsError, match=r"ViT-B-32\.pt and put it at .*\.cache/clip/ViT-B-32\.pt"):
        load(config("ViT-B-32", "openai"), "cpu")
