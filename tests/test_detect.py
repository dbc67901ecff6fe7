"""Other methods on the study's pictures: each kind gives its own scores, and what a detector does wrong is named."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rine import params
from rine.detectors import process
from rine.detectors.command import Command
from rine.detectors.config import DetectorConfig
from rine.detectors.method import DetectorError, Shown
from rine.detectors.scoring import logits_of
from rine.params import Params
from rine.paths import Paths
from rine.running import run_stage
from rine.scores import ImageScores
from small_study import settled, study_of, write_data

# synthetic pictures of the small study are the darker ones
FUNCTION = """
import json, os, time
import numpy as np

def dark(images):
    with open(os.environ["ASKED"], "a") as file:
        file.write(f"{len(images)}\\n")
    return [100 - float(np.asarray(image).mean()) for image in images]

def shy(images):
    does = json.loads(os.environ["DOES"])
    scores = []
    for image in images:
        what = does.get(str(int(np.asarray(image).astype(int).sum())))
        if what == "dies": os.abort()
        if what == "hangs": time.sleep(600)
        if what == "raises": raise RuntimeError("I do not like it")
        if what != "skips":
            scores.append(float("nan") if what == "nan" else 1.0)
    return scores

def sorts(images):
    return sorted(dark(images))

def breaks(images):
    raise RuntimeError("no weights here")
"""
SCRIPT = """
import sys
import numpy as np
from PIL import Image

paths = sys.stdin.read().splitlines()
print("path,score")
for path in reversed(paths):  # a command may answer in any order
    pixels = np.asarray(Image.open(path).convert("RGB"))
    if "die" in sys.argv and int(pixels.astype(int).sum()) % 5 == 0:
        sys.exit("out of patience")
    print(f"{path},{100 - float(pixels.mean())}", flush=True)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small study's pictures and their index, a module and a script."""
    folder = tmp_path_factory.mktemp("study")
    prepare(folder)
    (folder / "others.py").write_text(FUNCTION)
    (folder / "others_script.py").write_text(SCRIPT)
    return folder


def prepare(folder: Path) -> None:
    """The small study's pictures, beside those that are there, and their index."""
    write_data(folder / "data")
    with settled(folder):
        run_stage("prepare", study_of(folder / "data"), Paths(folder / "artifacts", folder / "metrics"))


