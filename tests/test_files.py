"""Files and folders are there whole or not at all, also where several processes write the same at once."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from rine.files import whole_folder

WRITE_AGAIN_AND_AGAIN = """
import sys
from pathlib import Path
from rine.files import whole_folder

for turn in range(100):
    with whole_folder(Path(sys.argv[1])) as part:
        for name in "ab":
            (part / name).write_text(f"{sys.argv[2]} {turn}")
"""


def test_of_processes_that_write_a_folder_at_once_none_fails_and_one_stays_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_AGAIN_AND_AGAIN, str(out), str(n)], stderr=subprocess.PIPE)
        for n in range(3)
    ]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 3
    assert (out / "a").read_text() == (out / "b").read_text()
    assert (out / "a").read_text().endswith(" 99")
    assert list(out.parent.iterdir()) == [out]


def test_where_writing_fails_the_folder_stays_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as part:
        (part / "a").write_text("before")
    with pytest.raises(RuntimeError), whole_folder(out) as part:  # noqa: PT012
        (part / "a").write_text("after")
        raise RuntimeError
    assert (out / "a").read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    (tmp_path / f".out.{platform.node()}-{dead.pid}-aa.part").mkdir()
    with whole_folder(tmp_path / "out") as first, whole_folder(tmp_path / "out") as second:
        assert first.is_dir()
        assert second != first
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
