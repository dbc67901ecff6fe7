"""The tokens of every kind of tower equal those of the library's own pass, and depend on their picture alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import yaml
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn

from rine import params
from rine.checks import check, missing_files
from rine.encoder import Encoder, load
from rine.encoder.catalogue import look_up
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.encoder.facts import counted, facts, remembered, token_shape
from rine.encoder.random_weights import draw
from rine.encoder.rows import layout
from rine.encoder.vit import ViT
from towers import OWN, TOWERS, built, entry, pictures, tokens_of


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine small products wait for each other
    yield
    torch.set_num_threads(n)


def by_hooks(ours: Encoder, images: Tensor, first: int) -> Tensor:
    """The same tokens from the library's own forward pass: a hook on each norm before an MLP."""
    config = ours.config
    n = 2 if config.blocks != "all" else 12
    if ours.tower.arch:
        size = {} if config.image_size is None else {"img_size": config.image_size}
        theirs = timm.create_model(ours.tower.arch, num_classes=0, depth=n, **size).eval()
        theirs.load_state_dict(ours.body.trunk.state_dict(), strict=False)  # all before the last tap
        norms = [block.norm2 for block in theirs.blocks]
    else:
        shape = ours.tower.shape
        heads, act = shape.width // shape.head_width, QuickGELU if shape.quick_gelu else nn.GELU
        theirs = VisionTransformer(224, shape.patch_size, shape.width, n, heads, 4.0, act_layer=act).eval()
        draw(theirs, 0)
        norms = [block.ln_2 for block in theirs.transformer.resblocks]
    rows: list[Tensor] = []
    for norm in norms:
        norm.register_forward_hook(lambda _, __, output: rows.append(output))
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (ours.tower.mean, ours.tower.std))
    with torch.no_grad():
        theirs((images / 255 - mean) / std)
    every = torch.stack(rows, 1)  # (B, L, T, D)
    cls, mean = every[:, :, 0], every[:, :, first:].mean(2)
    tokens = {"cls": [cls], "mean": [mean], "cls+mean": [cls, mean], "cls+registers": every[:, :, :first].unbind(2)}
    return torch.cat([*tokens[config.token]], dim=2)


@pytest.mark.parametrize("name", [name for name in TOWERS if "own" not in name])
def test_tokens_are_those_of_the_librarys_own_pass(name: str) -> None:
    config, (depth, width), first, red = TOWERS[name]
    ours, tokens = built(name), tokens_of(name)
    expected = by_hooks(ours, pictures(3, ours.image_size), first)
    n_blocks = len(config.get("blocks", range(depth)))
    times = {"cls+mean": 2, "cls+registers": first}.get(config.get("token", "cls"), 1)
    assert tokens.shape == expected.shape == (3, n_blocks, times * width)
    assert (tokens - expected).norm() / expected.norm() < 1e-5
    assert token_shape(ours.config) == (n_blocks, times * width) == (ours.n_blocks, ours.width)
    assert ours.tower.mean[0] == red
    seen = facts(ours.config)
    assert (seen.depth, seen.width) == (depth, width)
    assert ("cls" in seen.tokens, "cls+registers" in seen.tokens) == (first > 0, first > 1)


@pytest.mark.parametrize("name", TOWERS)
def test_a_picture_has_the_same_bits_in_any_batch(name: str) -> None:
    ours, together = built(name), tokens_of(name)  # of a batch that is filled up, whose channels come last in memory
    places = [(2 - i) % 3 for i in range(ours.micro_batch)]
    assert torch.equal(ours(pictures(3, ours.image_size)[places].contiguous()), together[places])
    assert not torch.equal(together[0], together[1])
    assert bool(together.isfinite().all())


@pytest.mark.parametrize("name", ["PE T", "DINOv2 S", "DINOv3 S"])
def test_no_tower_runs_past_its_last_tap_and_rows_of_other_blocks_are_not_taken(name: str) -> None:
    ours = load(entry(**(TOWERS[name][0] | {"blocks": (1, 3)})), "cpu")
    called: list[str] = []
    for part, module in ours.body.named_modules():
        module.register_forward_hook(lambda *_, part=part: called.append(part))  # type: ignore[misc]
    taken: list[int] = []
    rows = ours.body.rows
    ours.body.rows = lambda x: taken.append(len(called)) or rows(x)
    assert ours(pictures(1, ours.image_size)).shape[1] == len(taken) == 2
    blocks = [part for part in called if part.startswith("trunk.blocks.")]
    assert {part.split(".")[2] for part in blocks} == {"0", "1", "2"}
    assert "trunk.blocks.1.mlp.fc1" in blocks
    assert "trunk.blocks.2.norm2" in blocks
    assert not any(part.startswith("trunk.blocks.2.mlp.") for part in blocks)  # after the last tap


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
        how = {"norm": tap == "block_normed", "output_fmt": "NLC", "intermediates_only": True}
        with torch.no_grad():
            outputs = theirs.forward_intermediates((images / 255 - 0.5) / 0.5, [0, 2], **how)
        expected = torch.stack([output.mean(1) for output in outputs], 1)
    else:
        expected = torch.stack([step_by_step(ours, images, n, tap) for n in (1, 3)], 1)
    tokens = ours(images)
    assert (tokens - expected).norm() / expected.norm() < 1e-5
    assert ours.describe()["blocks"] == [1, 3]
    other = load(entry(**(config | {"tap": "norm2"})), "cpu")(images)
    assert (other - tokens).norm() / tokens.norm() > 0.05


