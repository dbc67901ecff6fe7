"""A whole study's artifacts, made up: enough for every table and figure, with no model and no picture."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from rine import params
from rine.params import Params
from rine.paths import Paths
from rine.report.study import Study, gather
from rine.scores import ImageScores, read_scores, summarise, write_scores

ROOT = Path(__file__).parents[1]
TEST_SETS = pd.DataFrame(
    [
        ("progan", "gan", "grid", "progan", "progan", "ProGAN", "2017-10-27"),
        ("stylegan", "gan", "grid", "stylegan", "stylegan", "StyleGAN", "2018-12-12"),
        ("diffusion_datasets/ldm_200", "diffusion", "grid", "laion", "ldm_200", "LDM 200", "2021-12-20"),
        ("diffusion_datasets/ldm_100", "diffusion", "grid", "laion", "ldm_100", "LDM 100", "2021-12-20"),
        ("mine", "own", "grid", "mine", "mine", "", ""),
        ("dalle2", "diffusion", "ldm", "RAISEpng", "dalle2", "DALL-E 2", "2022-04-13"),
        ("glide", "diffusion", "ldm", "RAISEpng", "glide", "Glide", "2021-12-20"),
    ],
    columns=["generator", "family", "study", "real", "fake", "title", "released"],
)
PICTURES = 24  # of each source and class
STUDY = params.read(ROOT / "params.yaml")
SMALL = replace(
    STUDY,
    encoder="tiny_28",
    grid=replace(STUDY.grid, epochs=5, xi=(0.1, 0.2), proj_dim=(64, 128)),
    epochs=replace(STUDY.epochs, epochs=(1, 3, 5, 10)),
    ldm=replace(STUDY.ldm, epochs=(1, 3, 5), xi=(0.1, 0.2), proj_dim=(64, 128)),
)
# one setting beside LDM, one ablation: for what does not hang on how many there are
FEW = replace(
    SMALL,
    settings={"four_class": SMALL.settings["four_class"]},
    best=replace(SMALL.best, models={name: SMALL.best.models[name] for name in ("four_class", "ldm")}),
    ablate=replace(SMALL.ablate, variants={"importance": SMALL.ablate.variants["importance"]}),
)
SEEDS = SMALL.seeds
GRID = [*product(SMALL.grid.xi, SMALL.grid.q, SMALL.grid.proj_dim, SEEDS)]


def places(folder: Path) -> Paths:
    """Where a study in `folder` lies."""
    return Paths(
        folder / "artifacts", folder / "metrics", folder / "plots", folder / "report", folder / "published",
        folder / "timings.json", folder / "plots.html",
    )  # fmt: skip


def study_in(folder: Path, params: Params = SMALL) -> Study:
    return gather(params, folder / "artifacts", folder / "published", folder / "timings.json")


def write_for_report(folder: Path, study: Params = SMALL) -> None:
    """All that a report of the study reads, and DVC's page, which takes a second to make."""
    write_study(folder / "artifacts", study)
    write_published(folder / "published")
    (folder / "timings.json").write_text('{"prepare": 1.5, "cache@tiny_28-train": 20.25}')
    (folder / "plots.html").write_text('<p class="notice" role="note">Sample study. ' + SMALL.about.strip() + "</p>")


def images() -> pd.DataFrame:
    """Test pictures of every source, and some for validation."""
    sources = [(source, 0) for source in TEST_SETS["real"].unique()] + [(s, 1) for s in TEST_SETS["fake"].unique()]
    rows = [(f"{s}/{y}/{i}.png", y, s, "", "test") for s, y in sources for i in range(PICTURES)]
    rows += [(f"val/{y}/{i}.png", y, "progan", "horse", "val") for y in (0, 1) for i in range(PICTURES)]
    table = pd.DataFrame(rows, columns=["path", "label", "source", "category", "split"])
    return table.assign(digest=[f"{i:032x}" for i in range(len(table))])


def run(study: str, classes: tuple[str, ...], seed: int, **columns: object) -> dict[str, object]:
    """A row of the table of runs; no classes stand for the LDM model."""
    return {
        "study": study,
        "training_set": "progan" if classes else "ldm",
        "backbone": "ViT-T/16",
        "n_classes": len(classes) or None,
        "classes": " ".join(sorted(classes)),
        "xi": 0.1,
        "q": 1,
        "d": 64,
        "batch_size": 16,
        "lr": 0.001,
        "epochs": 5,
        "variant": "",
        "fraction": None,
        "seed": seed,
    } | columns


