"""What entries a folder would need: its layout is guessed from the names in it, and every guess is counted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rine.dataset import patterns
from rine.dataset.listing import DatasetError, is_picture, pictures_in
from rine.pixels.pictures import ContainerError, tables

# names of folders, and values of columns, that say a class, a split, a generator
REAL = ("0_real", "real", "reals", "nature", "natural", "authentic", "original", "0")
FAKE = ("1_fake", "fake", "fakes", "ai", "synthetic", "generated", "1")
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LABELS = ("label", "is_fake", "is_ai", "fake", "class", "typ", "type", "target")
GENERATORS = ("generator", "model", "model_name", "src", "source", "method")
# a known layout -> a folder that it alone has, and all that are its
KNOWN = {
    "universal_fake_detect": ("test/diffusion_datasets", ["test/diffusion_datasets"]),
    "dmimagedetection": ("latent_diffusion_trainingset", ["latent_diffusion_trainingset", "coco"]),
    "synthbuster": ("synthbuster/dalle2", ["synthbuster", "RAISEpng"]),
    "forensynths": ("test/progan", ["train", "val", "test"]),
}
MOST_CLASSES = 4  # values of a column that may be a label's


@dataclass(frozen=True)
class Guess:
    """An entry, how many pictures it would have, and what a reader should look at."""

    name: str
    entry: dict[str, Any]
    pictures: int
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Looked:
    """Entries for a folder, and what no entry takes up: how many pictures of each place, and why."""

    guesses: list[Guess]
    left_out: dict[str, str]


def look(root: Path) -> Looked:
    """Guess from names and from the columns of tables; no picture is opened. Raises `DatasetError` for no folder."""
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder; expected that of the data sets")
    counts, left = _folders(root)
    guesses = [*_known(root, counts), *_trees(counts, left)]
    for files in _series(root):
        guess = _parquet(root, files)
        if isinstance(guess, Guess):
            guesses.append(guess)
        else:
            left[files[0]] = guess
    names: Counter[str] = Counter()
    numbered = []
    for guess in guesses:
        names[guess.name] += 1
        n = names[guess.name]
        numbered.append(guess if n == 1 else Guess(f"{guess.name}_{n}", guess.entry, guess.pictures, guess.remarks))
    return Looked(numbered, left)


def _folders(root: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Pictures in each folder, archives' among them, and archives that cannot be read."""
    counts = Counter(str(PurePosixPath(path).parent) for path in pictures_in(root, "."))
    left = {}
    for suffix in ("zip", "tar"):
        for archive in sorted(patterns.files(root, f"**/*.{suffix}")):
            try:
                names = patterns.names_in(root / archive)
            except DatasetError as error:
                left[archive] = str(error)
                continue
            counts.update(f"{archive}!{PurePosixPath(name).parent}" for name in names if is_picture(Path(name).name))
    return dict(sorted(counts.items())), left


def _known(root: Path, counts: dict[str, int]) -> Iterator[Guess]:
    for layout, (place, folders) in KNOWN.items():
        if (root / place).is_dir():
            its = [folder for folder in counts if f"{folder}/".startswith(tuple(f"{each}/" for each in folders))]
            yield Guess(layout, {"layout": layout}, sum(counts.pop(folder) for folder in its))


def _trees(counts: dict[str, int], left: dict[str, str]) -> Iterator[Guess]:
    """Folders with a class in their name, by all that their names have in common but generator and class."""
    found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for folder, n in counts.items():
        parts = re.split(r"[/!]", folder)
        at = next((i for i, part in enumerate(parts) if part.lower() in REAL + FAKE), None)
        if at is None:
            left[folder] = f"{n} pictures; nothing in its name says real or synthetic: real: [...] or fake: [...]"
            continue
        above = next((i for i in range(at - 1, -1, -1) if parts[i].lower() not in SPLITS), None)
        generator = "" if above is None else parts[above]
        found[_pattern(folder, generator, parts[at])][generator, parts[at]] += n
    for pattern, its in found.items():
        yield _tree(pattern, its)


