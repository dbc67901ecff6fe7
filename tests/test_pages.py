"""Every block of code of every page runs, or each command, option, path, name and key in it exists."""

from __future__ import annotations

import ast
import importlib.util
import pydoc
import re
import shutil
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import TypeAdapter

import made_study
import rine
from pages import PAGES, ROOT, blocks, commands, inline
from rine.cli import app
from rine.dataset.config import DatasetConfig
from rine.params import Params
from tiny_model import model_in, write_pictures

RINE = typer.main.get_command(app)
OPTIONS = {
    option
    for command in RINE.commands.values()
    for each in command.params
    for option in [*each.opts, *each.secondary_opts]
}
ELSEWHERE = {"--queue", "--temp", "cache.type"}  # of DVC: two options, and a key of its own config
# page -> the test file that runs its Python
RUN_BY = {"compare": "test_compare.py", "export": "test_compare.py", "extending": "test_extending.py"}
# keys of a block that is no study: Kubernetes', and what it is a part of
THEIRS = {"apiVersion", "options"}


def named(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_is_one(page: Path) -> None:
    from dvc.cli.parser import get_main_parser

    targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv"), re.MULTILINE)
    for words, whole in commands(page):
        name, *rest = words
        if name == "rine":
            _is_ours(rest, whole)
        elif name == "dvc" and rest:
            if whole:
                get_main_parser().parse_args(rest)  # raises for what it would refuse
            else:  # a command may be named without its arguments
                with pytest.raises(SystemExit, match=r"^0$"):
                    get_main_parser().parse_args([*rest, "--help"])
            for override in [rest[i + 1] for i, word in enumerate(rest) if word == "-S"]:
                _is_a_key(override.lstrip("+~").split("=")[0])
        elif name == "make" and rest:
            assert rest[0] in targets, words
        elif rest[:1] == ["-m"] and rest[1:]:
            assert importlib.util.find_spec(rest[1]), words
        elif name == "cp":
            assert "NAME" in rest[0] or (ROOT / rest[0]).is_file(), words


def _is_ours(words: list[str], whole: bool) -> None:
    """A command of `rine`: its name and options, and in a block every argument that it needs."""
    if not words or words[0].startswith("-"):
        assert set(words) <= {"--version", "--help"}, words
        return
    command = RINE.commands[words[0]]
    if whole:
        command.make_context(words[0], words[1:])  # raises for what it would refuse
    known = {option for each in command.params for option in [*each.opts, *each.secondary_opts]} | {"--help"}
    assert {word for word in words if word.startswith("-") and len(word) > 1} <= known, words


def _is_a_key(dotted: str) -> None:
    """A key of the params file; names that a study gives (of an encoder, say) are free."""
    kind: Any = Params
    for part in dotted.split("."):
        if is_dataclass(kind):
            assert part in {field.name for field in fields(kind)}, dotted
            kind = _unwrapped(typing.get_type_hints(kind, include_extras=False)[part])
        else:  # a table by name, or a list: what it holds
            assert typing.get_args(kind), dotted
            kind = _unwrapped(typing.get_args(kind)[-1])


def _unwrapped(kind: Any) -> Any:
    """A type without what is annotated, and without None."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    inside = [each for each in typing.get_args(kind) if each is not type(None)]
    union = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    return _unwrapped(inside[0]) if union else kind


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_name_and_path_is_there(page: Path) -> None:
    sections = {field.name for field in fields(Params)}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    for code in inline(page):
        if re.fullmatch(r"(src|docs|tests|pipeline|benchmarks|\.ci)/[\w./]+", code) and "NAME" not in code:
            assert (ROOT / code).exists(), code
        elif re.fullmatch(r"[a-z]+/\w+\.py", code):
            assert (ROOT / "src/rine" / code).is_file(), code
        elif re.fullmatch(r"rine(\.\w+)+", code):
            assert pydoc.locate(code) or hasattr(rine, code.split(".")[1]), code
        elif re.fullmatch(r"--[a-z-]+", code):
            assert code in OPTIONS | ELSEWHERE, code
        elif setting := re.fullmatch(r"RINE_SERVE_([A-Z_]+)", code):
            assert f"--{setting[1].lower().replace('_', '-')}" in OPTIONS, code
        elif re.fullmatch(r"RINE_[A-Z_]+", code):
            assert code in source, code
        elif re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", code) and code not in ELSEWHERE:
            section, key, *_ = code.split(".")
            if section in sections and key not in {"json", "csv", "py", "yaml"}:
                _is_a_key(code)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_piece_of_a_study_is_one(page: Path) -> None:
    for block in blocks(page, "yaml"):
        if "head:6379\n" in block:  # the values that a key may have, one below the other
            continue
        for name, value in yaml.safe_load(block.replace("    ...\n", "")).items():
            if name in THEIRS:
                break
            if isinstance(value, dict) and {"real", "fake", "manifest"} & set(value):
                TypeAdapter(DatasetConfig).validate_python(value)
            elif page.stem != "compare":  # whose entries test_compare.py reads
                _is_a_key(name)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_import_of_a_page_works(page: Path) -> None:
    if page.stem in RUN_BY:
        assert f"{page.stem}.md" in (ROOT / "tests" / RUN_BY[page.stem]).read_text(encoding="utf-8")
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "rine":
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}")
                           for name in node.names), ast.unparse(node)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stored model, the pictures that the pages name, and scores of `validate`."""
    folder = tmp_path_factory.mktemp("pages")
    first, second = write_pictures(folder, 2)
    for name in ("holiday.jpg", "suspect.jpg", "a.jpg", "b.png"):
        shutil.copy(first, folder / name)
    (folder / "archive").mkdir()
    shutil.copy(second, folder / "archive" / "c.jpg")
    with model_in(folder) as model:
        (folder / "params.yaml").write_text("best: {default: four_class}\n")
        assert model.is_file()
    made_study.write_index(folder / "artifacts" / "index")
    made_study.write_stage(folder / "artifacts" / "validate", [made_study.run("validate", ("horse",), 0)])
    return folder


@pytest.mark.parametrize("name", ["README", "explain", "python", "scores", "reproducibility"])
def test_the_python_of_a_page_runs(
    study: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    [page] = [page for page in PAGES if page.stem == name]
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        if "load_encoder" in block:  # from here on test_python.py
            break
        exec(block, names)
    assert capsys.readouterr().out or name in ("scores", "reproducibility")


def test_every_page_with_python_is_run() -> None:
    there = {page.stem for page in PAGES if blocks(page, "python")}
    assert there == {"README", "explain", "python", "scores", "reproducibility", *RUN_BY}
