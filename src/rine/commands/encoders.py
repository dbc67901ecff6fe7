"""`rine encoders`: towers that an entry of `encoders` may name, what each gives, and whether its weights are here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rine.commands.options import PARAMS, plain_errors
from rine.encoder.config import EncoderConfig
from rine.params import read
from rine.progress import progress
from rine.terminal import printable

if TYPE_CHECKING:
    from rine.encoder.facts import Facts

# Towers to begin with, and weights of each: of every family that is known to work
FAMILIES = {
    "open_clip": {
        "ViT-B-32": "openai",
        "ViT-L-14": "openai",
        "ViT-H-14-quickgelu": "dfn5b",
        "EVA02-B-16": "merged2b_s8b_b131k",
        "EVA02-L-14": "merged2b_s4b_b131k",
        "PE-Core-T-16-384": "meta",
        "PE-Core-B-16": "meta",
        "PE-Core-L-14-336": "meta",
        "ViT-B-16-SigLIP2": "webli",
        "ViT-L-16-SigLIP2-256": "webli",
        "ViT-SO400M-16-SigLIP2-256": "webli",
    },
    "timm": {
        "vit_small_patch14_dinov2": "lvd142m",
        "vit_small_patch14_reg4_dinov2": "lvd142m",
        "vit_base_patch14_reg4_dinov2": "lvd142m",
        "vit_large_patch14_reg4_dinov2": "lvd142m",
        "vit_small_patch16_dinov3": "lvd1689m",
        "vit_base_patch16_dinov3": "lvd1689m",
        "vit_large_patch16_dinov3": "lvd1689m",
        "aimv2_large_patch14_224": "apple_pt",
    },
}
COLUMNS = ("encoder", "source", "weights", "blocks x width", "size", "tokens", "MB", "GFLOP", "licence", "here")
_FEW = (1, 2)  # blocks that are tried without weights: all of a tower are alike
MOST = 60  # of the catalogues' names that a pattern fits


def encoders(
    pattern: Annotated[
        str,
        typer.Argument(help="Part of a name: all towers of both catalogues that have it. Default: a choice."),
    ] = "",
    check: Annotated[
        bool, typer.Option(help="Also build each, and run a picture through it: which work here?")
    ] = False,
    params: Annotated[Path, typer.Option(help="The params file, whose own encoders come first.")] = PARAMS,
) -> None:
    """List towers: blocks, width, input, tokens, cost, licence, and whether the weights are on this machine.

    With --check each is built, and a tick says that it gives the tokens of a picture: of its weights where they are
    here, else of random ones in two blocks. Example: rine encoders dinov3
    """
    with plain_errors("encoders"):
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        entries = [] if pattern else _of_study(params)
        for source, names in (_matching(pattern) if pattern else FAMILIES).items():
            entries += [
                EncoderConfig(name=name, model=name, pretrained=tag, seed=0, source=source)  # type: ignore[arg-type]
                for name, tag in names.items()
            ]
        if not entries:
            raise ValueError(f"no tower of open_clip's or timm's has {pattern!r} in its name")
        shown = Table(caption="MB, GFLOP: of what the tokens need. Read licences other than MIT and Apache first.")
        for column in (*COLUMNS, "works") if check else COLUMNS:
            shown.add_column(column, no_wrap=column not in {"tokens", "works"})
        with progress(len(entries), "towers", "encoders") as bar:
            for entry in entries:
                shown.add_row(*(escape(printable(cell)) for cell in row(entry, check)))
                bar.advance()
        console = Console()
        # in a narrow window or a file a table of ten columns would be cut to nothing
        Console(width=max(console.width, 170)).print(shown)


def row(entry: EncoderConfig, check: bool = False) -> list[str]:
    """What the table says of an entry: facts, or why it cannot be used."""
    from rine.encoder.weights import on_this_machine

    start = [entry.name, entry.catalogue, entry.pretrained]
    try:
        usable, seen = _usable(entry)
    except ValueError as error:
        return [*start, "", "", f"unusable: {error}", "", "", "", "", *(["no"] if check else [])]
    here = on_this_machine(entry)
    by_tap = "" if usable.tap == entry.tap else f" (tap: {usable.tap})"
    return [
        *start,
        f"{seen.depth} x {seen.width}",
        str(seen.tower.image_size),
        ", ".join(seen.tokens) + by_tap,
        f"{seen.parameters * 4e-6:,.0f}",
        f"{seen.operations / 1e9:,.1f}",
        seen.tower.licence or ("" if entry.catalogue == "own" else "see its page"),
        "random" if entry.pretrained == "random" else "yes" if here else "no",
        *([_tried(usable if here else replace(usable, pretrained="random", blocks=_FEW))] if check else []),
    ]


def _usable(entry: EncoderConfig) -> tuple[EncoderConfig, Facts]:
    """The entry, and what its tower is; where that gives no such token, with one that it gives."""
    from rine.encoder.facts import facts

    others: list[dict[str, Any]] = [{}, {"token": "mean"}, {"tap": "block"}, {"token": "mean", "tap": "block"}]
    for other in others:
        changed = replace(entry, **other)
        with suppress(ValueError):
            return changed, facts(changed)
    return entry, facts(entry)  # to say what is wrong


def _tried(entry: EncoderConfig) -> str:
    """A tick for a tower that gives the tokens of a picture, or why it does not."""
    import torch

    from rine.encoder import load

    try:
        encoder = load(entry, "cpu")
        size = encoder.image_size
        encoder.encode(torch.arange(3 * size * size).remainder(251).to(torch.uint8).view(1, 3, size, size))
    except ValueError as error:
        return f"no: {error}"
    return "✓"


def _of_study(params: Path) -> list[EncoderConfig]:
    return list(read(params).encoders.values()) if params.is_file() else []


def _matching(pattern: str) -> dict[str, dict[str, str]]:
    """Names of both catalogues with some of their tags: source -> name -> the first tag, or `random`."""
    import timm

    from rine.encoder import tags
    from rine.encoder.catalogue import open_clip_names

    text = pattern.lower()
    of_open_clip = [name for name in open_clip_names() if text in name.lower()][:MOST]
    of_timm = [name for name in timm.list_models() if text in name.lower()][: MOST - len(of_open_clip)]
    return {
        "open_clip": {name: next(iter(tags.open_clip_tags(name)), "random") for name in of_open_clip},
        "timm": {name: next(iter(tags.timm_tags(name)), "random") for name in of_timm},
    }