def _pattern(folder: str, generator: str, label: str) -> str:
    """The folder's pattern up to its class, with `{generator}` and `{label}` in place of what they are here."""
    head = re.split(rf"(?<=[/!]){re.escape(label)}(?=/|$)", f"/{folder}", maxsplit=1)[0].removeprefix("/")
    if generator:
        head = re.sub(rf"(^|[/!]){re.escape(generator)}(?=[/!]|\.(?:zip|tar)!)", r"\1{generator}", head)
    return f"{head}{{label}}"


def _tree(pattern: str, its: Counter[tuple[str, str]]) -> Guess:
    generators = sorted({generator for generator, _ in its if generator})
    labels = {label for _, label in its}
    real, fake = (sorted(label for label in labels if label.lower() in words) for words in (REAL, FAKE))
    words = [part.lower() for part in re.split(r"[/!]", pattern)]
    split = next((SPLITS[word] for word in words if word in SPLITS), "test")
    if len(generators) == 1:
        pattern = pattern.replace("{generator}", generators[0])
    fixed = [part for part in re.split(r"[/!]", pattern) if "{" not in part and part.lower() not in SPLITS]
    entry: dict[str, Any] = {"tree": pattern}
    entry |= {
        key: values[0] if len(values) == 1 else values for key, values in (("real", real), ("fake", fake)) if values
    }
    remarks = [f"generators: {', '.join(generators)}"] if len(generators) > 1 else []
    if not (real and fake):
        remarks.append(f"{'real' if real else 'synthetic'} pictures alone")
    name = _name(fixed[-1].partition(".")[0] if fixed else "mine", split)
    return Guess(name, entry | {"split": split}, sum(its.values()), remarks)


def _series(root: Path) -> list[list[str]]:
    """Parquet files that differ in their numbers alone."""
    series: dict[str, list[str]] = defaultdict(list)
    for file in sorted(patterns.files(root, "**/*.parquet")):
        series[re.sub(r"\d+", "*", file)].append(file)
    return list(series.values())


def _parquet(root: Path, files: list[str]) -> Guess | str:
    """The entry of a series of files, from the columns and first rows of the first; else why there is none."""
    try:
        with tables.opened(root / files[0]) as table:
            names = table.schema_arrow.names
            images = [name for name in names if not tables.refusal(table, name)]
            if not images:
                return f"no column holds pictures: {names}"
            others = [name for name in names if name not in images]
            first = next(table.iter_batches(1000, columns=others), None) if others else None
            values = {name: list(map(str, first.column(name).to_pylist())) for name in others} if first else {}
        n = 0
        for file in files:
            with tables.opened(root / file) as table:
                n += table.metadata.num_rows
    except ContainerError as error:
        return str(error)
    entry: dict[str, Any] = {"parquet": _glob(files), "image": images[0]}
    remarks = [f"columns: {', '.join(names)}"]
    label = next((name for name in others if name.lower() in LABELS and len(set(values[name])) <= MOST_CLASSES), None)
    if label is None:
        entry["label"] = "fake"
        remarks.append("no column seems to say real or synthetic: say label: real or label: fake")
    else:
        real = sorted(value for value in set(values[label]) if value.lower() in REAL)
        fake = sorted(value for value in set(values[label]) if value.lower() in FAKE)
        entry["label"] = {"column": label} | ({"real": real} if real else {}) | ({"fake": fake} if fake else {})
        if not (real or fake):
            entry["label"] |= {"real": sorted(set(values[label]))[:1]}
            remarks.append(f"values of {label}: {sorted(set(values[label]))}: say which are real")
    if generator := next((name for name in GENERATORS if name in others), None):
        entry["generator"] = generator
    words = re.split(r"[/._-]", files[0].lower())
    entry["split"] = next((SPLITS[word] for word in words if word in SPLITS), "test")
    folders = [part for part in PurePosixPath(files[0]).parts[:-1] if part not in {"data", *SPLITS}]
    return Guess(_name(folders[-1] if folders else "mine", entry["split"]), entry, n, remarks)


def _glob(files: list[str]) -> str:
    """One pattern for files that differ in their numbers; a number that all share stays."""
    pieces = [re.split(r"(\d+)", file) for file in files]
    glob = "".join(those[0] if len(set(those)) == 1 else "*" for those in zip(*pieces, strict=True))
    return re.sub(r"\*-of-\d+", "*", glob)


def _name(text: str, split: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-") or "mine"
    return plain if split == "test" else f"{plain}_{split}"
