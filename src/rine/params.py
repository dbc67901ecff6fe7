"""`params.yaml`: every number and name of a study, read into frozen dataclasses.

Pure schema: it holds no number of the study and no default for one. An unknown key, a wrong type or an impossible
value is a `ParamsError` that names the key, the value and what is allowed.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass


class ParamsError(ValueError):
    """A params file that cannot be used; the message names each key, its value and what is allowed."""


def _no_bool(value: Any) -> Any:
    # pydantic reads `true` as 1; in a params file that is always a slip
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


# Strings are read as numbers on purpose: `dvc exp run -S lr=1e-5` writes `1e-05`, which YAML 1.1 reads as a string.
Integer = Annotated[int, BeforeValidator(_no_bool)]
Real = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Count = Annotated[Integer, Field(ge=1)]
Seed = Annotated[Integer, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Probability = Annotated[Real, Field(ge=0, le=1)]
Fraction = Annotated[Real, Field(gt=0, le=1)]
Quality = Annotated[Integer, Field(ge=1, le=100)]
# DVC addresses parameters by dotted keys, and item names become folders
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]

# `mean` and `ensemble` are reported beside these, but name no configuration that could be trained
Rule = Literal["paper", "leave_one_generator_out", "family_out", "validation"]
Mode = Literal["paper", "reference"]
Kind = Literal["blur", "crop", "compress", "noise", "combined"]
Variant = Literal["contrastive", "importance", "intermediate"]
FeatureSet = Literal["train", "test", "ldm", "synthbuster", "perturb"]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class TowerConfig:
    """A ViT image tower that open_clip has no name for (the sample study's)."""

    image_size: Count
    patch_size: Count
    width: Count
    layers: Count
    head_width: Count


@dataclass(frozen=True, config=_STRICT)
class EncoderConfig:
    """A frozen image encoder: an open_clip model name or a tower, and where its weights come from."""

    name: str  # as the tables show it: "ViT-L/14"
    model: str | TowerConfig  # "ViT-L-14", one of `open_clip.list_models()`
    pretrained: str  # "openai", "random", or a path to a file
    seed: Seed  # of `pretrained: random`


@dataclass(frozen=True, config=_STRICT)
class DatasetConfig:
    """A data set in a known folder layout, or globs of one's own (relative to `prepare.root`)."""

    layout: Literal["forensynths", "universal_fake_detect", "dmimagedetection", "synthbuster", "globs"] = "globs"
    real: tuple[str, ...] = ()
    fake: tuple[str, ...] = ()
    split: Literal["train", "val", "test"] | None = None
    study: Literal["grid", "ldm"] = "grid"
    family: Name = "own"
    category: Name | None = None  # the class that `settings` names; default: the data set's name
    val_fraction: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    only: tuple[str, ...] = ()  # test generators of a known layout to keep; all of them where empty

    @model_validator(mode="after")
    def _complete(self) -> DatasetConfig:
        if self.layout == "globs" and not (self.real and self.fake and self.split):
            raise ValueError("a data set of one's own needs real: [globs], fake: [globs] and split: train | val | test")
        if self.layout != "globs" and (self.real or self.fake or self.split):
            raise ValueError(f"layout {self.layout!r} knows its folders: real, fake and split belong to globs")
        return self


@dataclass(frozen=True, config=_STRICT)
class AlignConfig:
    """Make both classes alike before encoding: the same shorter side, then the same JPEG quality."""

    jpeg_quality: Quality | None
    size: Count | None


@dataclass(frozen=True, config=_STRICT)
class PrepareConfig:
    root: str
    max_pixels: Count
    datasets: dict[Name, DatasetConfig]
    align: AlignConfig | None


@dataclass(frozen=True, config=_STRICT)
class AugmentationConfig:
    """The training augmentation: `views` draws of it for every training picture."""

    mode: Mode
    views: Count
    blur_p: Probability
    blur_sigma: tuple[NonNegative, NonNegative]
    jpeg_p: Probability
    jpeg_quality: tuple[Quality, Quality]

    @model_validator(mode="after")
    def _ordered(self) -> AugmentationConfig:
        for key in ("blur_sigma", "jpeg_quality"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key} is [lowest, highest], got [{low}, {high}]")
        return self


@dataclass(frozen=True, config=_STRICT)
class CropConfig:
    """The crop that the encoder sees."""

    size: Count


@dataclass(frozen=True, config=_STRICT)
class CacheItem:
    """One feature set of one encoder: of which pictures; `views` names the section that decides what is shown."""

    encoder: Name
    set: FeatureSet
    pictures: Literal["train", "test", "ldm", "synthbuster"]
    views: Literal["augmentation", "crops", "perturb"]


@dataclass(frozen=True, config=_STRICT)
class CacheConfig:
    seed: Seed
    shard_rows: Count
    items: dict[Name, CacheItem]


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How every head is trained (section 4 of the paper); `lr` stands at the top level."""

    batch_size: Count
    dropout: Annotated[Real, Field(ge=0, lt=1)]
    temperature: Positive
    lr_steps: tuple[Count, ...]
    lr_factor: Positive


@dataclass(frozen=True, config=_STRICT)
class GridConfig:
    epochs: Count
    xi: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    q: Annotated[tuple[Count, ...], Field(min_length=1)]
    proj_dim: Annotated[tuple[Count, ...], Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class SelectConfig:
    rule: Rule
    top: Count  # how many configurations of a setting the epoch study takes up


@dataclass(frozen=True, config=_STRICT)
class EpochsConfig:
    epochs: Annotated[tuple[Count, ...], Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class DatasetSizeConfig:
    fractions: Annotated[tuple[Fraction, ...], Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class AblateConfig:
    variants: tuple[Variant, ...]


@dataclass(frozen=True, config=_STRICT)
class BestConfig:
    """The models that are trained and stored: one a setting, and `ldm`."""

    models: Annotated[dict[Name, Literal["train", "ldm"]], Field(min_length=1)]  # model -> its training set
    default: Name  # the one that `rine predict` uses


@dataclass(frozen=True, config=_STRICT)
class LdmConfig:
    epochs: Annotated[tuple[Count, ...], Field(min_length=1)]
    xi: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    q: Annotated[tuple[Count, ...], Field(min_length=1)]
    proj_dim: Annotated[tuple[Count, ...], Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class DegradeConfig:
    """Sweeps of `rine.pixels.perturbations.DEGRADATIONS`: name -> strengths; `pictures` of each source and class."""

    pictures: Count
    strengths: dict[Name, tuple[Real, ...]]


@dataclass(frozen=True, config=_STRICT)
class PerturbConfig:
    mode: Mode
    kinds: tuple[Kind, ...]
    seed: Seed
    degrade: DegradeConfig | None


@dataclass(frozen=True, config=_STRICT)
class ValidateConfig:
    """What is drawn of the embeddings: so many pictures of each group (real, GAN, diffusion), by t-SNE."""

    tsne_pictures: Count
    tsne_perplexity: Positive
    seed: Seed


@dataclass(frozen=True, config=_STRICT)
class ReportConfig:
    confidence: Annotated[Real, Field(gt=0, lt=1)]


Auto = Literal["auto"]


@dataclass(frozen=True, config=_STRICT)
class RuntimeConfig:
    """How and how fast, not what. Arithmetic, which DVC tracks, device and precision move the last digits of tokens."""

    arithmetic: Literal["portable", "fast"]  # rine.arithmetic
    device: Literal["auto", "cpu", "cuda", "mps"] | Annotated[str, Field(pattern=r"^cuda:\d+$")]
    workers: Auto | Annotated[Integer, Field(ge=0)]
    batch_size: Auto | Count
    precision: Literal["auto", "fp32", "fp16"]

    @model_validator(mode="after")
    def _same_bits(self) -> RuntimeConfig:
        if self.arithmetic == "portable" and (self.device not in {"auto", "cpu"} or self.precision == "fp16"):
            raise ValueError(
                f"arithmetic = 'portable' promises the same bits for device cpu (or auto) and precision fp32 (or auto) "
                f"alone; with device {self.device!r} and precision {self.precision!r}, say arithmetic: fast"
            )
        return self


@dataclass(frozen=True, config=_STRICT)
class Params:
    """The whole study; see `params.yaml`."""

    profile: Name
    about: str
    lr: Positive
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    encoder: Name
    encoders: Annotated[dict[Name, EncoderConfig], Field(min_length=1)]
    settings: Annotated[dict[Name, tuple[str, ...]], Field(min_length=1)]
    prepare: PrepareConfig
    crops: CropConfig
    augmentation: AugmentationConfig
    cache: CacheConfig
    training: TrainingConfig
    grid: GridConfig
    select: SelectConfig
    epochs: EpochsConfig
    dataset_size: DatasetSizeConfig
    ablate: AblateConfig
    best: BestConfig
    ldm: LdmConfig
    perturb: PerturbConfig
    validate: ValidateConfig
    report: ReportConfig
    runtime: RuntimeConfig

    @model_validator(mode="after")
    def _names_agree(self) -> Params:
        if self.encoder not in self.encoders:
            raise ValueError(f"encoder = {self.encoder!r} is not among encoders: {sorted(self.encoders)}")
        for name, item in self.cache.items.items():
            if item.encoder not in self.encoders:
                raise ValueError(
                    f"cache.items.{name}.encoder = {item.encoder!r} is not among encoders: {sorted(self.encoders)}"
                )
            if name != f"{item.encoder}-{item.set}":
                raise ValueError(f"cache.items.{name} must be called {item.encoder}-{item.set}")
        models = [*self.settings, "ldm"]
        for model, training_set in self.best.models.items():
            if model not in models or (model == "ldm") != (training_set == "ldm"):
                raise ValueError(
                    f"best.models.{model} = {training_set!r}; allowed: ldm: ldm, and train for {models[:-1]}"
                )
        if self.best.default not in self.best.models:
            raise ValueError(f"best.default = {self.best.default!r} is not among best.models: {[*self.best.models]}")
        own = [each for each in self.prepare.datasets.items() if each[1].layout == "globs" and each[1].split == "train"]
        if own and all(each.layout in {"globs", "synthbuster"} for each in self.prepare.datasets.values()):
            classes = sorted({each.category or name for name, each in own})
            for setting, wanted in self.settings.items():
                if unknown := sorted(set(wanted) - set(classes)):
                    raise ValueError(f"settings.{setting} names {unknown}; the training data sets are {classes}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {list(self.seeds)} names one twice")
        return self


def read(path: Path | str) -> Params:
    """Read a params file; raises `ParamsError` with one line for each thing that is wrong in it."""
    path = Path(path)
    if not path.is_file():
        raise ParamsError(f"{path}: no such params file; the study in force is params.yaml, others lie in pipeline/")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {error}") from error
    return parse(raw, str(path))


def parse(raw: Any, origin: str = "params") -> Params:
    """Check plain data (nested dicts) as `read` does a file; `origin` stands before each message."""
    try:
        return TypeAdapter(Params).validate_python(raw)
    except ValidationError as error:
        errors = error.errors()
        # a list whose items are wrong is also reported as too short: one line for one slip
        places = {item["loc"][:-1] for item in errors}
        lines = dict.fromkeys(_explain(e) for e in errors if e["type"] != "too_short" or e["loc"] not in places)
        raise ParamsError("\n".join(f"{origin}: {line}" for line in lines)) from None


# what pydantic adds to a place in a union; no keys of ours
_TAGS = {"str", "int", "constrained-int", "constrained-str", "TowerConfig"}


def _explain(error: Any) -> str:
    """One line of plain words for one of pydantic's errors."""
    keys = [str(key) for key in error["loc"] if key not in _TAGS and "[" not in str(key)]
    name, value = ".".join(keys) or "the study", error["input"]
    if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"{name} = {value!r}: unknown key; allowed here: {', '.join(_allowed(keys[:-1]))}"
    if error["type"] in {"missing", "missing_argument"}:
        return f"{name}: missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if isinstance(value, dict) else f"{name} = {value!r}: {message}"


def _allowed(keys: list[str]) -> list[str]:
    """Field names of the dataclass at a dotted place of the schema."""
    here: Any = Params
    for key in keys:
        if is_dataclass(here):
            here = get_type_hints(here, include_extras=False).get(key, here)
        here = next((a for a in _members(here) if is_dataclass(a)), here)
    return [field.name for field in fields(here)] if is_dataclass(here) else []


def _members(hint: Any) -> list[Any]:
    """The types that a hint is made of: itself, a union's or a container's parts, at any depth."""
    return [hint, *(part for arg in get_args(hint) for part in _members(arg))]