def step_by_step(ours: Encoder, images: Tensor, n: int, tap: str) -> Tensor:
    """Patch means after n blocks of the own tower without CLS, written out; its norms are as they were started."""
    state = load(entry(OWN, token="mean", tap=tap), "cpu").body.state_dict()
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (ours.tower.mean, ours.tower.std))
    x = nn.functional.conv2d((images / 255 - mean) / std, state["conv1.weight"], stride=8).flatten(2).transpose(1, 2)
    registers = state["register_embedding"].expand(len(x), -1, -1)
    x = norm(torch.cat([registers, x + state["positional_embedding"]], 1))
    for i in range(n):
        of = {name.partition(f"resblocks.{i}.")[2]: value for name, value in state.items()}
        parts = (norm(x) @ of["attn.in_proj_weight"].T).chunk(3, -1)
        q, k, v = (part.view(len(x), -1, 2, 16).transpose(1, 2) for part in parts)
        y = (torch.softmax(q @ k.transpose(2, 3) / 4, -1) @ v).transpose(1, 2).flatten(2)
        x = x + y @ of["attn.out_proj.weight"].T
        y = nn.functional.gelu(norm(x) @ of["mlp.c_fc.weight"].T + of["mlp.c_fc.bias"])
        x = x + y @ of["mlp.c_proj.weight"].T + of["mlp.c_proj.bias"]
    return (norm(x) if tap == "block_normed" else x)[:, 2:].mean(1)


def norm(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, (32,))


def test_the_pooled_vector_is_the_towers_own() -> None:
    ours = load(entry("PE-Core-T-16-384", image_size=64, token="pooled"), "cpu")
    theirs = timm.create_model("vit_pe_core_tiny_patch16_384", num_classes=0, img_size=64).eval()
    draw(theirs, 0)
    images = pictures(2, 64)
    with torch.no_grad():
        expected = theirs((images / 255 - 0.5) / 0.5)
    tokens = ours(images)
    assert tokens.shape == (2, 1, 192)
    assert (tokens[:, 0] - expected).norm() / expected.norm() < 1e-5


DINO = {"model": "vit_small_patch14_dinov2", "source": "timm"}
REFUSED = [
    ({"model": "EVA02-E-14"}, r"EVA02-E-14.*norms after them.*say tap: block"),
    ({"model": "RN50"}, "is a ResNet.*say ViT-L-14"),
    ({"model": "swin_base_patch4_window7_224"}, "no ViT of equal blocks.*vit_base_patch14_reg4_dinov2"),
    ({"model": "ViT-B-16-SigLIP2"}, "token = 'cls': .*no CLS token; it gives mean, pooled: say token: mean"),
    ({"model": OWN}, "no CLS token; it gives mean, pooled: say token: mean"),
    (DINO | {"token": "cls+registers"}, "'cls.registers': .*no registers; it gives cls, mean, cls.mean, pooled: say"),
    (DINO | {"image_size": 100}, "100.*14 pixels; near it: 98, 112"),
    ({"model": "ViT-B-32", "image_size": 256}, "ViT-B-32' takes 224 pixels a side"),
    ({"model": "ViT-B-32", "blocks": (3, 13)}, r"\[3, 13\].*blocks 1 to 12"),
    ({"model": "PE-Core-T-16-384", "blocks": (13,)}, r"\[13\].*blocks 1 to 12"),
    (DINO | {"model": "vit_smal_patch14_dinov2"}, "timm has no.*did you mean 'vit_small_patch14_dinov2'"),
    (
        DINO | {"model": "vit_smal_patch14_dinov2.lvd142m"},
        "no model 'vit_smal_patch14_dinov2'; did you mean 'vit_small",
    ),
    (DINO | {"model": "vit_small_patch14_dinov2.lvd142m"}, "say model: vit_small_patch14_dinov2 and pretrained: lvd"),
    ({"model": "ViT-B32"}, "open_clip has no model 'ViT-B32'; did you mean 'ViT-B-32'"),
    ({"model": "PE-Core-T-16-384", "pretrained": "mete"}, "'mete' is no file here.*'meta'.*did you mean 'meta'"),
    (DINO | {"pretrained": "lvd14m"}, "'lvd14m' is no file here.*did you mean 'lvd142m'"),
    ({"model": OWN, "token": "mean", "pretrained": "openai"}, "own tower: random, or a file"),
]


