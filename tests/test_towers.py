"""Every kind of tower that an entry may name: its tokens equal those of the library's own pass, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from rine import params
from rine.encoder import Encoder, encoder, load
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.encoder.facts import facts, token_shape
from rine.encoder.random_weights import draw
from tiny_model import crop

OWN = TowerConfig(image_size=32, patch_size=8, width=32, layers=3, head_width=16, cls=False, registers=2)
IMAGENET, HALF, CLIP = 0.485, 0.5, 0.48145466
CLS = {"token": "cls+mean"}
# name -> entry, blocks and width of the tower, rows before its patches, red's mean; large towers cut to two blocks
TOWERS: dict[str, tuple[dict, tuple[int, int], int, float]] = {
    "CLIP B/32": ({"model": "ViT-B-32", "blocks": (1, 2), **CLS}, (12, 768), 1, CLIP),
    "CLIP L/14": ({"model": "ViT-L-14-quickgelu", "blocks": (1, 2), **CLS}, (24, 1024), 1, CLIP),
    "EVA02 B": ({"model": "EVA02-B-16", "blocks": (1, 2), **CLS}, (12, 768), 1, CLIP),
    "PE T": ({"model": "PE-Core-T-16-384", "image_size": 64, **CLS}, (12, 192), 1, HALF),
    "PE B": ({"model": "vit_pe_core_base_patch16_224", "source": "timm", "image_size": 64, "blocks": (1, 2)}, (12, 768), 1, HALF),
    "SigLIP2 B": ({"model": "ViT-B-16-SigLIP2", "image_size": 64, "blocks": (1, 2), "token": "mean"}, (12, 768), 0, HALF),
    "DINOv2 S": ({"model": "vit_small_patch14_dinov2", "source": "timm", "image_size": 70, **CLS}, (12, 384), 1, IMAGENET),
    "DINOv2 S-reg4": (
        {"model": "vit_small_patch14_reg4_dinov2", "source": "timm", "image_size": 70, "token": "cls+registers"},
        (12, 384), 5, IMAGENET,
    ),
    "DINOv3 S": (
        {"model": "vit_small_patch16_dinov3", "source": "timm", "image_size": 64, "token": "cls+registers"},
        (12, 384), 5, IMAGENET,
    ),
    "AIMv2 L": (
        {"model": "aimv2_large_patch14_224", "source": "timm", "image_size": 56, "blocks": (1, 2), "token": "mean"},
        (24, 1024), 0, CLIP,
    ),
    "own, no CLS": ({"model": OWN, "token": "mean"}, (3, 32), 2, CLIP),
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine small products wait for each other
    yield
    torch.set_num_threads(n)


def entry(model: str | TowerConfig, **how: object) -> EncoderConfig:
    return EncoderConfig(**({"name": "a tower", "model": model, "pretrained": "random", "seed": 0} | how))


@cache
def built(name: str) -> Encoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoder._ROWS, "cpu", 80)  # a few pictures a batch
        return load(entry(**TOWERS[name][0]), "cpu")


def pictures(n: int, size: int) -> Tensor:
    return torch.from_numpy(np.stack([crop(i, size) for i in range(n)])).permute(0, 3, 1, 2)


def by_hooks(ours: Encoder, images: Tensor, first: int) -> Tensor:
    """The same tokens from the library's own forward pass, whole: a hook on each norm before an MLP."""
    config, n = ours.config, 2 if ours.config.blocks != "all" else 12
    if ours.tower.arch:
        size = {} if config.image_size is None else {"img_size": config.image_size}
        theirs = timm.create_model(ours.tower.arch, num_classes=0, depth=n, **size).eval()
        norms = [block.norm2 for block in theirs.blocks]
    else:
        from open_clip.transformer import QuickGELU, VisionTransformer

        shape = ours.tower.shape
        heads, act = shape.width // shape.head_width, QuickGELU if shape.quick_gelu else nn.GELU
        theirs = VisionTransformer(224, shape.patch_size, shape.width, n, heads, 4.0, act_layer=act).eval()
        norms = [block.ln_2 for block in theirs.transformer.resblocks]
    draw(theirs, 0)
    rows: list[Tensor] = []
    for norm in norms:
        norm.register_forward_hook(lambda _, __, output: rows.append(output))
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (ours.tower.mean, ours.tower.std))
    with torch.no_grad():
        theirs((images / 255 - mean) / std)
    of = {"cls": [0], "cls+registers": [*range(first)]}.get(config.token, [])
    parts = [torch.stack(rows, 1)[:, :, row] for row in of]
    if config.token == "cls+mean":
        parts.append(torch.stack([row[:, 0] for row in rows], 1))
    if "mean" in config.token:
        parts.append(torch.stack([row[:, first:].mean(1) for row in rows], 1))
    return torch.cat(parts, dim=2)


