"""Parts of a feature set, each done by a process of its own: together they leave what one process leaves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rine import device
from rine.caching.parts import Part, read
from rine.cli import app
from test_cache import TEST, cache, files, parsed, study, write_index


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    write_index(tmp_path, "test", TEST)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(study(tmp_path)))
    return tmp_path


# At its second shard the first process is killed, as by a machine that goes down
DIES = """
import atexit, os, signal, sys
atexit.register(lambda: "ray" in sys.modules and os._exit(3))  # no cluster is named
from rine.caching.draft import Draft
from rine.cli import app
finish, done = Draft.finish, []
def once(draft):
    done.append(finish(draft)) if not done else os.kill(os.getpid(), signal.SIGKILL)
if sys.argv.pop(1) == "dies":
    Draft.finish = once
app()
"""


def start(root: Path, part: str, how: str = "lives") -> subprocess.Popen[str]:
    options = ["--params", root / "params.yaml", "--artifacts", root / "artifacts", "--part", part]
    command = [sys.executable, "-c", DIES, how, "cache", "tiny", "test", *map(str, options)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_parts_at_once_of_which_one_is_killed_leave_the_same_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = root / "artifacts" / "features" / "tiny" / "test"
    with start(root, "1/2", "dies") as first, start(root, "2/2") as second:
        said, errors = second.communicate(timeout=120)
        first.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (-9, 0), errors
    assert "tiny-test, part 2/2: 2 units, 8 views: encoded 8, reused 0" in said  # of 2 and 6 rows
    assert not out.exists()
    assert not (root / ".rine").exists()  # no time of the stage

    tiny = parsed(root)
    command = ["cache", "tiny", "test", "--params", str(root / "params.yaml"), "--part", "1/2"]
    again = CliRunner().invoke(app, [*command, "--artifacts", str(root / "artifacts")])
    assert re.search("part 1/2: 2 units, 11 views: encoded [0-4], ", again.output), again.output  # 7 were finished
    assert cache("tiny-test", tiny, root / "artifacts").endswith("encoded 0, reused 19")
    of_parts = files(out)
    monkeypatch.setenv("RINE_STORE", str(root / "another store"))
    assert cache("tiny-test", tiny, root / "artifacts").endswith("encoded 19, reused 0")
    assert files(out) == of_parts


@pytest.mark.parametrize("of", [1, 2, 3, 16])
def test_every_unit_is_in_one_part(of: int) -> None:
    shares = [Part(number + 1, of).share(range(10)) for number in range(of)]
    assert sorted(unit for share in shares for unit in share) == list(range(10))
    assert {len(share) for share in shares} <= {10 // of, 10 // of + 1}


SLURM = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16"}
AGAIN = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_MIN": "3"}  # sbatch --array=3


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        (SLURM | {"SLURM_ARRAY_TASK_MIN": "1"}, "3/16"),
        (AGAIN | {"RINE_PARTS": "16"}, "3/16"),
        ({"RANK": "0", "WORLD_SIZE": "8"}, "1/8"),
        ({"JOB_COMPLETION_INDEX": "7", "RINE_PARTS": "8"}, "8/8"),
    ],
)
def test_what_started_a_process_says_its_part(environ: dict[str, str], part: str) -> None:
    assert str(read("auto", environ)) == part


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("3", {}, "expected 3/16"),
        ("0/16", {}, "numbered from 1/16 to 16/16"),
        ("17/16", {}, "no part 17 of 16"),
        ("auto", {}, "none of them is set"),
        ("auto", {"JOB_COMPLETION_INDEX": "1"}, "export RINE_PARTS"),
        ("auto", AGAIN, "RINE_PARTS"),
        ("auto", {"RANK": "0", "WORLD_SIZE": "8", "JOB_COMPLETION_INDEX": "1"}, "RANK and JOB_COMPLETION_INDEX"),
        ("auto", {"RANK": "9", "WORLD_SIZE": "8"}, "RANK=9: there is no part 10 of 8"),
        ("auto", {"RANK": "x", "WORLD_SIZE": "8"}, "--part auto: invalid literal"),
    ],
)
def test_a_part_that_cannot_be_is_refused(text: str, environ: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text, environ)


def test_torchrun_gives_each_process_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr("rine.arithmetic.mode", lambda: "fast")
    assert device.choose("auto") == "cuda"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device.choose("auto") == "cuda:3"