@pytest.mark.parametrize(("how", "says"), REFUSED)
def test_what_cannot_work_says_why_and_what_to_name_before_anything_runs(how: dict, says: str) -> None:
    study = params.read("params.yaml")
    encoders = {"a": study.encoders[study.encoder], "b": entry(**how)}
    with pytest.raises(params.ParamsError) as refused:
        check(replace(study, encoder="a", encoders=encoders))
    assert re.fullmatch(f"params: encoders.b: .*{says}.*", str(refused.value))  # one line


PLAIN = TowerConfig(image_size=40, patch_size=8, width=32, layers=3, head_width=16, registers=1)
COSTS = [
    {"model": "ViT-L-14-quickgelu"},
    {"model": "ViT-M-16-alt", "token": "pooled"},  # whose blocks have a scale
    {"model": "ViT-B-32", "blocks": (2, 5), "token": "mean"},
    {"model": OWN, "token": "mean", "tap": "block"},
    {"model": PLAIN, "blocks": (2,)},
    {"model": PLAIN, "token": "cls+registers", "tap": "block_normed"},
    {"model": replace(PLAIN, image_size=16)},  # with fewer rows than the last block asks
]


@pytest.mark.parametrize("how", COSTS)
def test_what_a_plain_tower_costs_is_known_without_it(how: dict) -> None:
    config = entry(**how)
    shape = look_up(config).shape
    assert shape is not None
    with torch.device("meta"):
        body = ViT(shape, *layout(look_up(config), config)).eval()
    seen = facts(config)
    assert (seen.parameters, seen.operations) == counted(body, shape.image_size)


def test_what_a_tower_gives_is_found_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Finding it imports PyTorch, which most stages of a study do without."""
    monkeypatch.setenv("RINE_STORE", str(tmp_path))
    config = entry("vit_small_patch14_dinov2", source="timm", image_size=70, blocks=(2, 4), token="cls+mean")
    assert remembered(config) == (70, 2, 768)

    def found_again(config: EncoderConfig) -> None:
        raise ValueError("it is looked up")

    monkeypatch.setattr("rine.encoder.facts.look_up", found_again)
    assert remembered(replace(config, name="another", seed=7)) == (70, 2, 768)
    for other in ({"image_size": 84}, {"pretrained": "lvd142m"}, {"token": "cls"}, {"source": None}):
        with pytest.raises(ValueError, match="it is looked up"):
            remembered(replace(config, **other))


def test_a_file_that_is_not_here_is_no_error_before_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RINE_STORE", str(tmp_path))
    study = params.read("params.yaml")
    study = replace(study, encoders={study.encoder: entry("ViT-B-32", pretrained="~/gone.pt", blocks=(2,))})
    [warning] = missing_files(check(study))
    assert "pretrained = '~/gone.pt': there is no such file" in warning


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("tap", "norm1", "tap = 'norm1'.*'block_normed'; did you mean 'norm2'"),
        ("token", "cls+register", "token = 'cls.register'.*; did you mean 'cls.registers'"),
        ("blocks", [2, 2], r"blocks = \[2, 2\]: name each once"),
        ("blocks", [0], "blocks"),
        ("source", "own", "source = 'own' and model = 'ViT-B-32'"),
        ("image_size", True, "image_size"),
    ],
)
def test_an_entry_that_means_nothing_is_refused_when_it_is_read(key: str, value: object, says: str) -> None:
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["encoders"]["tiny_32"] |= {"model": "ViT-B-32", key: value}
    with pytest.raises(params.ParamsError, match=says):
        params.parse(raw)


def test_tokens_that_float16_cannot_hold_are_an_error_that_names_the_block() -> None:
    own = TowerConfig(image_size=32, patch_size=8, width=32, layers=3, head_width=16)
    ours = load(entry(own, tap="block"), "cpu")
    with torch.no_grad():
        ours.body.transformer.resblocks[1].mlp["c_proj"].bias += 1e5
    with pytest.raises(ValueError, match=r"tokens of block 2, 3 are too large for float16.*say tap: norm2"):
        ours.encode(pictures(2, 32))
