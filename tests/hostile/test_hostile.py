"""What must come of each hostile picture comes of it in the index, the cache, `predict`, `explain` and the server."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import tiny_model
from hostile import named
from hostile.kinds import good, kinds
from rine import Detector, apart
from rine.caching.decode import Job, Source, decode, decoded
from rine.caching.views import Recipe
from rine.cli import app
from rine.dataset import index
from rine.dataset.config import DatasetConfig, PrepareConfig
from rine.dataset.facts import Facts, Skipped, examine
from rine.detector.explain import explain
from rine.pixels.pictures import UnreadablePicture
from test_views import AUGMENTATION

MAX_PIXELS = 1_000_000
TABLE = Path(__file__).with_name("expected.csv")
RECIPE = Recipe("test", tiny_model.SIZE, AUGMENTATION)


def read_table() -> dict[str, str]:
    with TABLE.open(newline="") as file:
        return {row["kind"]: row["expected"] for row in csv.DictReader(file)}


def wrong(expected: dict[str, str], reasons: dict[str, str | None]) -> dict[str, str | None]:
    """Kinds of which came what must not; `reasons`: why each was refused, None for those that were read."""

    def right(name: str) -> bool:
        reason = reasons[name]
        if expected[name] in {"read", "either"} and reason is None:
            return True
        return reason is not None and bool(re.search("." if expected[name] == "either" else expected[name], reason))

    assert set(reasons) == set(expected)
    return {name: reason for name, reason in reasons.items() if not right(name)}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # the name of a socket may have 107 bytes
    with tempfile.TemporaryDirectory(prefix="h") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, str]:
    """Every file's name, and what must come of it; the files lie in data/."""
    table, made = read_table(), kinds()
    assert list(table) == list(made)
    assert len(made) >= 150
    assert max(map(len, made.values())) < 1_000_000
    (folder / "data").mkdir()
    for name, content in made.items():
        (folder / "data" / name).write_bytes(content)
    return table | named.make(folder / "data")


@pytest.fixture(scope="module")
def detector(folder: Path) -> Iterator[Detector]:
    with tiny_model.model_in(folder) as path:
        yield replace(Detector.load(path, device="cpu"), max_pixels=MAX_PIXELS)


def test_the_index_leaves_out_what_it_must_and_says_why(folder: Path, expected: dict[str, str]) -> None:
    data_set = DatasetConfig(layout="globs", real=("data/*",), fake=("fake/*",), split="test")
    (folder / "fake").mkdir()
    (folder / "fake" / "good.png").write_bytes(good())
    made = index.build(PrepareConfig(root=str(folder), max_pixels=MAX_PIXELS, datasets={"odd": data_set}))
    reasons: dict[str, str | None] = dict.fromkeys(Path(path).name for path in made.tables["test"]["path"])
    reasons |= {Path(path).name: reason for path, reason in zip(*made.skipped.T.to_numpy(), strict=True)}
    assert reasons.pop("good.png") is None
    known = {name: words for name, words in expected.items() if name in reasons}
    not_utf8 = os.fsdecode(named.NOT_UTF8).encode("utf-8", "backslashreplace").decode()
    assert reasons.pop(not_utf8) == "the file's name is not UTF-8"
    # the others are no files, which the layouts do not list
    assert set(expected) - set(known) <= {
        os.fsdecode(named.NOT_UTF8),
        *SPECIAL,
        "drawing.svg",
        "icon.ico",
        "phone.heic",
    }
    assert wrong(known, reasons) == {}


SPECIAL = {"broken.png", "loop.png", "device.png", "pipe.png", "socket.png", "folder.jpg"}


