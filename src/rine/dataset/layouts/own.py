"""A data set of one's own as globs, or as a tree of folders whose names say generator and class."""

from __future__ import annotations

import re
from pathlib import Path

from rine.dataset import patterns
from rine.dataset.config import DatasetConfig
from rine.dataset.layouts.found import Found, listing_of
from rine.dataset.listing import SUFFIXES, DatasetError, Listing


def globs(root: Path, name: str, config: DatasetConfig) -> Listing:
    """Globs or folders for real and fake; `split: test` makes a test set of it."""
    real, fake = (_globbed(root, name, key, getattr(config, key)) for key in ("real", "fake"))
    if both := sorted(set(real) & set(fake)):
        raise DatasetError(f"data set {name!r}: {len(both)} pictures match real and fake, such as {both[0]}")
    split = str(config.split)
    return listing_of(
        name, config, (Found(path, label, split) for label, paths in enumerate((real, fake)) for path in paths)
    )


def _globbed(root: Path, name: str, key: str, globs: tuple[str, ...]) -> list[str]:
    """Pictures that any of the patterns matches, sorted; a pattern that matches nothing is an error."""
    paths: set[str] = set()
    for pattern in globs:
        found = {address for address, _ in patterns.find(root, pattern)}
        if not found and not patterns.files(root, patterns.plain(pattern)):
            raise DatasetError(
                f"data set {name!r}: {key} = {pattern!r} matches nothing under {root}; "
                f"expected a folder or a glob relative to it, such as 'mine/{key}/**/*.jpg'{zipped(root, pattern)}"
            )
        paths |= found
    if globs and not paths:
        raise DatasetError(
            f"data set {name!r}: {key} = {list(globs)} matches no picture under {root}; "
            f"expected files that end in {', '.join(SUFFIXES)}"
        )
    return sorted(paths)


def tree(root: Path, name: str, config: DatasetConfig) -> Listing:
    """A pattern of folders: each `{generator}` is a test set, `{label}` is one of the names in real and fake."""
    pattern = str(config.tree)
    found: dict[str, Found] = {}
    strange: dict[str, str] = {}
    for address, fields in patterns.find(root, pattern):
        label = _label(config, fields)
        if label is None:
            strange.setdefault(fields["label"], address)
        else:
            generator, category = fields.get("generator", ""), fields.get("category")
            found[address] = Found(address, label, str(config.split), generator, category)
    for folder, address in strange.items():
        raise DatasetError(
            f"data set {name!r}: {address} lies in {folder!r}; allowed for {{label}}: "
            f"{[*config.real, *config.fake]}, or leave it out by exclude: ['{address}']"
        )
    if not found:
        raise DatasetError(
            f"data set {name!r}: tree = {pattern!r} matches no picture under {root}; expected folders of pictures "
            f"such as {_example(config)}{zipped(root, pattern)}"
        )
    return listing_of(name, config, [found[address] for address in sorted(found)])


def _label(config: DatasetConfig, fields: dict[str, str]) -> int | None:
    if "label" not in fields:
        return int(config.label == "fake")
    folder = fields["label"]
    if folder in config.real or folder in config.fake:
        return int(folder in config.fake)
    return None if config.real and config.fake else int(not config.fake)


def _example(config: DatasetConfig) -> str:
    label = [*config.real, *config.fake, "real"][0]
    return re.sub(r"\{generator\}", "sd14", str(config.tree)).replace("{label}", label).replace("{category}", "horse")


def zipped(root: Path, pattern: str) -> str:
    """What to write instead, where a pattern's folders are there as archives, or it leads into one of another kind."""
    if re.search(r"\.(tar\.\w+|tgz|txz|7z|rar|gz)!", pattern, re.IGNORECASE):
        return "; archives that are read: zip, and tar without compression"
    folders = pattern.split("/")
    for n in range(len(folders), 0, -1):
        for suffix in (".zip", ".tar"):
            head, last = "/".join(folders[:n]), folders[n - 1]
            if patterns.files(root, patterns.plain(head) + suffix):
                inner = "/".join([last, *folders[n:]])
                return f". There are archives: pictures in them are '{head}{suffix}!{inner}'"
    return ""
