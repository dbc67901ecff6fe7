"""The graph itself: stages, commands, files and sections bear one name; `deps` and `params` list what the code uses."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from graph import ROOT, STAGES, items
from rine import params
from rine.checks import check
from rine.paths import Paths

SOURCE = ROOT / "src"
NAMES = [
    "prepare", "cache", "grid", "ldm", "select", "epochs", "dataset_size", "ablate",
    "best", "perturb", "validate", "detect", "report",
]  # fmt: skip
STUDY_IN_FORCE = params.read(ROOT / "params.yaml")
# Modules whose content DVC tracks elsewhere, or that change no result: the schema of params.yaml, whose values are
# tracked one by one; the names of files, which are the outs; the columns of the index, which are in the index itself,
# on which every stage depends; how fast, and where; what a tower costs, which stands on the page as its times do.
UNTRACKED = {
    "rine.apart",
    "rine.apart.bounds",
    "rine.apart.budget",
    "rine.apart.calls",
    "rine.apart.host",
    "rine.apart.processes",
    "rine.apart.threads",
    "rine.cluster",
    "rine.cluster.actor",
    "rine.cluster.connection",
    "rine.cluster.crew",
    "rine.cluster.hand",
    "rine.cluster.spread",
    "rine.params",
    "rine.encoder.config",
    "rine.encoder.facts",
    "rine.params_errors",
    "rine.params_file",
    "rine.terminal",
    "rine.values",
    "rine.paths",
    "rine.features.table",
    "rine.arithmetic",
    "rine.device",
    "rine.files",
    "rine.progress",
}
MOST_DEPENDENCIES = 66  # five a stage
MOST_IDLE = 0.15  # of the lines that a stage tracks
MOST_FLOORS = 8


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


def reachable(stage: str) -> set[str]:
    """Files that a stage runs, but for those that need not be tracked and empty ones."""
    files = [module_file(module) for module in closure(f"rine.stages.{stage}")]
    return {file.relative_to(ROOT).as_posix() for file in files if file and file.stat().st_size}


def expected_deps(stage: str) -> set[str]:
    """The files that a stage uses: by their folder where it uses several of one; a stage's own file, and modules alone.

    What lies in a folder that is listed is not listed again.
    """
    names = reachable(stage)
    of_folder = Counter(name.rsplit("/", 1)[0] for name in names if name.count("/") > 2 and "/stages/" not in name)
    folders = {folder for folder, n_used in of_folder.items() if n_used > 1}
    return {name for name in names | folders if not any(name.startswith(f"{folder}/") for folder in folders)}


def lines(file: str) -> int:
    return len((ROOT / file).read_text().splitlines())


def idle(stage: str) -> tuple[int, int]:
    """Lines that a stage tracks, and how many of them it never reaches."""
    files = {file.relative_to(ROOT).as_posix() for dep in code_deps(stage) for file in python_files(ROOT / dep)}
    tracked = {file for file in files if file not in {path_of(module) for module in UNTRACKED}}
    return sum(map(lines, tracked)), sum(map(lines, tracked - reachable(stage)))


def python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def path_of(module: str) -> str:
    file = module_file(module)
    assert file is not None, module
    return file.relative_to(ROOT).as_posix()


def test_stages_are_those_of_the_study():
    assert list(STAGES) == NAMES


@pytest.mark.parametrize("stage", NAMES)
def test_stage_lists_the_modules_it_uses(stage):
    assert code_deps(stage) == expected_deps(stage)


def test_what_the_stages_track_is_short_and_in_use():
    """Prints the table (pytest -s): lines tracked, and those among them that the stage never reaches."""
    table = {stage: (len(code_deps(stage)), *idle(stage)) for stage in NAMES}
    for stage, (n_deps, tracked, unused) in table.items():
        print(f"{stage:13} {n_deps:2} dependencies {tracked:5} lines {unused / tracked:4.0%} idle")
    assert sum(n_deps for n_deps, _, _ in table.values()) <= MOST_DEPENDENCIES
    shares = {stage: unused / tracked for stage, (_, tracked, unused) in table.items()}
    assert {stage: share for stage, share in shares.items() if share > MOST_IDLE} == {}


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("rine.evaluation.metrics", {"report"}),
        ("rine.evaluation.selection.rules", {"select", "report"}),
        ("rine.probing.baselines", {"validate"}),
    ],
)
def test_a_change_reruns_only_what_uses_it(module, stages):
    """A new metric, rule or baseline trains nothing."""
    file = path_of(module)
    assert {stage for stage in NAMES if any(f"{file}/".startswith(f"{dep}/") for dep in code_deps(stage))} == stages


def test_a_change_to_a_figure_re_encodes_and_retrains_nothing():
    drawing = ("src/rine/drawing.py", "src/rine/report")
    assert [stage for stage in NAMES if any(dep.startswith(drawing) for dep in code_deps(stage))] == ["report"]


@pytest.mark.parametrize("stage", NAMES)
def test_stage_has_a_command_and_a_section(stage):
    from rine.cli import app

    body = STAGES[stage].get("do", STAGES[stage])
    assert body["cmd"].split()[:2] == ["rine", stage]
    assert stage in {command.name for command in app.registered_commands}
    assert hasattr(params.read(ROOT / "params.yaml"), {"detect": "detectors"}.get(stage, stage))


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


def room(module: str) -> str:
    """The folder or top-level module of `rine` that a module belongs to."""
    return module.split(".")[1]


def rooms() -> dict[str, set[str]]:
    """Every room and those that it imports; names and runtime, which are everybody's, left out."""
    modules = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
    ]
    modules = [module for module in modules if module not in {"rine", *UNTRACKED}]
    uses: dict[str, set[str]] = {room(module): set() for module in modules}
    for module in modules:
        uses[room(module)] |= {room(used) for used in imports(module) - UNTRACKED} - {room(module)}
    return uses