def scored(runs: list[dict[str, object]], strength: float = 1.2) -> ImageScores:
    """Logits that tell the classes apart more or less, different for every run."""
    table = images()
    rng = np.random.default_rng(len(runs))
    noise = rng.normal(size=(len(runs), len(table))).astype(np.float32)
    signed = (2 * table["label"].to_numpy() - 1) * strength
    runs_table = pd.DataFrame(runs).astype({"n_classes": "Int64", "fraction": "Float64"})
    return ImageScores(runs_table, table, (signed + noise).astype(np.float32))


def write_stage(folder: Path, runs: list[dict[str, object]], study: str | None = None, strength: float = 1.2) -> None:
    """A scores folder with its table; `study` keeps the generators of one study."""
    scores = scored(runs, strength)
    scores.write(folder)
    sets = TEST_SETS if study is None else TEST_SETS[TEST_SETS["study"] == study]
    write_scores(summarise(scores, sets), folder / "scores.csv")


def write_settings(
    folder: Path, study: Params, runs: Callable[[tuple[str, ...]], list[dict[str, object]]], strength: float = 1.2
) -> None:
    """A folder for each setting, and one table for all."""
    tables = []
    for name, classes in study.settings.items():
        write_stage(folder / name, runs(classes), "grid", strength)
        tables.append(read_scores(folder / name / "scores.csv"))
    write_scores(pd.concat(tables), folder / "scores.csv")


def write_study(artifacts: Path, study: Params = SMALL) -> None:
    """Everything that the stages of the sample study leave for the report; made once, and copied from then on."""
    shutil.copytree(Path(_made(study is FEW).name), artifacts, dirs_exist_ok=True)


@functools.cache
def _made(few: bool) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    _write_study(Path(folder.name), FEW if few else SMALL)
    return folder


def _write_study(artifacts: Path, study: Params) -> None:
    write_index(artifacts / "index")
    settings = list(study.settings.items())
    for encoder, (name, classes) in product(study.encoders, settings):
        backbone = study.encoders[encoder].name
        runs = [run("grid", classes, s, xi=x, q=q, d=d, backbone=backbone) for x, q, d, s in GRID]
        write_stage(artifacts / "grid" / f"{encoder}-{name}", runs, "grid")
        shares = [{"xi": x, "q": q, "proj_dim": d, "seed": s, "block": 1, "share": 1.0} for x, q, d, s in GRID]
        pd.DataFrame(shares).to_csv(artifacts / "grid" / f"{encoder}-{name}" / "importance.csv", index=False)
    everything = [(classes, seed) for _, classes in settings for seed in SEEDS]
    ldm = product(study.ldm.epochs, study.ldm.xi, study.ldm.q, study.ldm.proj_dim, SEEDS)
    write_stage(
        artifacts / "ldm",
        [run("ldm", (), s, xi=x, q=q, d=d, epochs=e) for e, x, q, d, s in ldm],
        "ldm",
    )
    longer = lambda c: [run("epochs", c, s, epochs=e) for s, e in product(SEEDS, study.epochs.epochs)]  # noqa: E731
    write_settings(artifacts / "epochs", study, longer)
    shares = study.dataset_size.fractions
    write_settings(
        artifacts / "dataset_size",
        study,
        lambda c: [run("dataset_size", c, s, fraction=f) for s, f in product(SEEDS, shares)],
    )
    for variant in study.ablate.variants:
        write_settings(
            artifacts / "ablate" / variant,
            study,
            lambda c, variant=variant: [run("ablate", c, seed, variant=variant) for seed in SEEDS],  # type: ignore[misc]
            0.6,
        )
    write_stage(artifacts / "validate", [run("validate", c, s) for c, s in [*everything, *(((), s) for s in SEEDS)]])
    widest = max(study.settings.values(), key=len)
    none = dict.fromkeys(("xi", "q", "d", "batch_size", "lr", "epochs"))
    names = ("linear_last", "linear_all", "nearest")
    write_stage(
        artifacts / "validate" / "baselines",
        [run("validate", widest, 0, variant=f"baseline:{name}", **none) for name in names], "grid", 0.8,
    )  # fmt: skip
    kinds = [run("perturb", c, s, variant=f"perturb:{k}") for (c, s), k in product(everything, study.perturb.kinds)]
    write_stage(artifacts / "perturb", kinds, "grid", 0.7)
    sweep = product(("jpeg:90", "jpeg:50", "jpeg:20", "blur:1", "blur:3"), everything)
    write_stage(
        artifacts / "perturb" / "degrade",
        [run("perturb", c, s, variant=f"degrade:{v}") for v, (c, s) in sweep],
        "grid",
        0.5,
    )
    write_rules(artifacts / "select" / "rules.csv", study)
    write_models(artifacts, study)


