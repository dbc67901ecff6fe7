"""A model on pictures of one's own: thresholds that hold what they promise, figures that a person can check by hand."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tiny_model
from rine import Detector
from rine.cli import app
from rine.dataset.config import DatasetConfig, LabelConfig
from rine.dataset.fact_store import FactStore
from rine.dataset.facts import Facts, examine
from rine.dataset.layouts import LAYOUTS
from rine.models import checkpoint
from rine.own.pictures import Labelled, judge
from rine.pixels.pictures import MAX_PIXELS
from rine.scores.calibration import fit_alarms, needed, verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a calibration, as an imported one, and pictures that it tells apart."""
    folder = tmp_path_factory.mktemp("own")
    stored = checkpoint.load(tiny_model.store(folder / "whole.safetensors"))
    meta = {key: value for key, value in stored.meta.items() if key not in {"head", "calibration"}}
    checkpoint.save(folder / "imported.safetensors", stored.head, meta, stored.mean_tokens)
    detector = Detector.load(folder / "imported.safetensors", device="cpu")
    pictures = [tiny_model.picture(100 + i, 40, 40) for i in range(60)]
    order = np.argsort([verdict.logit for verdict in detector(pictures)])
    for kind, some in (("real", order[:24]), ("fake", order[-24:])):  # what the head takes for each
        (folder / kind).mkdir()
        for i in some:
            Image.fromarray(pictures[i]).save(folder / kind / f"{i:02d}.png")
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def rine(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    return result.exit_code, result.stdout, result.stderr


def verdicts(model: Path | str, kind: str) -> list[str]:
    return [str(v.verdict) for v in Detector.load(model, device="cpu")(sorted(Path(kind).iterdir()))]


def test_an_imported_model_comes_from_inconclusive_to_verdicts(tmp_path: Path) -> None:
    assert {*verdicts("imported.safetensors", "real"), *verdicts("imported.safetensors", "fake")} == {"inconclusive"}
    assert "`rine calibrate` fits some" in Detector.load("imported.safetensors", device="cpu").cautions[1]
    out = tmp_path / "mine.safetensors"
    code, said, cautions = rine("calibrate", "imported.safetensors", "--real", "real", "--fake", "fake", "-o", str(out))
    assert code == 0, cautions
    assert "24 real and 24 synthetic" in said
    assert "99 are needed" in said
    assert "may be among them" in cautions
    assert verdicts(out, "real").count("synthetic") == 0
    assert verdicts(out, "fake").count("synthetic") > 12
    stored = checkpoint.load(out)
    assert stored.name == "mine"
    assert stored.meta["calibrated"]["real"]["pictures"] == 24
    assert stored.meta["calibrated"]["synthetic"]["sources"] == ["fake"]
    assert len(stored.digests["calibration"]) == 48
    card = out.with_suffix(".md").read_text()
    assert stored.meta["calibrated"]["real"]["digest"] in card
    assert stored.meta["calibrated"]["date"] in card
    before = out.read_bytes()
    code, _, said = rine("calibrate", "imported.safetensors", "--real", "real", "-o", str(out))
    assert (code, out.read_bytes()) == (2, before)
    assert "--overwrite" in said


def test_reals_alone_bound_false_alarms_and_call_nothing_real(tmp_path: Path) -> None:
    out = tmp_path / "alarms.safetensors"
    assert rine("calibrate", "imported.safetensors", "--real", "real/*.png", "-o", str(out))[0] == 0
    assert set(verdicts(out, "real")) == {"inconclusive"}
    assert set(verdicts(out, "fake")) == {"inconclusive", "synthetic"} or set(verdicts(out, "fake")) == {"synthetic"}
    assert any("real pictures alone" in caution for caution in Detector.load(out, device="cpu").cautions)


def test_thresholds_of_reals_alone_keep_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    rates = [
        np.mean(rng.normal(size=500) > fit_alarms(rng.normal(size=n)).threshold_fpr1)
        for n in (99, 250)
        for _ in range(300)
    ]
    assert np.mean(rates) < 0.0115
    assert (needed(0.01), needed(0.05)) == (99, 19)
    found = fit_alarms(rng.normal(size=99))
    assert found.reason.count("needed") == 0
    assert verdict(found, -9.0)[0] == "inconclusive"
    assert verdict(found, found.threshold_fpr1 + 1e-6)[0] == "synthetic"
    assert fit_alarms(np.zeros(9)).threshold_fpr1 is None


def test_pictures_that_cannot_calibrate_are_named(tmp_path: Path) -> None:
    stored = checkpoint.load("imported.safetensors")
    meta = {key: value for key, value in stored.meta.items() if key != "head"}
    first, second = sorted(Path("real").iterdir())[:2]
    digest = hashlib.blake2b(first.read_bytes(), digest_size=16).hexdigest()
    known = tmp_path / "known.safetensors"
    checkpoint.save(known, stored.head, meta, stored.mean_tokens, {"training": [digest]})
    code, _, said = rine("calibrate", str(known), "--real", "real", "-o", str(tmp_path / "x.safetensors"))
    assert code == 2
    assert "trained on 1 of these pictures" in said
    assert str(first) in said
    shutil.copy(second, tmp_path / "copy.png")
    for arguments, words in (
        (["--real", "real", "--fake", str(tmp_path / "copy.png")], "named as real and as synthetic"),
        (["--fake", "fake"], "no real pictures"),
        (["--real", str(first)], "at least 10"),
        (["--real", "nowhere"], "left out: nowhere: no such file"),  # a reason is said of what is refused, too
        (["--real", str(first), "--fake", str(first)], f"named as real and as synthetic: {first}"),
        (["--real", "real", "-o", "mine.md"], "mine.md: a model file ends in .safetensors"),
        ([], "no pictures"),
        (["--real", "fake", "--fake", "real"], "real ones score higher"),
    ):
        code, _, said = rine("calibrate", "imported.safetensors", "-o", str(tmp_path / "x.safetensors"), *arguments)
        assert (code, words in " ".join(said.split())) == (2, True), said
        assert said.count(str(first)) < 2, said
    assert not (tmp_path / "x.safetensors").exists()


def test_a_csv_of_predict_with_truths_filled_in_goes_on(tmp_path: Path) -> None:
    assert rine("predict", "real", "fake", "--model", "imported.safetensors", "-o", str(tmp_path / "rows.csv"))[0] == 0
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    with (tmp_path / "labels.csv").open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet writes it
        written = csv.DictWriter(file, [*rows[0], "truth"])
        written.writeheader()
        written.writerows(row | {"truth": row["path"].split("/")[0].title()} for row in rows[:-1])
        written.writerow(rows[-1])  # not looked at yet
    out = tmp_path / "mine.safetensors"
    code, said, _ = rine("calibrate", "imported.safetensors", "--csv", str(tmp_path / "labels.csv"), "-o", str(out))
    assert code == 0
    assert "24 real and 23 synthetic" in said
    labels = (tmp_path / "labels.csv").read_text(encoding="utf-8-sig")
    (tmp_path / "labels.csv").write_text(labels.replace(",", ";"))  # as a spreadsheet writes it in half of Europe
    again = rine(
        "calibrate", "imported.safetensors", "--csv", str(tmp_path / "labels.csv"), "--overwrite", "-o", str(out)
    )
    assert again[:2] == (0, said)
    (tmp_path / "wrong.csv").write_text("path,truth\nreal/0.png,perhaps\n")
    code, _, said = rine("calibrate", "imported.safetensors", "--csv", str(tmp_path / "wrong.csv"))
    assert code == 2
    assert "'perhaps'" in said


def test_what_a_model_is_worth_is_measured_and_shown(tmp_path: Path) -> None:
    model = tmp_path / "mine.safetensors"
    assert rine("calibrate", "imported.safetensors", "--real", "real", "--fake", "fake", "-o", str(model))[0] == 0
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    out = tmp_path / "evaluation"
    arguments = ["evaluate", str(model), "--real", "real", "--fake", "fake", "--fake", str(bad), "-o", str(out)]
    code, said, cautions = rine(*arguments, "--worst", "2")
    assert code == 0, cautions
    assert "24 synthetic pictures: " in said
    assert "48 of the pictures are those that its thresholds were fitted on" in cautions
    found = json.loads((out / "evaluation.json").read_text())
    figures = {figure["name"]: figure for figure in found["figures"]}
    logits = {
        kind: np.array([v.logit for v in Detector.load(model, device="cpu")(sorted(Path(kind).iterdir()))])
        for kind in ("real", "fake")
    }
    threshold = Detector.load(model, device="cpu").calibration.threshold_fpr5
    assert figures["false_alarms_fpr5"]["value"] == np.mean(logits["real"] > threshold)
    assert figures["found_fpr5"]["value"] == np.mean(logits["fake"] > threshold)
    above = np.mean(logits["fake"][:, None] > logits["real"][None])
    assert figures["roc_auc"]["value"] == pytest.approx(above)
    for figure in figures.values():
        assert figure["interval"]["low"] <= figure["value"] <= figure["interval"]["high"] + 1e-12, figure
    assert found["verdicts"][0]["pictures"] == 24
    assert [each["path"] for each in found["left_out"]] == [str(bad)]
    page = (out / "index.html").read_text()
    for words in ("ROC curves", "look most synthetic", "sees no pixel", "random weights", "bad.jpg"):
        assert words in page, words
    rows = list(csv.DictReader((out / "pictures.csv").read_text().splitlines()))
    assert {row["truth"] for row in rows} == {"real", "synthetic"}
    code, _, said = rine(*arguments)
    assert code == 2
    assert "--overwrite" in said
    label = LabelConfig(column="truth", real=("real",), fake=("synthetic",))
    entry = DatasetConfig(manifest=("evaluation/pictures.csv",), folder=str(Path.cwd()), label=label, split="train")
    listing = LAYOUTS[entry.form].pictures(tmp_path, "mine", entry)  # a data set of a study
    assert [picture.label for picture in listing.pictures].count(1) == 24


def test_one_class_alone_gives_its_rate(tmp_path: Path) -> None:
    out = tmp_path / "reals"
    code, said, _ = rine("evaluate", "whole.safetensors", "--real", "real", "-o", str(out), "--worst", "0")
    assert code == 0
    assert "False alarms at the threshold for 1 % false alarms" in said
    figures = {figure["name"]: figure for figure in json.loads((out / "evaluation.json").read_text())["figures"]}
    assert figures["false_alarms_fpr1"]["value"] is not None
    assert figures["found_fpr1"]["reason"] == "no synthetic pictures"
    assert figures["roc_auc"]["value"] is None
    # Wilson's interval of a share of 24, by hand
    value, n, z = figures["false_alarms_zero"]["value"], 24, 1.959964
    centre, half = value + z * z / (2 * n), z * np.sqrt(value * (1 - value) / n + (z / (2 * n)) ** 2)
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    interval = figures["false_alarms_zero"]["interval"]
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=0.05)