def test_facts_and_the_cache_agree_on_every_file(folder: Path, expected: dict[str, str]) -> None:
    """What the index takes the cache can decode; and of what is refused the reason is the same."""
    paths = {name: folder / "data" / name for name in expected}
    facts = dict(apart.ahead(lambda name: apart.call(examine, paths[name], MAX_PIXELS), expected, 2))
    assert (
        wrong(expected, {name: fact.reason if isinstance(fact, Skipped) else None for name, fact in facts.items()})
        == {}
    )

    def digest(name: str) -> str:
        fact = facts[name]
        if isinstance(fact, Facts):
            return fact.digest
        small = paths[name].is_file() and paths[name].stat().st_size < 1 << 20
        return hashlib.blake2b(paths[name].read_bytes() if small else b"", digest_size=16).hexdigest()

    jobs = [(name, Job(f"data/{name}", digest(name), (("centre", "centre"),), (0,))) for name in expected]
    pixels = {name: made for name, _, made in decoded(Source(folder, RECIPE, MAX_PIXELS), jobs, 2)}
    for name, made in pixels.items():
        if isinstance(facts[name], Facts):
            assert isinstance(made, np.ndarray), (name, made)
            assert made.shape == (1, tiny_model.SIZE, tiny_model.SIZE, 3)
        else:
            assert isinstance(made, str)
            assert made.startswith(f"data/{name}: ")
    refused = {name: str(made).partition(": ")[2] for name, made in pixels.items() if isinstance(made, str)}
    assert wrong({name: expected[name] for name in refused}, refused) == {}  # type: ignore[arg-type]


def test_predict_has_a_row_for_each_and_goes_on(
    folder: Path, expected: dict[str, str], detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Detector, "load", lambda *_, **__: detector)
    names = [f"data/{name}" for name in expected]
    done = CliRunner().invoke(app, ["predict", "--output", "rows.csv", "--", *names])
    assert done.exit_code == 1, done.output
    with open("rows.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == names
    reasons = {row["path"].removeprefix("data/"): row["error"] or None for row in rows}
    assert wrong(expected, reasons) == {}
    assert all(bool(row["verdict"]) == (row["error"] == "") for row in rows)
    table = CliRunner().invoke(app, ["predict", "--", *names])
    assert "\x1b]" not in table.stdout
    assert "\x1b[31mred" not in table.stdout
    assert len(table.stdout.splitlines()) == 1 + len(names)


def test_explain_says_why_not_or_gives_its_evidence(folder: Path, expected: dict[str, str], detector: Detector) -> None:
    def reason(name: str) -> str | None:
        try:
            pixels = detector.pixels(folder / "data" / name)
        except UnreadablePicture as error:
            return error.reason
        # one of each look-alike is enough: its own evidence costs twenty passes of the encoder
        if name.startswith(("mode-", "animated-", "thin", "one-", "depth-")):
            assert len(explain(detector, pixels, cells=2, name=name).changes) == 20
        return None

    assert wrong(expected, {name: reason(name) for name in expected}) == {}


def test_the_server_answers_for_each_in_its_row(folder: Path, expected: dict[str, str], detector: Detector) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    pytest.importorskip("fastapi", reason="rine[serve] is not installed")
    from rine.serve.settings import ServeSettings
    from served import served

    sent = {n: folder / "data" / n for n in expected if n not in SPECIAL and n != "endless.png"}
    names = list(sent)
    reasons: dict[str, str | None] = {}
    with served(detector, ServeSettings(upload_mb=30)) as url:
        for start in range(0, len(names), 30):
            some = names[start : start + 30]
            files = [("files", (f"{i}.png", sent[name].read_bytes())) for i, name in enumerate(some)]
            answer = httpx.post(f"{url}/predict", files=files, timeout=60)
            assert answer.status_code in {200, 422}, answer.text
            reasons |= {name: row["error"] for name, row in zip(some, answer.json()["results"], strict=True)}
        assert httpx.get(f"{url}/health").json()["waiting"] == 0
    assert wrong({name: expected[name] for name in sent}, reasons) == {}


@pytest.mark.parametrize("end", ["longer", "shorter", "gone"])
def test_a_file_that_changes_while_it_is_read_is_itself_or_refused(tmp_path: Path, end: str) -> None:
    path, stop = tmp_path / "x.png", threading.Event()
    path.write_bytes(good())

    def change() -> None:
        while not stop.is_set():
            if end == "gone":
                path.unlink()
            else:
                path.write_bytes(good()[: None if end == "longer" else 900] + b"more" * (end == "longer"))
            path.write_bytes(good())

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(100):
            facts = examine(path, MAX_PIXELS)
            if isinstance(facts, Facts):
                assert facts.bytes in {len(good()), len(good()) + 4}
                made = decode(
                    Source(tmp_path, RECIPE, MAX_PIXELS), Job("x.png", facts.digest, (("centre", "centre"),), (0,))
                )
                assert isinstance(made, np.ndarray) or made.startswith("x.png: ")
    finally:
        stop.set()
        thread.join()