def write_index(folder: Path) -> None:
    """Test sets and what the doctor found; the files of stylegan give their class away."""
    folder.mkdir(parents=True)
    TEST_SETS.to_csv(folder / "test_sets.csv", index=False)
    pictures = images()
    pictures[pictures["split"] == "test"].to_csv(folder / "test.csv", index=False)
    facts = {"formats": "JPEG", "modes": "RGB", "exif": 0.0, "exact": 0, "near": 0, "exact_across": 1, "near_across": 0}
    spans = {f"{fact}_{of}": 256 for fact in ("width", "height") for of in ("min", "median", "max")}
    quality = {"jpeg_quality_min": 75, "jpeg_quality_median": 90, "jpeg_quality_max": 95}
    sets = ["train", *TEST_SETS["generator"]]
    files = [{"set": s, "label": y, "pictures": PICTURES} | facts | spans | quality for s in sets for y in (0, 1)]
    pd.DataFrame(files).to_csv(folder / "doctor.csv", index=False)
    tricks = [
        {"set": s, "pictures": 48, "chance": 0.5, "ap": 0.99 if s == "stylegan" else 0.52, "ap_aligned": None,
         "strongest": "file size per pixel", "reason": None}
        for s in sets
    ]  # fmt: skip
    pd.DataFrame(tricks).to_csv(folder / "shortcuts.csv", index=False)
    findings = [
        ("stylegan", "warning", "the data can be told apart without looking; shortcut AP 0.99"),
        ("", "warning", "a.png (train) and b.png (test) are the same file"),
        ("", "note", "1 file could not be read and is left out, such as c.jpg: no picture"),
    ]
    pd.DataFrame(findings, columns=["set", "severity", "finding"]).to_csv(folder / "findings.csv", index=False)


RULES = {
    "paper": 0.9,
    "leave_one_generator_out": 0.88,
    "leave_one_family_out": 0.82,
    "family_out": 0.8,
    "past_to_future": 0.79,
    "validation": 0.85,
    "mean": 0.84,
    "ensemble": None,
}


def write_rules(path: Path, study: Params) -> None:
    """What `select` leaves: the rules, and by generator the configuration that each of them chose."""
    path.parent.mkdir(parents=True)
    chosen = {"xi": 0.1, "q": 1, "proj_dim": 64, "epochs": 5}
    rules, each = [], []
    for setting, encoder, (rule, acc) in product([*study.settings, "ldm"], study.encoders, RULES.items()):
        key = {"setting": setting, "encoder": encoder, "rule": rule}
        gap = acc and RULES["paper"] - acc
        rules.append(key | {"acc": acc, "ap": acc and acc + 0.05, "gap_acc": gap, "gap_ap": gap})
        rules[-1]["reason"] = "" if acc else "no logits"
        here = TEST_SETS[(TEST_SETS["study"] == "ldm") == (setting == "ldm")]
        choice = chosen | ({"xi": 0.2} if setting == "ldm" else {})
        choice = dict.fromkeys(chosen) if rule in {"mean", "ensemble"} else choice
        each += [key | {"generator": generator, "acc": acc} | choice for generator in here["generator"]]
    pd.DataFrame(rules).to_csv(path, index=False)
    pd.DataFrame(each).to_csv(path.with_name("generators.csv"), index=False)


def write_models(artifacts: Path, study: Params) -> None:
    """Headers of the stored models, importance of blocks, embeddings."""
    calibration = {"scale": 1.1, "bias": 0.1, "threshold_fpr1": 1.5, "threshold_fpr5": 1.0, "n": 48, "reason": ""}
    header = {"rine": json.dumps({"meta": {"calibration": calibration}})}
    for model in study.best.models:
        folder = artifacts / "best" / model
        folder.mkdir(parents=True)
        save_file({"alpha": np.zeros(1, np.float32)}, folder / "model.safetensors", metadata=header)
        shares = np.arange(6.0) / 15
        pd.DataFrame({"block": range(1, 7), "share": shares}).to_csv(folder / "importance.csv", index=False)
    rng = np.random.default_rng(0)
    groups = np.repeat(["real", "gan", "diffusion"], 30)
    table = pd.DataFrame(rng.normal(size=(90, 2)) + 3 * (groups == "gan")[:, None], columns=["x", "y"])
    table.assign(group=groups, generator="").to_csv(artifacts / "validate" / "embeddings.csv", index=False)


def write_published(folder: Path) -> None:
    """Published scores in small: a grid of two configurations on our generators."""
    folder.mkdir(parents=True)
    classes = SMALL.settings.values()
    runs = [run("grid", c, 0, xi=x, backbone="ViT-L/14", d=128) for c, x in product(classes, (0.1, 0.2))]
    write_scores(summarise(scored(runs), TEST_SETS[TEST_SETS["study"] == "grid"]), folder / "scores.csv")
