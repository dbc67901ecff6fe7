"""Names and words of strangers are text in the report and on the server's page: in a browser, none of them runs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="rine[serve] is not installed")

from PIL import Image

import tiny_model
from browser import launched
from made_study import FEW, write_published, write_study
from rine import Detector
from rine.paths import Paths
from rine.report.section import Content, Figure, Section
from rine.report.table import Row, Table, number, text
from rine.report.write import write_page
from rine.serve.settings import ServeSettings
from rine.stages.report import report_scores, run
from served import served

EVIL = "</script></style><img src=x onerror=window.ran=1><script>window.ran=1</script><svg onload=window.ran=1>'"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as started:
        yield started


def opened(browser: Any, address: str) -> str:
    """The words of a page; fails where one of the strangers' words ran or asked for something."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.ran") is None
    assert not [url for url in asked if url.endswith("/x")]
    # as text, also in attributes and where it is folded away
    words = str(page.evaluate("document.documentElement.textContent"))
    page.close()
    return words


def test_no_name_of_a_study_runs_in_its_report(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rine.stages.report.render",
        lambda report, notice="": {f.key: PIXEL for content in report.values() for f in content.figures},
    )
    write_study(tmp_path / "artifacts", FEW)
    write_published(tmp_path / "published")
    encoder = FEW.encoders[FEW.encoder].name
    for table in tmp_path.rglob("*.csv"):  # a generator, an encoder, a finding
        text = table.read_text()
        for name in ("stylegan", "StyleGAN", encoder, "could not be read"):
            text = text.replace(name, f"{name}{EVIL}")
        table.write_text(text)
    encoders = {name: replace(each, name=f"{each.name}{EVIL}") for name, each in FEW.encoders.items()}
    study = replace(FEW, about=f"About{EVIL}", encoders=encoders)
    paths = Paths(
        *(tmp_path / name for name in ("artifacts", "metrics", "plots", "report", "published", "none", "plots.html"))
    )
    monkeypatch.setattr("rine.stages.report.write_template", lambda path, notice: None)  # a second and 50 MB
    run(study, paths, latex=True)
    words = opened(browser, (tmp_path / "report" / "index.html").as_uri())
    for name in ("StyleGAN", encoder, "About", "could not be read"):
        assert f"{name}{EVIL}" in words
    assert not [table.name for table in (tmp_path / "plots").glob("*.csv") if "</" in table.read_text()]

    scores = tmp_path / f"x{EVIL.replace('/', '')}.csv"
    scores.write_text((tmp_path / "published" / "scores.csv").read_text())
    report_scores(scores, replace(paths, page=tmp_path / "other"))
    assert scores.name in opened(browser, (tmp_path / "other" / "index.html").as_uri())


def test_what_is_wider_than_a_telephone_says_so(browser: Any, tmp_path: Path) -> None:
    """A table of few columns and a figure that is hardly wider have no sign, so they have to fit."""
    columns = ["File", "verdict", "probability of being synthetic", "logit"]
    row = Row([text("real/244_gaugan_real.jpg"), text("inconclusive"), number(0.595, 3), number(28.59, 2)])
    tables = [Table("few", "Few", columns, [row]), Table("many", "Many", [*columns, *columns], [Row([*row.cells] * 2)])]
    figures = [Figure(str(width), "Figure", "says", pd.DataFrame(), plt.figure) for width in (790, 1400)]
    report = {Section("a", "A", (), lambda _: None, ""): Content([], tables, figures)}
    images = {}
    for width in (790, 1400):
        Image.new("L", (width, 9)).save(tmp_path / "x.png")
        images[str(width)] = (tmp_path / "x.png").read_bytes()
    write_page("A", "", [], report, images, tmp_path)
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto((tmp_path / "index.html").as_uri())
    wider = page.evaluate(
        "[...document.querySelectorAll('.scroll, .picture')].filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => [box.ariaLabel, !!box.closest('.wide')])"
    )
    page.close()
    assert wider == [["Many", True], ["Figure", True]]


def test_no_word_of_a_model_runs_on_the_servers_page(browser: Any, tmp_path: Path) -> None:
    with tiny_model.model_in(tmp_path) as path:
        detector = Detector.load(path, device="cpu")
    calibration = replace(detector.calibration, reason=f"reason{EVIL}")
    meta = detector.meta | {"about": f"about{EVIL}", "classes": [f"class{EVIL}"]}
    evil = replace(detector, name=f"name{EVIL}", meta=meta, calibration=calibration)
    with served(evil, ServeSettings()) as url:
        words = opened(browser, url)
    for name in ("about", "reason", "name"):
        assert f"{name}{EVIL}" in words
