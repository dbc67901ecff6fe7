"""Pictures in, verdicts out: the frozen encoder, one trained head and its calibration, as one thing to call."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from rine import apart
from rine import encoder as encoders
from rine.apart import Limits
from rine.changes import VERSIONS
from rine.detector.cautions import cautions_of
from rine.detector.fit import check_fit
from rine.detector.inputs import Picture, crops_from, is_one, name_of, pixels_of, provenance_of
from rine.detector.stored import find_model
from rine.detector.verdict import Loaded, Verdict, agreed, remark
from rine.encoder import Encoder
from rine.heads import Head
from rine.models import checkpoint
from rine.pixels.crops import CropRule, crops_of
from rine.pixels.pictures import MAX_PIXELS, UnreadablePicture
from rine.provenance import Provenance
from rine.scores import calibration as calibrations
from rine.scores.calibration import Calibration


@dataclass(frozen=True, eq=False, repr=False)
class Detector:
    """A trained model with its encoder; `Detector.load` makes one, calling it judges pictures.

    >>> detector = Detector.load("best")
    >>> for verdict in detector(["a.jpg", "b.png"]):
    ...     print(verdict.path, verdict.verdict, verdict.probability)
    """

    name: str
    encoder: Encoder
    head: Head
    calibration: Calibration
    meta: dict[str, Any]
    mean_tokens: Tensor | None = None  # (L, D), of the training pictures
    threshold: float | None = None  # a probability, in place of the calibrated verdict of three
    max_pixels: int = MAX_PIXELS
    digests: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of its pictures: training, calibration
    stable: bool = False  # versions are judged too; where they disagree, the verdict is inconclusive

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = "best",
        *,
        device: str = "auto",
        threshold: float | None = None,
        max_pixels: int = MAX_PIXELS,
        stable: bool = False,
    ) -> Detector:
        """Load a stored model with the encoder that it was trained on.

        `model` is "best" (the one that `best.default` of params.yaml names), the name of a model that `rine best`
        stored, or the path of a model file. With a `threshold`, a picture is synthetic where its probability is that
        high, else real; without one, the calibrated thresholds decide among three verdicts. With `stable` each picture
        is judged after three mild changes too.

        Raises `stored.ModelNotFound` where there is no such model, `ValueError` for a file that is no model of this
        project, an impossible threshold, or weights of the encoder that are not those it was trained on.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold = {threshold}; allowed: a probability from 0 to 1")
        path = find_model(model)
        stored = checkpoint.load(path)
        encoder = encoders.load(stored.encoder_config, device, digest=stored.weights_digest)
        check_fit(stored, encoder, str(path))
        head = stored.head.to(encoder.device).eval().requires_grad_(False)
        meta, mean, digests = stored.meta, stored.mean_tokens, stored.digests
        return cls(stored.name, encoder, head, stored.calibration, meta, mean, threshold, max_pixels, digests, stable)

    def __repr__(self) -> str:
        return f"Detector({self.name!r}, encoder={self.encoder.config.name!r}, device={self.encoder.device!r})"

    @property
    def cautions(self) -> list[str]:
        """What to know before one believes a verdict of this model."""
        return cautions_of(self.encoder.config.pretrained, self.calibration, self.threshold)

    def __call__(self, images: Picture | Iterable[Picture], crops: CropRule = "centre") -> list[Verdict]:
        """Judge pictures: paths, files' bytes, PIL images, uint8 or 0..1 float arrays (H, W[, 3]) or tensors (3, H, W).

        One verdict a picture, in their order. Files that cannot be read have verdicts with an `error`; what is no
        picture at all (a wrong type or shape) raises `TypeError` or `ValueError`.
        """
        one = is_one(images) or not isinstance(images, Iterable)  # what is neither raises as a picture would
        return list(self.stream([cast(Picture, images)] if one else cast("Iterable[Picture]", images), crops))

    def stream(
        self,
        images: Iterable[Picture],
        crops: CropRule = "centre",
        *,
        batch: int | None = None,
        workers: int | None = None,
    ) -> Iterator[Verdict]:
        """Judge pictures as they come, in their order, in memory that does not depend on how many there are.

        `workers` threads decode ahead while the encoder runs; `batch` is the number of crops that it takes at once.
        """
        batch = batch or self.batch_size
        workers = workers or min(4, os.cpu_count() or 1)
        pending: list[Loaded] = []
        # closed where nobody reads on
        with closing(apart.ahead(lambda image: self.read(image, crops), images, workers)) as read:
            for _, loaded in read:
                pending.append(loaded)
                # one that could not be read counts too: its row is not held back, nor are a thousand of its kind kept
                if sum(max(1, len(item.crops)) for item in pending) >= batch:
                    yield from self.judge(pending, crops)
                    pending = []
        yield from self.judge(pending, crops)

    @property
    def batch_size(self) -> int:
        """Crops at once that keep the device busy."""
        return 128 if self.encoder.device.startswith("cuda") else max(8, self.encoder.micro_batch)

    def read(
        self, image: Picture, crops: CropRule = "centre", name: str | None = None, limits: Limits | None = None
    ) -> Loaded:
        """Decode one picture, within limits, and cut its crops; a file that cannot be read gives the reason."""
        start = time.perf_counter()
        name = name if name is not None else name_of(image)
        try:
            size = self.encoder.image_size
            cut = crops_from(image, self.max_pixels, crops, size, self.small, self.stable, limits)
            return Loaded(name, cut.crops, time.perf_counter() - start, None, cut.counts, cut.shape)
        except UnreadablePicture as unreadable:
            error = unreadable.reason
        except MemoryError:
            error = "not enough memory to decode it"
        return Loaded(name, np.zeros((0,), np.uint8), time.perf_counter() - start, error)

    @property
    def small(self) -> str:
        """What is done to pictures smaller than a crop, as when the model was trained: "pad" or "resize"."""
        return str(self.meta["transform"].get("small", "pad"))

    def crops(self, image: np.ndarray, rule: CropRule) -> np.ndarray:
        """Crops (V, S, S, 3)."""
        return crops_of(image, rule, self.encoder.image_size, self.small)

    def judge(self, loaded: list[Loaded], crops: CropRule = "centre") -> list[Verdict]:
        """Verdicts on pictures that were `read`: all their crops as one batch, a mean logit a version of each."""
        start = time.perf_counter()
        readable = [item for item in loaded if item.error is None]
        counts = [count for item in readable for count in item.counts]
        logits = self.logits(np.concatenate([item.crops for item in readable])) if readable else np.zeros(0)
        means = iter([float(part.mean()) for part in np.split(logits, np.cumsum(counts)[:-1])] if readable else [])
        each = (time.perf_counter() - start) / max(sum(counts), 1)
        return [self._verdict(item, [next(means) for _ in item.counts], crops, each) for item in loaded]

    def _verdict(self, item: Loaded, logits: list[float], crops: CropRule, each: float) -> Verdict:
        if not logits:
            return Verdict(item.name, None, None, None, self.name, crops, item.seconds, item.error)
        verdict, probability = self.decide(logits[0])
        said, seconds = (
            remark(item.shape, crops, self.encoder.image_size, self.small),
            item.seconds + each * len(item.crops),
        )
        made = Verdict(item.name, verdict, probability, logits[0], self.name, crops, seconds, None, said)
        return agreed(made, [self.decide(logit) for logit in logits[1:]], list(VERSIONS)) if logits[1:] else made

    def decide(self, logit: float) -> tuple[Literal["real", "synthetic", "inconclusive"], float]:
        """The verdict on a logit, and its probability of being synthetic."""
        verdict, probability = calibrations.verdict(self.calibration, logit)
        if self.threshold is None:
            return verdict, probability
        return ("synthetic" if probability >= self.threshold else "real"), probability

    def tokens(self, crops: np.ndarray | Tensor) -> Tensor:
        """Block tokens (B, L, D) of crops (B, S, S, 3), rounded to float16 as those are that heads are trained on."""
        return self.encoder.checked(self.encoder(torch.as_tensor(crops)).half()).float()

    @torch.inference_mode()
    def logits(self, crops: np.ndarray | Tensor) -> np.ndarray:
        """Logits (B,) of uint8 crops (B, S, S, 3), in batches of `batch_size`."""
        parts = torch.as_tensor(np.ascontiguousarray(crops) if isinstance(crops, np.ndarray) else crops)
        scores = [self.head(self.tokens(part))[0].double().cpu() for part in parts.split(self.batch_size)]
        return torch.cat(scores).numpy() if scores else np.zeros(0)

    def provenance(self, image: Picture) -> Provenance | None:
        """What a file (a path or bytes) says of itself, which is no part of its verdict; None for what is no file."""
        return provenance_of(image)

    def pixels(self, image: Picture, limits: Limits | None = None) -> np.ndarray:
        """RGB pixels (H, W, 3) of what a picture may be; raises `UnreadablePicture`, `TypeError` or `ValueError`."""
        return pixels_of(image, self.max_pixels, limits)
