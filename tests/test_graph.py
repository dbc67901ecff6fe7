"""The graph itself: stages, commands, files and sections bear one name, and `deps` list what the code imports."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from rine import params

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
NAMES = [
    "prepare", "cache", "grid", "ldm", "select", "epochs", "dataset_size", "ablate",
    "best", "perturb", "validate", "report",
]  # fmt: skip
# Schema and progress bars change no result: the values of the schema are tracked one by one, as parameters.
UNTRACKED = {"rine.params", "rine.progress"}
# How a table is read back is all that most stages take of the package that makes it.
ALONE = {"src/rine/dataset/table.py"}


def module_file(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of ours that a module imports, also inside functions; those for type checkers only left out."""
    path = module_file(module)
    assert path is not None, module
    tree = ast.parse(path.read_text())
    typing_only = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in found if name.startswith("rine.") and module_file(name))


def closure(module: str) -> set[str]:
    seen: set[str] = set()
    left = [module]
    while left:
        here = left.pop()
        if here not in seen | UNTRACKED:
            seen.add(here)
            left.extend(imports(here))
    return seen


def code_deps(stage: str) -> set[str]:
    body = STAGES[stage]
    body = body.get("do", body)
    return {dep for dep in body["deps"] if dep.startswith("src/")}


def expected_deps(stage: str) -> set[str]:
    """A stage's own file, the packages it uses, and single modules at the top level or named in `ALONE`."""
    files = [module_file(module) for module in closure(f"rine.stages.{stage}")]
    names = {file.relative_to(ROOT).as_posix() for file in files if file and file.stat().st_size}
    alone = {name for name in names if name.count("/") == 2 or name in ALONE or "/stages/" in name}
    return alone | {"/".join(name.split("/")[:3]) for name in names - alone}  # src/rine/<package>


def test_stages_are_those_of_the_study():
    assert list(STAGES) == NAMES


@pytest.mark.parametrize("stage", NAMES)
def test_stage_lists_the_modules_it_uses(stage):
    assert code_deps(stage) == expected_deps(stage)


def test_a_change_to_a_figure_re_encodes_and_retrains_nothing():
    drawing = ("src/rine/drawing.py", "src/rine/report")
    assert [stage for stage in NAMES if any(dep.startswith(drawing) for dep in code_deps(stage))] == ["report"]


@pytest.mark.parametrize("stage", NAMES)
def test_stage_has_a_command_and_a_section(stage):
    from rine.cli import app

    body = STAGES[stage].get("do", STAGES[stage])
    assert body["cmd"].split()[:2] == ["rine", stage]
    assert stage in {command.name for command in app.registered_commands}
    assert hasattr(params.read(ROOT / "params.yaml"), stage)


@pytest.mark.parametrize("stage", ["prepare", "select", "report"])
def test_stage_without_tensors_imports_no_torch(stage):
    assert not any(
        name.split(".")[0] in {"torch", "open_clip", "torchvision"}
        for module in closure(f"rine.stages.{stage}")
        for name in top_level_imports(module)
    )


def top_level_imports(module: str) -> set[str]:
    path = module_file(module)
    assert path is not None
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_imports_point_from_cli_to_stages_to_library():
    modules = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
    ]
    wrong = [
        (module, used)
        for module in modules
        for used in imports(module)
        if used.startswith("rine.cli") or (used.startswith("rine.stages") and not module.startswith("rine.cli"))
    ]
    assert wrong == []


@pytest.mark.parametrize("profile", ["params.yaml", *sorted(p.name for p in (ROOT / "pipeline").glob("*.yaml"))])
def test_every_profile_is_a_study(profile):
    path = ROOT / profile
    params.read(path if path.is_file() else ROOT / "pipeline" / profile)


def test_the_papers_study_is_the_papers():
    paper = params.read(ROOT / "pipeline" / "paper.yaml")
    grid, ldm = paper.grid, paper.ldm
    runs = len(paper.encoders) * len(paper.settings) * len(grid.xi) * len(grid.q) * len(grid.proj_dim)
    assert runs == 288
    assert grid.xi == (0.1, 0.2, 0.4, 0.8)
    assert grid.q == (1, 2, 4)
    assert grid.proj_dim == (128, 256, 512, 1024)
    assert grid.epochs == 1
    assert [encoder.name for encoder in paper.encoders.values()] == ["ViT-L/14", "ViT-B/32"]
    assert list(paper.settings.values()) == [("horse",), ("chair", "horse"), ("car", "cat", "chair", "horse")]
    assert (ldm.xi, ldm.q, ldm.proj_dim, ldm.epochs) == ((0.2, 0.4), (2, 4), (512, 1024), (1, 3, 5))
    assert paper.epochs.epochs == (3, 5, 10, 15)
    assert paper.select.top == 3
    assert paper.dataset_size.fractions == (0.2, 0.5, 0.8, 1.0)
    assert paper.ablate.variants == ("contrastive", "importance", "intermediate")
    assert paper.perturb.kinds == ("blur", "crop", "compress", "noise", "combined")
    assert (paper.lr, paper.training.batch_size, paper.training.lr_steps) == (0.001, 128, (6, 11))
