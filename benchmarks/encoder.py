"""Pictures per second of the encoder on one thread, against forward hooks on open_clip's whole `encode_image`."""

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


def rows(rounds: int) -> list[Figure | Skipped]:
    return [_figure(name, model, rounds) for name, model in MODELS.items()]


def random(name: str, model: str) -> EncoderConfig:
    """A model of open_clip with seeded random weights: they change no time."""
    return EncoderConfig(name=name, model=model, pretrained="random", seed=0)


def hooked(config: EncoderConfig, ours: Encoder) -> Callable[[Tensor], Tensor]:
    """The reference's way: open_clip's own forward pass with a hook on every `ln_2`; uint8 pictures to tokens."""
    module = open_clips(config)
    found = caught(module)

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        found.clear()
        module((pictures.float() - ours.mean) / ours.std)
        return torch.stack(found)[:, :, 0].transpose(0, 1)  # (B, L, D)

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


def _figure(name: str, model: str, rounds: int) -> Figure:
    config = random(name, model)
    ours = encoder.load(config, "cpu")
    theirs, threads = hooked(config, ours), torch.get_num_threads()
    pictures = noise(BATCH[name], ours.image_size)
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
        f"encoder, pictures/s, one thread, {name}",
        "hooks on the full encode_image",
        ratios(seconds[:, 0], seconds[:, 1]) if not close else (0.0,) * rounds,
        GOAL,
        medians(["theirs", "ours", "theirs, in parts"], seconds),
        note=f"batches of {len(pictures)}, {rate:.2f} pictures/s, tokens within {error:.0e}{close}; "
        f"hooks in parts of {ours.micro_batch}, as ours: {small:.2f} x",
    )
