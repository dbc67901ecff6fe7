"""`rine encoders`: towers that an entry of `encoders` may name, what each gives, and whether its weights are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rine.commands.options import PARAMS, plain_errors
from rine.encoder.config import EncoderConfig
from rine.params import read
from rine.terminal import printable

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
MOST = 60  # of the catalogues' names that a pattern fits


def encoders(
    pattern: Annotated[
        str,
        typer.Argument(help="Part of a name: all towers of both catalogues that have it. Default: a choice."),
    ] = "",
    params: Annotated[Path, typer.Option(help="The params file, whose own encoders come first.")] = PARAMS,
) -> None:
    """List towers: blocks, width, input, tokens, cost, licence, and whether the weights are on this machine.

    Example: rine encoders dinov3
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
        for column in COLUMNS:
            shown.add_column(column, no_wrap=column != "tokens")
        for entry in entries:
            shown.add_row(*(escape(printable(cell)) for cell in row(entry)))
        console = Console()
        # in a narrow window or a file a table of ten columns would be cut to nothing
        Console(width=max(console.width, 160)).print(shown)


def row(entry: EncoderConfig) -> list[str]:
    """What the table says of an entry: facts, or why it cannot be used."""
    from dataclasses import replace

    from rine.encoder.facts import facts
    from rine.encoder.weights import on_this_machine

    start = [entry.name, entry.catalogue, entry.pretrained]
    try:
        try:
            seen = facts(entry)
        except ValueError:
            seen = facts(replace(entry, token="mean"))  # no CLS
        here = "random" if entry.pretrained == "random" else "yes" if on_this_machine(seen.tower, entry) else "no"
    except ValueError as error:
        return [*start, "", "", f"unusable: {error}", "", "", "", ""]
    return [
        *start,
        f"{seen.depth} x {seen.width}",
        str(seen.tower.image_size),
        ", ".join(seen.tokens),
        f"{seen.parameters * 4e-6:,.0f}",
        f"{seen.operations / 1e9:,.1f}",
        seen.tower.licence or ("" if entry.catalogue == "own" else "see its page"),
        here,
    ]


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
