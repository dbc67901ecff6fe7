"""The page in a real browser: pictures dropped, pasted and chosen, a verdict for each, by mouse or keyboard alone."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import tiny_model
from rine import Detector

pytest.importorskip("fastapi", reason="rine[serve] is not installed")
pytest.importorskip("uvicorn", reason="rine[serve] is not installed")

from browser import launched, playwright
from rine.serve.settings import ServeSettings
from served import served, tiny_detector

Page = Any
expect = playwright.expect


detector = tiny_detector


@pytest.fixture(scope="module")
def url(detector: Detector) -> Iterator[str]:
    with served(detector, ServeSettings(upload_mb=1)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    """The page, open; the test fails where its script fails or it asks anything of another machine."""
    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(20_000)
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("request", lambda request: request.url.startswith((url, "blob:", "data:")) or failures.append(request.url))
    page.on("console", lambda line: "Content Security Policy" in line.text and failures.append(line.text))
    page.goto(url)
    drawn(page)
    yield page
    context.close()
    assert failures == []


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for i in range(20):
        paths.append(tmp_path / f"{i:02d}.jpg")
        Image.fromarray(tiny_model.picture(i, 120, 160)).save(paths[-1], quality=92)
    return paths


def drawn(page: Page) -> None:
    """Wait until the page has been drawn: before, Chromium throws simulated input away."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drop(page: Page, *paths: Path) -> None:
    """Drop files on the page as a file manager does; it is sent until the page has had it."""
    page.evaluate("() => { window.drops = 0; addEventListener('drop', () => { window.drops += 1; }, true); }")
    drawn(page)
    client = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for _ in range(5):
        for kind in ("dragEnter", "dragOver", "drop"):
            client.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 250, "data": data})
        for _ in range(40):
            if page.evaluate("() => window.drops"):
                return
            page.wait_for_timeout(50)
    pytest.fail("the browser delivered no drop in five tries")


def rows(page: Page) -> Any:
    return page.locator("#results > li")


def test_a_dropped_picture_gets_its_verdict(page: Page, pictures: list[Path], detector: Detector) -> None:
    drop(page, pictures[3])
    [expected] = detector(pictures[3])
    row = rows(page).first
    expect(row.locator(".badge")).to_have_text(str(expected.verdict))
    expect(row.locator("h3")).to_have_text("03.jpg")
    expect(row.locator(".figures")).to_contain_text(f"{100 * (expected.probability or 0):.1f} %")
    expect(page.locator("#status")).to_have_text(f"Done: 1 picture, 1 {expected.verdict}")
    page.evaluate("() => Promise.all(document.getAnimations().map((each) => each.finished))")  # the bar grows
    share = row.locator(".meter span").bounding_box()["width"] / row.locator(".meter").bounding_box()["width"]
    assert share == pytest.approx(expected.probability, abs=0.02)


