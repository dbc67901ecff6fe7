"""The pages of the documentation: their blocks of code, and the commands, paths and names in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = ("rine", "dvc", "make", "python", "cp")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"\w+=\S*$")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language; indented ones are of the language "", or of yaml where they are `key: value`."""
    text = page.read_text(encoding="utf-8")
    fenced = [code for kind, code in _FENCE.findall(text) if kind == language]
    indented = re.findall(r"(?:^    .*\n(?:\n(?=    ))*)+", _FENCE.sub("", text), re.MULTILINE)
    yaml = [bool(re.match(r"    \w+:( |\n)", block)) and ":::" not in block for block in indented]
    wanted = {"": False, "yaml": True}.get(language)
    return fenced + [block for block, is_yaml in zip(indented, yaml, strict=True) if is_yaml is wanted]


def inline(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> Iterator[tuple[list[str], bool]]:
    """The words of each command of `COMMANDS`, and whether it stands in a block, and so is whole."""
    for block in [*blocks(page, ""), *blocks(page, "bash")]:
        for line in block.replace("\\\n", " ").splitlines():
            yield from ((words, True) for words in _commands(line))
    for code in inline(page):
        if code.split()[0] in COMMANDS:
            yield from ((words, False) for words in _commands(code))


def _commands(line: str) -> Iterator[list[str]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a line of a longer script, or of a drawing
        return
    command: list[str] = []
    for word in [*words, "&&"]:
        for part in [word.rstrip(";"), *(["&&"] if word.endswith(";") else [])]:
            if part in ("&&", "|", "do", "done", ""):
                at = next((i for i, each in enumerate(command) if each in COMMANDS), None)
                if at is not None and all(_prefix(each) for each in command[:at]):
                    yield command[at:]
                command = []
            else:
                command.append(part)


def _prefix(word: str) -> bool:
    """What may stand before a command: a variable, or what starts it elsewhere, with its options."""
    return bool(_ASSIGNMENT.match(word)) or word.startswith("-") or word in ("torchrun", "qemu-x86_64", "8")
