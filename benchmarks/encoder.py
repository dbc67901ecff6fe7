"""Pictures per second of the encoder on one thread, against hooks on the library's own, whole forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine import encoder
from rine.encoder import Encoder
from rine.encoder.catalogue import look_up
from rine.encoder.config import EncoderConfig
from rine.encoder.random_weights import draw

GOAL, CLOSE = 1.10, 1e-5
MODELS = {"ViT-B/32": "ViT-B-32-quickgelu", "ViT-L/14": "ViT-L-14-quickgelu"}
BATCH = {"ViT-B/32": 64, "ViT-L/14": 8}  # pictures handed over at once; the reference's is 128
# Towers that run through timm's modules, ours as theirs: not slower is all that is asked for
TIMMS = {
    "DINOv2 S/14": {"source": "timm", "model": "vit_small_patch14_dinov2", "image_size": 224},
    "SigLIP2 B/16": {"model": "ViT-B-16-SigLIP2", "token": "mean"},
}


def rows(rounds: int) -> list[Figure | Skipped]:
    plain = [_figure(random(name, model), GOAL, BATCH[name], rounds) for name, model in MODELS.items()]
    return plain + [
        _figure(EncoderConfig(name=name, pretrained="random", seed=0, **how), 1.0, 8, rounds)  # type: ignore[arg-type]
        for name, how in TIMMS.items()
    ]


def random(name: str, model: str) -> EncoderConfig:
    """A model of open_clip with seeded random weights: they change no time."""
    return EncoderConfig(name=name, model=model, pretrained="random", seed=0)


def hooked(config: EncoderConfig, ours: Encoder) -> Callable[[Tensor], Tensor]:
    """The reference's way: open_clip's own forward pass with a hook on every `ln_2`; uint8 pictures to tokens."""
    if ours.tower.arch:
        return _hooked_timm(config, ours)
    module = open_clips(config)
    found = caught(module)

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        found.clear()
        module((pictures.float() - ours.mean) / ours.std)
        return torch.stack(found)[:, :, 0].transpose(0, 1)  # (B, L, D)

    return encode


def _hooked_timm(config: EncoderConfig, ours: Encoder) -> Callable[[Tensor], Tensor]:
    """The same of a tower of timm's: its own forward pass, whole, with a hook on every `norm2`."""
    import timm

    assert ours.tower.arch is not None
    size = {} if config.image_size is None else {"img_size": config.image_size}
    module = timm.create_model(ours.tower.arch, num_classes=0, **size).eval()
    draw(module, config.seed)
    found: list[Tensor] = []
    for block in module.blocks:
        block.norm2.register_forward_hook(lambda module, inputs, output: found.append(output))

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        found.clear()
        module((pictures.float() - ours.mean) / ours.std)
        rows = torch.stack(found).transpose(0, 1)  # (B, L, T, D)
        return rows.mean(2) if config.token == "mean" else rows[:, :, 0]

    return encode


def open_clips(config: EncoderConfig) -> nn.Module:
    """open_clip's own module of a plain tower, with the same random weights."""
    from open_clip.transformer import QuickGELU, VisionTransformer

    shape = look_up(config).shape
    assert shape is not None
    module = VisionTransformer(
        shape.image_size,
        shape.patch_size,
        shape.width,
        shape.layers,
        shape.width // shape.head_width,
        shape.mlp_ratio,
        act_layer=QuickGELU if shape.quick_gelu else nn.GELU,
    )
    draw(module, config.seed)
    return module


def caught(module: nn.Module) -> list[Tensor]:
    """Hook every `ln_2` of open_clip's tower, in evaluation mode; the list to which each pass adds their outputs."""
    found: list[Tensor] = []
    for block in module.eval().transformer.resblocks:
        block.ln_2.register_forward_hook(lambda module, inputs, output: found.append(output))
    return found


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest token."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def noise(n: int, size: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _figure(config: EncoderConfig, goal: float, batch: int, rounds: int) -> Figure:
    ours = encoder.load(config, "cpu")
    theirs, threads = hooked(config, ours), torch.get_num_threads()
    pictures = noise(batch, ours.image_size)
    parts = pictures.split(ours.micro_batch)
    torch.set_num_threads(1)
    try:
        error = relative_error(ours(parts[0]), theirs(parts[0]))
        ways = [lambda: theirs(pictures), lambda: ours(pictures), lambda: [theirs(part) for part in parts]]
        seconds = in_turn(ways, rounds, warm=False)
    finally:
        torch.set_num_threads(threads)
    small = float(torch.tensor(ratios(seconds[:, 2], seconds[:, 1])).median())
    rate = len(pictures) / float(torch.tensor(seconds[:, 1]).median())
    close = "" if error <= CLOSE else f", which is more than {CLOSE:g}"
    return Figure(
        "encoder",
        f"encoder, pictures/s, one thread, {config.name}",
        "hooks on the full encode_image",
        ratios(seconds[:, 0], seconds[:, 1]) if not close else (0.0,) * rounds,
        goal,
        medians(["theirs", "ours", "theirs, in parts"], seconds),
        note=f"batches of {len(pictures)}, {rate:.2f} pictures/s, tokens within {error:.0e}{close}; "
        f"hooks in parts of {ours.micro_batch}, as ours: {small:.2f} x",
    )