def floor(name: str, uses: dict[str, set[str]], above: tuple[str, ...] = ()) -> int:
    """0 for a room that imports no other, else one more than the highest of those it imports."""
    assert name not in above, f"{' -> '.join([*above, name])} is a circle"
    return 1 + max((floor(used, uses, (*above, name)) for used in uses[name]), default=-1)


# From the ground up, as docs/map.md shows them: the ground that study and detector share, then the two houses.
GROUND = ["params", "files", "drawing", "pixels", "encoder", "features", "heads", "scores", "models"]
STUDY = ["dataset", "caching", "detectors", "evaluation", "probing", "training", "report", "stages"]
DETECTOR = ["detector", "serve"]


def test_the_house_has_few_floors_and_no_circle():
    """Prints the floors (pytest -s)."""
    uses = rooms()
    floors = {name: floor(name, uses) for name in uses}
    for height in range(max(floors.values()), -1, -1):
        print(height, *sorted(name for name, at in floors.items() if at == height))
    assert max(floors.values()) < MOST_FLOORS


def test_study_and_detector_meet_on_the_ground_alone():
    uses = rooms()
    assert {name: used for name in GROUND if (used := uses.get(name, set()) & {*STUDY, *DETECTOR})} == {}
    assert {name: used for name in DETECTOR if (used := uses[name] & {*STUDY, "cli"})} == {}
    higher = {*DETECTOR, "cli", "commands"}
    assert {name: used for name in STUDY if (used := uses.get(name, set()) & higher)} == {}
    assert uses["commands"] & {"stages", "cli"} == set()
    assert [name for name, used in uses.items() if "stages" in used] == ["cli"]


def test_the_library_judges_nothing_while_it_trains():
    """What would retrain heads for a metric, a rule or a way to store tokens."""
    uses = rooms()
    assert (uses["training"] | uses["heads"] | uses["features"] | uses["scores"]) & {"evaluation", "models"} == set()


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_is_handed_the_params_that_dvc_tracks(stage):
    module = import_module(f"rine.stages.{stage}")
    names = [p.name for p in list(inspect.signature(module.run).parameters.values())[2:] if p.default is p.empty]
    for item in items(stage, STUDY_IN_FORCE):
        values = dict(zip(names, item.arguments, strict=True))
        tracked = [key.format(study=STUDY_IN_FORCE, **values) for key in module.TRACKED]
        assert sorted(tracked) == sorted(item.params)


# where the place of a stage bears another name than the stage
PLACES = {"prepare": Paths.index, "cache": Paths.features, "select": Paths.select}


@pytest.mark.parametrize("stage", [name for name in NAMES if name != "report"])
def test_a_stage_writes_where_dvc_looks(stage):
    paths = Paths()
    for item in items(stage, STUDY_IN_FORCE):
        place = PLACES.get(stage) or getattr(Paths, stage)
        expected = [place(paths, *item.arguments)]
        if stage == "select":
            expected = [paths.choice(), *(paths.select(table) for table in ("rules", "generators", "encoders"))]
        assert [Path(out) for out in item.outs] == expected
        metrics = [] if stage == "cache" else [paths.metric(stage, *item.arguments)]
        metrics = [paths.metrics / "ablate"] if stage == "ablate" else metrics
        assert [Path(file) for file in item.metrics] == metrics


@pytest.mark.parametrize("profile", ["params.yaml", *sorted(p.name for p in (ROOT / "pipeline").glob("*.yaml"))])
def test_every_profile_is_a_study(profile):
    path = ROOT / profile
    check(params.read(path if path.is_file() else ROOT / "pipeline" / profile))


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
    assert list(paper.ablate.variants) == ["contrastive", "importance", "intermediate"]
    assert paper.perturb.kinds == ("blur", "crop", "compress", "noise", "combined")
    assert (paper.lr, paper.training.batch_size, paper.training.lr_steps) == (0.001, 128, (6, 11))
