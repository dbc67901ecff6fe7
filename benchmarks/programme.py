"""A small programme from pictures to test logits, against the reference's way: the encoder inside the training loop."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import CenterCrop

from benchmarks.added import store_at
from benchmarks.encoder import caught, open_clips
from benchmarks.made import index
from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from benchmarks.views import Chain
from rine import params
from rine.device import usable_cores
from rine.features.sets import open_sets
from rine.heads import HeadConfig, seeded_head
from rine.params import Params
from rine.paths import Paths
from rine.stages import cache
from rine.training import Run
from rine.training.experiment import experiment
from rine.training.losses import total

GOAL = 10.0
TRAIN, TEST, SIDE = 24, 24, 256  # pictures, and pixels a side
RUNS = [Run(q=q, proj_dim=width, xi=xi) for q, width, xi in product((1, 2), (64, 128), (0.1, 0.2, 0.4))]


def rows(rounds: int) -> list[Figure | Skipped]:
    study = params.read("params.yaml")
    study = replace(study, training=replace(study.training, batch_size=12))
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Path(folder), study, RUNS, TRAIN, TEST, SIDE)
        work.workers = _faster(work, (0, usable_cores()))
        seconds = in_turn([work.theirs, work.ours], rounds)
    times = medians(["theirs", "ours"], seconds)
    return [
        Figure(
            "programme",
            f"a programme: 1 encoder, {len(RUNS)} configurations, 1 epoch, test",
            "encoder inside the training loop",
            ratios(seconds[:, 0], seconds[:, 1]),
            GOAL,
            times,
            note=f"{times['ours']:.1f} s and {times['theirs']:.1f} s, {study.encoders[study.encoder].name}, "
            f"{TRAIN} + {TEST} pictures, one view each, {work.workers} worker processes of theirs",
        )
    ]


def _faster(work: Work, choices: Sequence[int]) -> int:
    """The number of worker processes with which the slower way is the least slow: starting them takes time as well."""
    seconds = []
    for work.workers in choices:
        start = time.perf_counter()
        work.theirs()
        seconds.append(time.perf_counter() - start)
    return choices[seconds.index(min(seconds))]


class Pictures(Dataset):
    """The reference's data set: files, decoded and augmented one at a time."""

    def __init__(self, root: Path, table: pd.DataFrame, chain: Chain) -> None:
        self.files, self.labels = [root / path for path in table["path"]], table["label"].tolist()
        self.chain = chain

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.chain(self.files[i].read_bytes()), self.labels[i]


class Work:
    """Training and test pictures in a folder, and both ways from them to the test pictures' logits (K, N)."""

    def __init__(
        self,
        root: Path,
        study: Params,
        runs: Sequence[Run],
        train: int,
        test: int,
        side: int,
        workers: int = 0,
        mirrored: bool = False,
    ) -> None:
        self.root, self.runs, self.workers = root, runs, workers
        self.study = replace(
            study,
            prepare=replace(study.prepare, root=str(root / "data")),
            augmentation=replace(study.augmentation, views=1),  # one epoch sees one
        )
        self.train = index(root / "data", "train", train, "train", side, mirrored=mirrored)
        self.test = index(root / "data", "test", test, "test", side, first=train, mirrored=mirrored)

    def ours(self) -> np.ndarray:
        """The stages' own functions, from nothing: build the encoder, encode once, train all, score all."""
        for name in ("store", "artifacts"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        artifacts = self.root / "artifacts"
        (artifacts / "index").mkdir(parents=True)
        with store_at(self.root / "store"):
            for which, table in {"train": self.train, "test": self.test}.items():
                table.to_csv(artifacts / "index" / f"{which}.csv", index=False)
                cache.run(self.study, Paths(artifacts), self.study.encoder, which)
        sets = open_sets(artifacts / "features" / self.study.encoder)
        scores = next(experiment("grid", sets, self.runs, self.study, [1], "cpu"))
        return scores.logits

    def theirs(self) -> np.ndarray:
        """One run after the other, decoding and encoding whatever it sees; the encoder is built once for all."""
        module = open_clips(self.study.encoders[self.study.encoder])
        found = caught(module)

        @torch.no_grad()
        def tokens(pictures: Tensor) -> Tensor:
            found.clear()
            module(pictures)
            # all tokens of all blocks, then the CLS token of each
            return torch.stack(found, dim=2)[:, 0]  # (B, T, L, D) to (B, L, D)

        shape = len(module.transformer.resblocks), module.positional_embedding.shape[1]
        return np.stack([self._run(run, tokens, *shape) for run in self.runs])

    def _run(self, run: Run, tokens: Callable[[Tensor], Tensor], blocks: int, width: int) -> np.ndarray:
        study, config = self.study, self.study.training
        torch.manual_seed(run.seed)
        head = seeded_head(HeadConfig(run.q, run.proj_dim, blocks, width, dropout=config.dropout), run.seed).train()
        adam = torch.optim.Adam(head.parameters(), lr=study.lr)
        loader = partial(DataLoader, batch_size=config.batch_size, num_workers=self.workers)
        size = study.encoders[study.encoder].model.image_size
        crop = Chain(study.augmentation, size)
        for pictures, labels in loader(Pictures(self.root / "data", self.train, crop), shuffle=True):
            logit, z = head(tokens(pictures))
            adam.zero_grad()
            total(logit, z, labels, run.xi, config.temperature).backward()
            adam.step()
        head.eval()
        crop = Chain(replace(study.augmentation, blur_p=0.0, jpeg_p=0.0), size)
        crop.rest.transforms[:2] = [CenterCrop(size)]
        with torch.no_grad():
            batches = loader(Pictures(self.root / "data", self.test, crop))
            return np.concatenate([head(tokens(pictures))[0].numpy() for pictures, _ in batches])