@pytest.fixture
def inside(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In the folder, with a store of this test's own; the path that `dark` writes the sizes of its batches to."""
    with settled(prepared):
        monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
        monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
        yield tmp_path


def with_detectors(prepared: Path, raw: dict[str, Any], perturb: bool = False) -> Params:
    study = study_of(prepared / "data")
    detectors = params.TypeAdapter(params.Detectors).validate_python(raw)
    return replace(study, detectors=detectors, perturb=study.perturb if perturb else None)


def detect(inside: Path, prepared: Path, raw: dict[str, Any], perturb: bool = False) -> tuple[str, Paths]:
    """Run the stage; its line, and where its results lie."""
    artifacts = inside / "artifacts"
    artifacts.mkdir(exist_ok=True)
    if not (artifacts / "index").exists():
        (artifacts / "index").symlink_to(prepared / "artifacts" / "index")
    paths = Paths(artifacts, inside / "metrics", detector_times=inside / "times.json")
    return run_stage("detect", with_detectors(prepared, raw, perturb), paths), paths


def darkness(prepared: Path, images: pd.DataFrame) -> np.ndarray:
    root = prepared / "data"
    return np.array([100 - np.asarray(Image.open(root / path)).mean() for path in images["path"]])


def test_every_kind_gives_its_scores_for_exactly_the_studys_pictures(inside: Path, prepared: Path) -> None:
    tables = [
        pd.read_csv(prepared / "artifacts" / "index" / f"{name}.csv") for name in ("train", "test", "synthbuster")
    ]
    expected = pd.concat([tables[0][tables[0]["split"] == "val"], *tables[1:]])
    expected["score"] = darkness(prepared, expected)
    expected[["path", "score"]].to_csv(inside / "theirs.csv", index=False)
    kinds = {
        "function": {"python": "others:dark"},
        "script": {"command": f"{sys.executable} others_script.py"},
        "file": {"scores": str(inside / "theirs.csv")},
    }
    line, paths = detect(inside, prepared, {name: kind | {"gives": "logit"} for name, kind in kinds.items()}, True)
    assert "not scored" not in line
    for name in kinds:
        scores = ImageScores.read(paths.detect(name))
        assert sorted(scores.images["path"]) == sorted(expected["path"])
        assert scores.logits[0] == pytest.approx(darkness(prepared, scores.images), abs=1e-4)
        table = pd.read_csv(paths.detect(name) / "scores.csv")
        assert sorted(table["generator"]) == ["buster", "gan"]
        assert table["ap"].to_list() == [1.0, 1.0]
    # of perturbed pictures the function and the script, which see the same files; the scores file has none
    for folder, n in (("perturb", 6), ("degrade", 4)):
        ours, theirs = (ImageScores.read(paths.detect(name) / folder) for name in ("function", "script"))
        assert ours.logits == pytest.approx(theirs.logits, abs=1e-4)
        assert len(ours.images) == n
        assert not (paths.detect("file") / folder).exists()
    assert [*ImageScores.read(paths.detect("function") / "degrade").runs["variant"]] == ["degrade:jpeg:50"]
    assert json.loads(paths.metric("detect").read_text())["file"]["mean"]["ap"] == 1.0
    assert set(json.loads((inside / "times.json").read_text())) == set(kinds)


def test_what_a_function_does_wrong_is_named_and_the_rest_is_kept(
    inside: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {
        "held/real/1.png": ("dies", "its process ended (SIGABRT)"),
        "held/fake/0.png": ("hangs", "no answer in 1 s"),
        "gan/real/2.png": ("raises", "RuntimeError: I do not like it"),
        "gan/fake/1.png": ("nan", "its score is nan"),
        "buster/real/0.png": ("skips", "it gave scores of shape (0,) for 1 pictures; needed: a number each"),
    }
    sums = {path: int(np.asarray(Image.open(prepared / "data" / path)).astype(int).sum()) for path in reasons}
    monkeypatch.setenv("DOES", json.dumps({str(sums[path]): what for path, (what, _) in reasons.items()}))
    raw = {"python": "others:shy", "gives": "logit", "seconds": 1, "batch": 2}
    line, paths = detect(inside, prepared, {"shy": raw})
    faults = pd.read_csv(paths.detect("shy") / "faults.csv")
    assert dict(zip(faults["path"], faults["reason"], strict=True)) == {path: why for path, (_, why) in reasons.items()}
    assert len(ImageScores.read(paths.detect("shy")).images) == 22 - len(reasons)
    assert f"not scored: {len(reasons)} by shy" in line


def test_scores_in_another_order_are_found_out(inside: Path, prepared: Path) -> None:
    with pytest.raises(DetectorError, match=r"detectors.sorts: .*\.png has the score .* in a batch of 16 and .* alone"):
        detect(inside, prepared, {"sorts": {"python": "others:sorts", "gives": "logit"}})


def test_a_command_that_dies_loses_the_picture_it_dies_of_alone(inside: Path, prepared: Path) -> None:
    raw = {"command": f"{sys.executable} others_script.py die", "gives": "logit"}
    _, paths = detect(inside, prepared, {"mortal": raw})
    faults = pd.read_csv(paths.detect("mortal") / "faults.csv")
    levels = [int(np.asarray(Image.open(prepared / "data" / path)).astype(int).sum()) % 5 for path in faults["path"]]
    assert set(levels) == {0}
    assert set(faults["reason"]) == {"it ended with exit status 1 (out of patience)"}
    kept = ImageScores.read(paths.detect("mortal"))
    assert len(kept.images) + len(faults) == 22
    assert kept.logits[0] == pytest.approx(darkness(prepared, kept.images), abs=1e-4)


def test_a_command_that_has_ended_when_a_signal_comes_hides_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    communicate = subprocess.Popen.communicate

    def interrupted(run: subprocess.Popen[str], *arguments: Any, **named: Any) -> None:
        communicate(run, *arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Command(DetectorConfig(command="true", gives="logit")).score([Shown("a.png", "", "", "centre", Path("a.png"))])


def test_a_process_whose_study_was_killed_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[int] = []
    monkeypatch.setattr(signal, "signal", lambda number, _: ignored.append(number))
    there, here = Pipe()
    here.send([])
    here.close()
    config = DetectorConfig(python="builtins:len", gives="logit")
    process._serve(there, "rine.detectors.python:load", config, 100)
    assert ignored == [signal.SIGINT]


def test_an_unusable_detector_is_named_and_the_others_are_not_asked_again(inside: Path, prepared: Path) -> None:
    good = {"python": "others:dark", "gives": "unbounded", "batch": 5}
    broken = {
        "gone": {"python": "others:nothing", "gives": "logit"},
        "broken": {"python": "others:breaks", "gives": "logit"},
        "lost": {"scores": "no.csv", "gives": "logit"},
    }
    with pytest.raises(DetectorError) as caught:
        detect(inside, prepared, {"good": good, **broken})
    for words in ("detectors.gone: it cannot be started: AttributeError", "detectors.lost: no.csv cannot be read",
                  "detectors.broken: of the first 16 pictures it scored none: RuntimeError: no weights here",
                  "the scores of good are kept"):  # fmt: skip
        assert words in str(caught.value)
    asked = (inside / "asked").read_text()
    assert sum(map(int, asked.split())) == 24  # 22 pictures, and two of the first batch alone
    _, paths = detect(inside, prepared, {"good": good})
    assert (inside / "asked").read_text() == asked

    # killed in the middle of writing a line: that picture alone is asked about again
    [journal] = (inside / "store" / "detect").glob("good-*.csv")
    journal.write_text(journal.read_text()[:-5])
    before = ImageScores.read(paths.detect("good"))
    detect(inside, prepared, {"good": good})
    assert (inside / "asked").read_text() == f"{asked}1\n"
    after = ImageScores.read(paths.detect("good"))
    assert np.array_equal(before.logits, after.logits)
    # unbounded scores: above 0 what is synthetic by the threshold from validation pictures
    assert (((after.logits[0] > 0) == after.images["label"]).mean()) > 0.9


def test_probabilities_become_logits_and_their_ends_stay_finite() -> None:
    logits = logits_of(np.array([0.0, 0.25, 0.5, 1.0]), "probability")
    assert np.isfinite(logits).all()
    assert logits[1:3] == pytest.approx([-np.log(3), 0])
    assert np.array_equal(logits_of(np.array([-3.0, 7.0]), "unbounded"), [-3.0, 7.0])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"gives": "logit"}, "a detector is one of onnx, python, command, scores, model, baseline; got none of them"),
        ({"python": "a:b", "command": "c", "gives": "logit"}, "got python and command"),
        ({"python": "a:b"}, "gives: missing; say what its scores are: logit, probability or unbounded"),
        ({"python": "a:b", "gives": "logit", "size": 224}, "size: for onnx alone; this detector is a python"),
        ({"model": "a", "gives": "probability"}, "a model file and a baseline give logits"),
        ({"python": "a.b", "gives": "logit"}, "detectors.mine.python = 'a.b'"),
    ],
)
def test_a_section_that_cannot_work_is_refused(prepared: Path, raw: dict[str, Any], words: str) -> None:
    import yaml

    from graph import ROOT

    study = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"detectors": {"mine": raw}}
    with pytest.raises(params.ParamsError) as caught:
        params.parse(study)
    assert words in str(caught.value)


def test_without_detectors_there_is_nothing_to_do(prepared: Path, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "artifacts", tmp_path / "metrics")
    assert run_stage("detect", study_of(prepared / "data"), paths) == "detectors is null: nothing to do"
    assert paths.detect().is_dir()
    assert paths.metric("detect").is_file()
