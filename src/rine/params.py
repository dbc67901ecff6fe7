"""`params.yaml`: every number and name of a study, read into frozen dataclasses.

Pure schema: it holds no number of the study. An unknown key, a wrong type or an impossible value is a `ParamsError`
that names the key, the value and what is allowed. Whether sections fit each other, and whether there are such
perturbations, rules and models, is asked by `rine.checks` before a stage runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from rine.dataset.config import PrepareConfig
from rine.detectors.config import Detectors
from rine.encoder.config import EncoderConfig
from rine.params_errors import explained
from rine.params_file import read_plain
from rine.pixels.config import AlignConfig, AugmentationConfig, PerturbConfig, Small
from rine.values import STRICT, Auto, Count, Fraction, Integer, Layers, Name, NonNegative, Positive, Real, Seed


class ParamsError(ValueError):
    """A params file that cannot be used; the message names each key, its value and what is allowed."""


@dataclass(frozen=True, config=STRICT)
class CacheConfig:
    """What `cache` does to every picture before its views are made, and how many rows a file of tokens has."""

    align: AlignConfig | None
    shard_rows: Count
    small: Small = "pad"  # pictures under the encoder's size: black borders, as the paper has, or enlarged to fill it


@dataclass(frozen=True, config=STRICT)
class TrainingConfig:
    """How every head is trained (section 4 of the paper); `lr` stands at the top level."""

    batch_size: Count
    dropout: Annotated[Real, Field(ge=0, lt=1)]
    temperature: Positive
    lr_steps: tuple[Count, ...]
    lr_factor: Positive
    pool: Name = "importance"  # one of `rine.heads.HEADS`: how blocks are joined; the paper's, unless said


Counts = Annotated[tuple[Count, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class GridConfig:
    epochs: Count
    xi: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    q: Annotated[tuple[Layers, ...], Field(min_length=1)]
    proj_dim: Counts


@dataclass(frozen=True, config=STRICT)
class LdmConfig:
    epochs: Counts
    xi: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    q: Annotated[tuple[Layers, ...], Field(min_length=1)]
    proj_dim: Counts


@dataclass(frozen=True, config=STRICT)
class SelectConfig:
    rule: Name  # one of `rine.evaluation.selection.RULES` that names a model
    top: Count  # how many configurations of a setting the epoch study takes up


@dataclass(frozen=True, config=STRICT)
class EpochsConfig:
    epochs: Counts


@dataclass(frozen=True, config=STRICT)
class DatasetSizeConfig:
    fractions: Annotated[tuple[Fraction, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class VariantConfig:
    """What an ablation changes of the chosen configuration; what is not named stays."""

    xi: NonNegative | None = None
    pool: Name | None = None  # one of `rine.heads.HEADS`

    @property
    def changes(self) -> dict[str, Any]:
        """Fields of `rine.training.Run`, with their values."""
        return {key: value for key, value in (("xi", self.xi), ("pool", self.pool)) if value is not None}


@dataclass(frozen=True, config=STRICT)
class AblateConfig:
    """Parts of the method, and of the training data, to leave out: each family, each that was released from a date."""

    variants: dict[Name, VariantConfig] = Field(default_factory=dict)
    leave_out: tuple[Literal["family", "released"], ...] = ()


@dataclass(frozen=True, config=STRICT)
class BestConfig:
    """The models that are trained and stored: one a setting, and `ldm`."""

    models: Annotated[dict[Name, Literal["train", "ldm"]], Field(min_length=1)]  # model -> its training set
    default: Name  # the one that `rine predict` uses


@dataclass(frozen=True, config=STRICT)
class ValidateConfig:
    """What is drawn of the embeddings: so many pictures of each group (real, GAN, diffusion), by t-SNE."""

    tsne_pictures: Count
    tsne_perplexity: Positive
    tsne_seed: Seed


@dataclass(frozen=True, config=STRICT)
class ReportConfig:
    confidence: Annotated[Real, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=STRICT)
class RuntimeConfig:
    """How and how fast, not what. Arithmetic, which DVC tracks, device and precision move the last digits of tokens."""

    arithmetic: Literal["portable", "fast"]  # rine.arithmetic
    device: Literal["auto", "cpu", "cuda", "mps"] | Annotated[str, Field(pattern=r"^cuda:\d+$")]
    workers: Auto | Annotated[Integer, Field(ge=0)]
    batch_size: Auto | Count
    precision: Literal["auto", "fp32", "fp16"]
    cluster: Annotated[str, Field(pattern=r"^(local|auto|[^\s/]+:\d+)$")] | None = (
        None  # whose actors work: rine.cluster
    )
    actors: Auto | Count = "auto"  # of a cluster: one a GPU, on CPUs one a machine

    @model_validator(mode="after")
    def _same_bits(self) -> RuntimeConfig:
        if self.arithmetic == "portable" and (self.device not in {"auto", "cpu"} or self.precision == "fp16"):
            raise ValueError(
                f"arithmetic = 'portable' promises the same bits for device cpu (or auto) and precision fp32 (or auto) "
                f"alone; with device {self.device!r} and precision {self.precision!r}, say arithmetic: fast"
            )
        return self


@dataclass(frozen=True, config=STRICT)
class Params:
    """The whole study; see `params.yaml`. A section that may be None has nothing to do in a study without it."""

    profile: Name
    about: str
    lr: Positive
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]  # of the heads: each is trained once with every seed
    encoder: Name
    encoders: Annotated[dict[Name, EncoderConfig], Field(min_length=1)]
    settings: Annotated[dict[Name, tuple[str, ...]], Field(min_length=1)]
    prepare: PrepareConfig
    augmentation: AugmentationConfig
    cache: CacheConfig
    training: TrainingConfig
    grid: GridConfig
    select: SelectConfig
    epochs: EpochsConfig | None
    dataset_size: DatasetSizeConfig | None
    ablate: AblateConfig | None
    best: BestConfig
    ldm: LdmConfig | None
    perturb: PerturbConfig | None
    validate: ValidateConfig
    report: ReportConfig
    runtime: RuntimeConfig
    detectors: Detectors | None = None


def read(path: Path | str) -> Params:
    """Read a params file; raises `ParamsError` with one line for each thing that is wrong in it."""
    path = Path(path)
    if not path.is_file():
        raise ParamsError(f"{path}: no such params file; the study in force is params.yaml, others lie in pipeline/")
    try:
        raw = read_plain(path)
    except ValueError as error:
        raise ParamsError(str(error)) from error
    return parse(raw, str(path))


def parse(raw: Any, origin: str = "params") -> Params:
    """Check plain data (nested dicts) as `read` does a file; `origin` stands before each message."""
    try:
        return TypeAdapter(Params).validate_python(raw)
    except ValidationError as error:
        lines = explained(error.errors(), Params)
        raise ParamsError("\n".join(f"{origin}: {line}" for line in lines)) from None
