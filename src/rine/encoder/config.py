"""An entry of `encoders` in the params file: which tower, which weights, and what is kept of each of its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from rine.values import STRICT, Count, Layers, Seed

_FILES = {".safetensors", ".pt", ".pth", ".bin"}
MOST_NUMBERS = 10_000_000_000  # of an own tower: 40 GB

Source = Literal["open_clip", "timm", "own"]
Tap = Literal["norm2", "block", "block_normed"]
Token = Literal["cls", "mean", "cls+mean", "cls+registers", "pooled"]


def _said(config: Any) -> dict[str, Any]:
    """A config as plain data, without the values that it has by default: those stand in no file of older models."""
    values = asdict(config)
    return {f.name: values[f.name] for f in fields(config) if values[f.name] != f.default}


@dataclass(frozen=True, config=STRICT)
class TowerConfig:
    """The shape of a ViT that no catalogue has a name for (the sample study's)."""

    image_size: Count
    patch_size: Count
    width: Count
    layers: Layers
    head_width: Count
    cls: bool = True  # whether it has a CLS token
    registers: Annotated[int, Field(ge=0, strict=True)] = 0  # tokens beside it that stand for no patch

    @model_validator(mode="after")
    def _possible(self) -> TowerConfig:
        if self.width % self.head_width:
            raise ValueError(f"head_width = {self.head_width}: width {self.width} is no multiple of it")
        if self.patch_size > self.image_size:
            raise ValueError(f"patch_size = {self.patch_size} is more than image_size = {self.image_size}")
        patches, layers = (self.image_size // self.patch_size) ** 2, 12 * self.layers * self.width
        if self.width * (patches + 3 * self.patch_size**2 + layers) > MOST_NUMBERS:
            raise ValueError(f"a tower of this shape has more than {MOST_NUMBERS:,} numbers")
        return self

    def entry(self) -> dict[str, Any]:
        """Plain data that makes the same config again."""
        return _said(self)


@dataclass(frozen=True, config=STRICT)
class EncoderConfig:
    """A frozen image encoder: a tower, where its weights come from, and the token that is kept of a block.

    What has a default need not be said: the defaults are the paper's encoder.
    """

    name: str  # as the tables show it: "ViT-L/14"
    model: str | TowerConfig  # "ViT-L-14", "vit_small_patch14_dinov2", or the shape of an own tower
    pretrained: str  # "openai", "random", or a path to a file
    seed: Seed  # of `pretrained: random`
    source: Source | None = None  # whose name `model` is; default: open_clip, and own for a shape
    image_size: Count | None = None  # pixels a side; default: the tower's own
    tap: Tap = "norm2"  # where in a block: the norm before its MLP, its output, or that under the tower's final norm
    token: Token = "cls"  # the CLS row, the mean over the patches, rows side by side, or the tower's pooled vector
    blocks: Literal["all"] | Annotated[tuple[Count, ...], Field(min_length=1)] = "all"  # by number, from 1

    @model_validator(mode="after")
    def _agrees(self) -> EncoderConfig:
        if (self.source == "own") == isinstance(self.model, str) and self.source is not None:
            raise ValueError(
                f"source = {self.source!r} and model = {self.model!r}: source own takes a shape (image_size, "
                "patch_size, ...), open_clip and timm a name"
            )
        if isinstance(self.model, TowerConfig) and self.image_size is not None:
            raise ValueError(f"image_size = {self.image_size}: an own tower has its own, model.image_size")
        if self.blocks != "all" and list(self.blocks) != sorted(set(self.blocks)):
            raise ValueError(f"blocks = {list(self.blocks)}: name each once, in their order")
        if self.token == "pooled" and (self.tap != "norm2" or self.blocks != "all"):
            raise ValueError("token = 'pooled' is one vector after the last block: leave tap and blocks out")
        return self

    @property
    def file(self) -> Path | None:
        """The file of weights that it names, there or not; None of random ones and of a catalogue's."""
        path = Path(self.pretrained).expanduser()
        named = "/" in self.pretrained or path.suffix in _FILES or path.is_file()
        return path if named and self.pretrained != "random" else None

    @property
    def tag(self) -> str:
        """The catalogue's name of its weights; empty of random ones and of a file's."""
        return "" if self.pretrained == "random" or self.file else self.pretrained

    @property
    def catalogue(self) -> Source:
        """Whose name the model is."""
        return self.source or ("open_clip" if isinstance(self.model, str) else "own")

    @property
    def words(self) -> str:
        """What is kept of a picture, for people: "token cls at norm2 of all blocks"."""
        if self.token == "pooled":
            return "the pooled vector after the last block"
        blocks = "all blocks" if self.blocks == "all" else f"blocks {', '.join(map(str, self.blocks))}"
        return f"token {self.token} at {self.tap} of {blocks}"

    def entry(self) -> dict[str, Any]:
        """Plain data that makes the same config again, as a model file keeps it."""
        model = self.model if isinstance(self.model, str) else self.model.entry()
        return _said(self) | {"model": model}


NAMES = frozenset(field.name for field in fields(EncoderConfig))


def of_entry(entry: Mapping[str, Any]) -> EncoderConfig:
    """The config that `entry` was made of, as a model file keeps it among other keys."""
    return TypeAdapter(EncoderConfig).validate_python({key: entry[key] for key in entry.keys() & NAMES})
