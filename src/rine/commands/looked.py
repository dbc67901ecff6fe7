"""What entries a folder would need: its layout is guessed from the names in it, and every guess is counted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rine.commands.guess import FAKE, REAL, Guess, name_of
from rine.commands.looked_tables import guessed, series
from rine.dataset import patterns
from rine.dataset.generators import SYNTHBUSTER_GENERATORS
from rine.dataset.layouts.found import SPLITS
from rine.dataset.layouts.published import DIFFUSION_REALS, WITH_CLASSES, WITHOUT_CLASSES
from rine.dataset.listing import DatasetError, is_picture, pictures_in

# a known layout -> a folder that it alone has, and all that are its
KNOWN = {
    "universal_fake_detect": ("test/diffusion_datasets", ["test/diffusion_datasets"]),
    "dmimagedetection": ("latent_diffusion_trainingset", ["latent_diffusion_trainingset", "coco"]),
    "synthbuster": ("synthbuster/dalle2", ["synthbuster", "RAISEpng"]),
    "forensynths": ("test/progan", ["train", "val", "test"]),
}
# the folders of a layout's generators, which need not all be there
GENERATORS = {
    "universal_fake_detect": ("test", DIFFUSION_REALS),
    "synthbuster": ("synthbuster", SYNTHBUSTER_GENERATORS),
    "forensynths": ("test", WITH_CLASSES + WITHOUT_CLASSES),
}


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
    of_tables = []
    for files in series(root):
        guess, named = guessed(root, files)
        if isinstance(guess, Guess):
            of_tables.append(guess)
            counts = {folder: n - named.get(folder, 0) for folder, n in counts.items() if n > named.get(folder, 0)}
        elif guess:
            left[files[0]] = guess
    guesses = [*_known(root, counts), *_trees(counts, left), *of_tables]
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
            above, generators = GENERATORS.get(layout, ("", ()))
            there = [each for each in generators if (root / above / each).is_dir()]
            only = {"only": there} if len(there) < len(generators) else {}
            yield Guess(layout, {"layout": layout} | only, sum(counts.pop(folder) for folder in its))


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
    name = name_of(fixed[-1].partition(".")[0] if fixed else "mine", split)
    return Guess(name, entry | {"split": split}, sum(its.values()), remarks)