def test_near_copies_of_each_other_and_of_training_pictures_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    smooth = Image.fromarray(tiny_model.picture(7, 9, 9)).resize((90, 90))
    for i, quality in enumerate((95, 80, 60)):
        smooth.save(tmp_path / f"{i}.jpg", quality=quality)
    stored = checkpoint.load("imported.safetensors")
    meta = {key: value for key, value in stored.meta.items() if key != "head"}
    learnt = examine(tmp_path / "0.jpg", 10**6)
    assert isinstance(learnt, Facts)
    checkpoint.save(tmp_path / "m.safetensors", stored.head, meta, None, {"training": [learnt.digest]})
    with closing(FactStore(tmp_path / "store" / "index", MAX_PIXELS)) as store:  # as `rine prepare` leaves it
        os.utime(tmp_path / "0.jpg", (10**9, 10**9))
        store.put([(tmp_path / "0.jpg", (tmp_path / "0.jpg").stat(), learnt)])
    detector = Detector.load(tmp_path / "m.safetensors", device="cpu")
    judged = judge(detector, [Labelled(str(tmp_path / f"{i}.jpg"), 0, "mine") for i in (1, 2)])
    [note] = [note for note in judged.notes if "training pictures" in note]
    assert "1.jpg" in note
    assert "2.jpg" in note
    alone = judge(replace(detector, digests={}), [Labelled(str(tmp_path / f"{i}.jpg"), 0, "mine") for i in (1, 2)])
    assert any("nearly the same as each other" in note and "1.jpg = " in note for note in alone.notes)