@pytest.mark.parametrize("name", [name for name in TOWERS if "own" not in name])
def test_tokens_are_those_of_the_librarys_own_pass(name: str) -> None:
    config, (depth, width), first, red = TOWERS[name]
    ours = built(name)
    images = pictures(3, ours.image_size)
    tokens, expected = ours(images), by_hooks(ours, images, first)
    n_blocks = len(config.get("blocks", range(depth)))
    times = {"cls+mean": 2, "cls+registers": first}.get(config.get("token", "cls"), 1)
    assert tokens.shape == expected.shape == (3, n_blocks, times * width)
    assert (tokens - expected).norm() / expected.norm() < 1e-5
    assert token_shape(ours.config) == (n_blocks, times * width) == (ours.n_blocks, ours.width)
    assert ours.tower.mean[0] == red
    seen = facts(ours.config)
    assert (seen.depth, seen.width) == (depth, width)
    assert {"cls", "cls+registers"} & set(seen.tokens) == set([[], ["cls"], ["cls", "cls+registers"]][min(first, 2)])


@pytest.mark.parametrize("name", TOWERS)
def test_a_picture_has_the_same_bits_in_any_batch(name: str) -> None:
    ours = built(name)
    images = pictures(3, ours.image_size)
    together = ours(images)
    order = [2, 0, 1]
    assert torch.equal(torch.cat([ours(images[i : i + 1]) for i in range(3)]), together)
    assert torch.equal(ours(images[order]), together[order])
    assert not torch.equal(together[0], together[1])
    assert bool(together.isfinite().all())


@pytest.mark.parametrize("tap", ["block", "block_normed"])
@pytest.mark.parametrize("name", ["own, no CLS", "PE T"])
def test_other_taps(name: str, tap: str) -> None:
    """The output of a block, and that under the tower's own last norm, as computed from the parts of the tower."""
    config = TOWERS[name][0] | {"tap": tap, "token": "mean", "blocks": (1, 3)}
    ours = load(entry(**config), "cpu")
    images = pictures(2, ours.image_size)
    if ours.tower.arch:
        theirs = timm.create_model(ours.tower.arch, num_classes=0, img_size=64, depth=3).eval()
        draw(theirs, 0)
        x = (images / 255 - 0.5) / 0.5
        with torch.no_grad():
            kept = theirs.forward_intermediates(
                x, [0, 2], norm=tap == "block_normed", output_fmt="NLC", intermediates_only=True
            )
            expected = torch.stack([value.mean(1) for value in kept], 1)
    else:
        expected = torch.stack([_step_by_step(ours, images, n, tap) for n in (1, 3)], 1)
    tokens = ours(images)
    assert (tokens - expected).norm() / expected.norm() < 1e-5
    assert ours.describe()["blocks"] == [1, 3]
    other = load(entry(**(config | {"tap": "norm2"})), "cpu")(images)
    assert (other - tokens).norm() / tokens.norm() > 0.05