def test_a_corrupt_file_says_why_and_takes_nothing_along(page: Page, pictures: list[Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(pictures[0].read_bytes()[:1500])
    text = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    text.write_text("no picture")
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(1_200_000))
    drop(page, cut, text, large, pictures[0])
    expect(page.locator(".judged")).to_have_count(4)
    expect(rows(page).nth(0).locator(".figures")).to_contain_text("cut short")
    expect(rows(page).nth(1).locator(".figures")).to_contain_text("not a picture")
    expect(rows(page).nth(1).locator("h3")).to_have_text(text.name)  # a name is text, whatever is in it
    expect(rows(page).nth(2).locator(".figures")).to_contain_text("larger than the 1 MB")
    for i in range(3):
        expect(rows(page).nth(i).locator(".badge")).to_have_text("unreadable")
    expect(page.locator("#status")).to_contain_text("3 unreadable")
    expect(rows(page).nth(3).locator(".figures")).to_contain_text("probability")


def test_a_picture_that_is_dropped_before_the_model_is_described_waits_for_its_limits(
    page: Page, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(1_200_000))
    held: list[Any] = []
    page.route("**/model", lambda route: held.append(route))
    page.reload()
    drop(page, large)
    expect(rows(page).first.locator(".badge")).to_have_text("looking")
    held[0].continue_()
    expect(rows(page).first.locator(".figures")).to_contain_text("larger than the 1 MB")


def test_twenty_at_once_are_all_judged_in_their_order(page: Page, pictures: list[Path], detector: Detector) -> None:
    drop(page, *pictures)
    expect(page.locator(".judged")).to_have_count(20)
    expect(page.locator("#work")).to_be_hidden()
    assert rows(page).locator("h3").all_inner_texts() == [path.name for path in pictures]
    assert rows(page).locator(".badge").all_inner_texts() == [v.verdict for v in detector(pictures)]

    with page.expect_download() as download:
        page.click("#download")
    written = list(csv.DictReader(StringIO(Path(download.value.path()).read_text())))
    assert [row["path"] for row in written] == [path.name for path in pictures]
    for row, verdict in zip(written, detector(pictures), strict=True):
        assert row["verdict"] == verdict.verdict
        assert float(row["logit"]) == pytest.approx(verdict.logit, rel=1e-4)

    page.click("#clear")
    expect(rows(page)).to_have_count(0)
    expect(page.locator("#download")).to_be_disabled()


def test_evidence_is_shown_when_asked_for(page: Page, pictures: list[Path]) -> None:
    drop(page, pictures[1])
    row = rows(page).first
    row.locator("summary").first.click()
    expect(row.locator(".map img")).to_be_visible()
    assert (
        row.locator(".map text").count() == row.locator(".map rect.crop").count() == 4 * 5
    )  # 120 x 160 in crops of 32
    assert {row.locator(".map rect.crop").nth(i).get_attribute("width") for i in range(20)} == {"32"}  # true squares
    assert row.locator(".map rect.judged").count() == 1
    digest = hashlib.sha256(pictures[1].read_bytes()).hexdigest()
    expect(row.locator(".evidence")).to_contain_text(digest)
    expect(row.locator(".evidence")).to_contain_text("caution: the encoder has random weights")
    expect(row.locator(".evidence")).to_contain_text("of 20")
    expect(row.locator(".evidence table").last.locator("tbody tr")).to_have_count(3)  # blocks
    expect(page.locator("#status")).to_contain_text("stable in")


def test_evidence_has_the_pictures_shape_where_the_browser_cannot_show_it(page: Page, tmp_path: Path) -> None:
    Image.fromarray(tiny_model.picture(0, 120, 160)).save(tmp_path / "phone.ppm")  # as HEIC is to most browsers
    drop(page, tmp_path / "phone.ppm")
    row = rows(page).first
    row.locator("summary").first.click()
    expect(row.locator(".map canvas")).to_have_count(1)
    box = row.locator(".map svg").bounding_box()
    assert (box["width"], box["height"]) == (160, 120)


def test_a_desk_counts_filters_sorts_and_judges_again(page: Page, pictures: list[Path], detector: Detector) -> None:
    drop(page, *pictures)
    expect(page.locator(".judged")).to_have_count(20)
    verdicts = detector(pictures)
    n = Counter(str(verdict.verdict) for verdict in verdicts)
    texts = page.locator("#kinds button").all_inner_texts()
    assert texts == ["all 20", *(f"{kind} {n[kind]}" for kind in ("synthetic", "inconclusive", "real") if n[kind])]
    page.locator("#kinds button.synthetic").click()
    expect(page.locator("#results > li:visible")).to_have_count(n["synthetic"])
    page.locator("#kinds button").first.click()
    page.select_option("#sort", "synthetic")
    order = sorted(range(20), key=lambda i: -float(verdicts[i].probability or 0))
    assert rows(page).locator("h3").all_inner_texts() == [pictures[i].name for i in order]
    assert rows(page).first.locator(".mark").count() == 2  # where verdicts begin
    page.uncheck("#numbers")
    expect(rows(page).first.locator(".figures .percent")).to_be_hidden()
    page.select_option("#crops", "grid")  # another question
    expect(page.locator(".judged")).to_have_count(20)
    page.select_option("#sort", "added")
    expect(page.locator("#work")).to_be_hidden()
    assert rows(page).locator(".badge").all_inner_texts() == [v.verdict for v in detector(pictures, "grid")]


def test_a_small_picture_has_a_remark_and_evidence_can_be_saved(page: Page, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.fromarray(tiny_model.picture(0, 20, 24)).save(small)
    drop(page, small)
    row = rows(page).first
    expect(row.locator(".remark")).to_contain_text("smaller than the 32 pixels")
    row.locator("summary").first.click()
    expect(row.locator(".save")).to_be_visible()
    with page.expect_download() as download:
        row.locator(".save").click()
    saved = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "small.png.evidence.html"
    for words in (hashlib.sha256(small.read_bytes()).hexdigest(), "data:image/png;base64,", "not suspicious"):
        assert words in saved, words


def test_a_picture_can_be_pasted(browser: Any, url: str, pictures: list[Path]) -> None:
    # making the event needs a script of the test's own, which the page's policy would not let in
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(url)
    page.evaluate(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        base64.b64encode(pictures[0].read_bytes()).decode(),
    )
    expect(page.locator(".judged h3")).to_have_text("image.png")
    context.close()


def test_all_of_it_works_with_the_keyboard_alone(page: Page, pictures: list[Path]) -> None:
    # Playwright keeps the browser's own dialogue away only while something listens, and takes a moment to begin with it
    page.on("filechooser", lambda _: None)
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(pictures[:2])
    expect(page.locator(".judged")).to_have_count(2)
    for expected in ("#crops", "#download", "#clear"):
        page.keyboard.press("Tab")
        expect(page.locator(expected)).to_be_focused()
    for expected in ("#kinds [aria-pressed='true']", *["#kinds :focus"] * (page.locator("#kinds button").count() - 1)):
        page.keyboard.press("Tab")
        expect(page.locator(expected)).to_be_focused()
    for expected in ("#sort", "#numbers"):
        page.keyboard.press("Tab")
        expect(page.locator(expected)).to_be_focused()
    page.keyboard.press("Tab")
    expect(rows(page).first.locator("summary").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows(page).first.locator(".map")).to_be_visible()


def test_a_screen_reader_is_told_what_is_there(page: Page, pictures: list[Path]) -> None:
    drop(page, pictures[0])
    expect(page.get_by_role("button", name="Choose pictures")).to_be_visible()
    expect(page.get_by_role("combobox", name="Look at")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Done: 1 picture")
    expect(page.get_by_role("list", name="Verdicts").get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_role("heading", level=3, name="00.jpg")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_told_from_their_ground(browser: Any, url: str, pictures: list[Path], scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(url)
    page.set_input_files("#files", pictures)
    expect(page.locator(".judged")).to_have_count(20)
    for selector in (
        "body",
        ".lead",
        "#choose",
        "#download",
        ".figures",
        ".real .badge",
        ".synthetic .badge",
        "summary",
        ".notice",
    ):
        ink, ground = page.locator(selector).first.evaluate(
            """(element) => {
                const ink = getComputedStyle(element).color;
                let ground = "rgba(0, 0, 0, 0)";
                for (let e = element; e && ground === "rgba(0, 0, 0, 0)"; e = e.parentElement)
                    ground = getComputedStyle(e).backgroundColor;
                return [ink, ground];
            }"""
        )
        assert contrast(ink, ground) >= 4.5, f"{selector}: {ink} on {ground}"  # WCAG 2, level AA
    context.close()


def test_a_phone_need_not_scroll_sideways(browser: Any, url: str, pictures: list[Path]) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, bypass_csp=True)
    page = context.new_page()
    page.goto(url)
    page.set_input_files("#files", pictures[:2])
    rows(page).first.locator("summary").first.click()
    expect(rows(page).first.locator(".map")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours as `rgb(r, g, b)`."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
