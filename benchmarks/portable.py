"""Digests of what this project computes, to be compared between machines: `python -m benchmarks.portable`.

docs/reproducibility.md has those of several processors, and how one machine stands in for another.
"""

from __future__ import annotations

from rine import arithmetic

arithmetic.use("portable")

import hashlib  # noqa: E402  the arithmetic must be set before NumPy is imported
import io  # noqa: E402
import platform  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

from rine import params  # noqa: E402
from rine.caching.views import Recipe, crops  # noqa: E402
from rine.encoder import load  # noqa: E402
from rine.evaluation.influence import INFLUENCES  # noqa: E402
from rine.evaluation.intervals import Scored, interval  # noqa: E402
from rine.heads.scoring import logits  # noqa: E402
from rine.pixels.pictures import open_rgb  # noqa: E402
from rine.sample import render  # noqa: E402
from rine.sample.layout import Sizes, pictures  # noqa: E402
from rine.scores import TestSet  # noqa: E402
from rine.training import Run, train  # noqa: E402

PICTURES = 12
STUDY = params.read(Path(__file__).parents[1] / "params.yaml")
# one of each family: what the augmentation, a crop, a perturbation and a degradation compute with
VIEWS = (("augment", "0"), ("centre", "centre"), ("ten", "7"))
PERTURBED = ("blur", "crop", "compress", "noise", "combined")
DEGRADED = ("jpeg:60", "webp:60", "downscale:0.75", "blur:1", "noise:5", "crop:0.1")


class Tokens:
    """Tokens in memory, as training reads them."""

    def __init__(self, rows: pd.DataFrame, tokens: np.ndarray) -> None:
        self.rows, self.array_ = rows, tokens
        self.n_blocks, self.width = tokens.shape[1:]

    def tokens(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.array_[rows])


def digests() -> Iterator[tuple[str, str]]:
    """(what, digest) one after the other, since an emulated processor takes its time."""
    items = [item for item in pictures(Sizes()) if item.path.startswith("train/horse/")]
    chosen = [i for label in ("0_real", "1_fake") for i in [x for x in items if label in x.path][: PICTURES // 2]]
    images = [open_rgb(render(item, 0), 10**8) for item in chosen]
    yield "pictures", digest(*images)

    recipe = Recipe("test", 224, STUDY.augmentation, STUDY.perturb)
    views = []
    for i, image in enumerate(images):
        more = (("perturb", PERTURBED[i % len(PERTURBED)]), ("degrade", DEGRADED[i % len(DEGRADED)]))
        views.append(np.concatenate([crops(image, f"{i:032x}", (view,), recipe) for view in (*VIEWS, *more)]))
    yield "views", digest(*views)

    encoder = load(STUDY.encoders[STUDY.encoder], "cpu")
    yield "weights of the encoder", encoder.weights_digest[:12]
    tokens = encoder.encode(torch.from_numpy(np.concatenate(views))).numpy()
    yield "tokens", digest(tokens)

    n_views = len(views[0])
    labels = np.repeat([int("1_fake" in item.path) for item in chosen], n_views)
    rows = pd.DataFrame({"digest": np.repeat([f"{i:032x}" for i in range(PICTURES)], n_views), "label": labels})
    rows["path"], rows["view"] = rows["digest"], [str(v) for v in range(n_views)] * PICTURES
    rows["source"], rows["category"], rows["split"] = "made", "horse", "train"
    features = Tokens(rows, tokens)
    runs = [Run(q=q, proj_dim=32, xi=xi, seed=0) for q in (1, 2) for xi in (0.1, 0.4)]
    [(_, heads)] = train(features, runs, STUDY.training, STUDY.lr, [3], "cpu")
    yield "4 heads after 3 epochs", digest(*(p.detach().numpy() for head in heads for p in head.state_dict().values()))

    scores = logits(heads, features, "cpu")
    yield "scores", digest(scores)
    yield "intervals", digest(intervals())

    from rine.probing import baselines

    yield "baselines", digest(*baselines.scores(features, features).values())

    from sklearn.manifold import TSNE

    points = TSNE(perplexity=10, init="pca", random_state=0).fit_transform(tokens[:, -1].astype(np.float64))
    yield "t-SNE", digest(points)

    from matplotlib.figure import Figure

    figure, file = Figure(), io.BytesIO()
    figure.subplots().scatter(*points.T, c=labels)
    figure.savefig(file, format="png", metadata={"Software": None})
    yield "a figure", digest(np.frombuffer(file.getvalue(), np.uint8))


def intervals() -> np.ndarray:
    """Bounds of every metric that has an interval, of two runs on made-up scores."""
    labels = np.repeat([False, True], 200)
    logits = np.random.default_rng(0).normal(size=(2, 400)) + labels
    rows = np.arange(400)
    made = Scored([TestSet("made", "gan", "made", "made", rows, labels)], logits, rows, rows)
    bounds = [interval(made.mean(name, [0, 1]), 0.95) for name in INFLUENCES]
    return np.array([(each.low, each.high) for each in bounds if each])


def digest(*arrays: np.ndarray) -> str:
    """Twelve hex digits of arrays' bytes."""
    total = hashlib.blake2b(digest_size=6)
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def main() -> None:
    """Print the processor, the versions, and a digest a line."""
    print(f"{arithmetic.mode()} arithmetic; Python {platform.python_version()}, torch {torch.__version__}, "
          f"numpy {np.__version__}; {torch.backends.cpu.get_cpu_capability()}")  # fmt: skip
    start = time.perf_counter()
    for what, found in digests():
        print(f"{what:24} {found}   {time.perf_counter() - start:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