def _step_by_step(ours: Encoder, images: Tensor, n: int, tap: str) -> Tensor:
    """Patch means after n blocks of the own tower without CLS, written out with torch's own layers."""
    state = load(entry(OWN, token="mean", tap=tap), "cpu").body.state_dict()
    x = (images / 255 - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    x = (
        nn.functional.conv2d(x, state["conv1.weight"], stride=8).flatten(2).transpose(1, 2)
        + state["positional_embedding"]
    )
    x = torch.cat([state["register_embedding"].expand(len(x), -1, -1), x], 1)
    x = nn.functional.layer_norm(x, (32,))
    for i in range(n):
        block = {
            key.removeprefix(p): value
            for key, value in state.items()
            if key.startswith(p := f"transformer.resblocks.{i}.")
        }
        y = nn.functional.layer_norm(x, (32,))
        q, k, v = (
            part.view(len(x), -1, 2, 16).transpose(1, 2) for part in (y @ block["attn.in_proj_weight"].T).chunk(3, -1)
        )
        y = (torch.softmax(q @ k.transpose(2, 3) / 4, -1) @ v).transpose(1, 2).flatten(2)
        x = x + y @ block["attn.out_proj.weight"].T
        y = nn.functional.layer_norm(x, (32,)) @ block["mlp.c_fc.weight"].T + block["mlp.c_fc.bias"]
        x = x + nn.functional.gelu(y) @ block["mlp.c_proj.weight"].T + block["mlp.c_proj.bias"]
    return (nn.functional.layer_norm(x, (32,)) if tap == "block_normed" else x)[:, 2:].mean(1)


CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def test_the_pooled_vector_is_the_towers_own() -> None:
    ours = load(entry("PE-Core-T-16-384", image_size=64, token="pooled"), "cpu")
    theirs = timm.create_model("vit_pe_core_tiny_patch16_384", num_classes=0, img_size=64).eval()
    draw(theirs, 0)
    images = pictures(2, 64)
    with torch.no_grad():
        expected = theirs((images / 255 - 0.5) / 0.5)
    tokens = ours(images)
    assert tokens.shape == (2, 1, 192) and ours.blocks == (12,)
    assert (tokens[:, 0] - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"model": "EVA02-E-14"}, r"EVA02-E-14.*norms after them.*say tap: block"),
        ({"model": "RN50"}, "is a ResNet.*say ViT-L-14"),
        ({"model": "swin_base_patch4_window7_224"}, "no ViT of equal blocks.*vit_base_patch14_reg4_dinov2"),
        ({"model": "convnext_tiny", "source": "timm"}, "no ViT of equal blocks"),
        ({"model": "ViT-B-16-SigLIP2"}, "no CLS token; say token: mean"),
        ({"model": OWN}, "no CLS token; say token: mean"),
        ({"model": "vit_small_patch14_dinov2", "source": "timm", "token": "cls+registers"}, "no registers; say token: cls"),
        ({"model": "vit_small_patch14_dinov2", "source": "timm", "image_size": 100}, "100.*14 pixels; near it: 98, 112"),
        ({"model": "ViT-B-32", "image_size": 256}, "ViT-B-32' takes 224 pixels a side"),
        ({"model": "ViT-B-32", "blocks": (3, 13)}, r"\[3, 13\].*blocks 1 to 12"),
        ({"model": "PE-Core-T-16-384", "blocks": (13,)}, r"\[13\].*blocks 1 to 12"),
        ({"model": "vit_smal_patch14_dinov2", "source": "timm"}, "timm has no.*did you mean 'vit_small_patch14_dinov2'"),
        ({"model": "vit_small_patch14_dinov2.lvd142m", "source": "timm"}, "say model: vit_small_patch14_dinov2 and pretrained: lvd142m"),
        ({"model": "ViT-B32"}, "open_clip has no model 'ViT-B32'; did you mean 'ViT-B-32'"),
        ({"model": "PE-Core-T-16-384", "pretrained": "mete"}, r"'mete' is no file here.*'meta'"),
        ({"model": "vit_small_patch14_dinov2", "source": "timm", "pretrained": "lvd14m"}, r"'lvd14m' is no file.*'lvd142m'"),
        ({"model": "vit_base_patch32_clip_224", "source": "timm", "pretrained": "openai"}, "not on this machine|QuickGELU"),
    ],
)  # fmt: skip
def test_what_cannot_work_says_why_and_what_to_name(how: dict, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=f"(?s){says}"):
        load(entry(**how), "cpu")


@pytest.mark.parametrize(
    ("key_", "value", "says"),
    [
        ("tap", "norm1", "tap = 'norm1'.*norm2"),
        ("token", "register", "token = 'register'.*cls"),
        ("blocks", [2, 2], r"blocks = \[2, 2\]: name each once"),
        ("blocks", [0], "blocks"),
        ("source", "own", "source = 'own' and model = 'ViT-B-32'"),
        ("image_size", True, "image_size"),
    ],
)
def test_an_entry_that_means_nothing_is_refused_when_it_is_read(key_: str, value: object, says: str) -> None:
    import yaml

    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["encoders"]["tiny_16"] |= {"model": "ViT-B-32", key_: value}
    with pytest.raises(params.ParamsError, match=says):
        params.parse(raw)
