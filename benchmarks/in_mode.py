"""The process of a mode that benchmarks/arithmetic.py times: a line in, a batch through the encoder, a line out."""

from __future__ import annotations

import sys
from typing import cast

from rine import arithmetic

arithmetic.use(cast(arithmetic.Mode, sys.argv[1]))

import torch  # noqa: E402  the arithmetic must be set before it is imported

from benchmarks.encoder import MODELS, noise, random  # noqa: E402
from rine import encoder  # noqa: E402

model, n = sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
tower = encoder.load(random(model, MODELS[model]), "cpu")
pictures = noise(n, tower.image_size)
for _ in sys.stdin:
    tower(pictures)
    print("done", flush=True)
