"""What the page shows when things happen out of turn: nobody's time decides here, answers are held back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny_model
from rine import Detector

pytest.importorskip("fastapi", reason="rine[serve] is not installed")
pytest.importorskip("uvicorn", reason="rine[serve] is not installed")

from browser import launched, playwright
from rine.serve.run import listen
from rine.serve.settings import ServeSettings
from served import served, tiny_detector

Page = Any
expect = playwright.expect

# hold("predict") keeps what is asked for; release() lets all of it go and comes when all of it has been dealt with
HELD = """
    const asked = fetch, going = []
    let kind = "nothing", gate = Promise.resolve(), open = () => {}
    hold = (what) => { kind = what; gate = new Promise((done) => { open = done }) }
    release = async () => { kind = "nothing"; open(); await Promise.allSettled(going); await new Promise(setTimeout) }
    fetch = (path, ...how) => {
        const answer = path.startsWith(kind) ? gate.then(() => asked(path, ...how)) : asked(path, ...how)
        going.push(answer.then((found) => found.clone().text()).catch(() => {}))
        return answer
    }
"""


detector = tiny_detector


@pytest.fixture(scope="module")
def context(detector: Detector) -> Iterator[Any]:
    with served(detector, ServeSettings()) as url, launched() as browser:
        context = browser.new_context(base_url=url)
        context.set_default_timeout(20_000)
        context.add_init_script(HELD)
        yield context


@pytest.fixture
def page(context: Any) -> Iterator[Page]:
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto("/")
    yield page
    page.close()
    assert failures == []


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return tiny_model.write_pictures(tmp_path / "pictures", 3)


def rows(page: Page) -> Any:
    return page.locator("#results > li")


def status(page: Page) -> Any:
    return page.locator("#status")


def choose(page: Page, *pictures: Path) -> None:
    page.set_input_files("#files", pictures)


def test_a_crop_rule_that_goes_to_and_fro_counts_each_picture_once(
    page: Page, pictures: list[Path], detector: Detector
) -> None:
    page.evaluate("hold('predict')")
    choose(page, *pictures)
    page.select_option("#crops", "grid")
    page.select_option("#crops", "centre")
    page.evaluate("release()")
    expect(page.locator(".judged")).to_have_count(3)
    page.evaluate("release()")
    expect(page.locator("#work")).to_be_hidden()
    assert rows(page).locator(".badge").all_inner_texts() == [v.verdict for v in detector(pictures)]
    expect(status(page)).to_contain_text("Done: 3 pictures")


def test_nothing_of_the_old_rule_is_shown_under_the_new_one(page: Page, pictures: list[Path]) -> None:
    choose(page, pictures[0])
    expect(rows(page).first.locator(".figures")).to_contain_text("probability")
    page.evaluate("hold('explain')")
    rows(page).first.locator("summary").first.click()
    expect(status(page)).to_have_text("Gathering evidence")
    page.evaluate("release().then(() => hold('predict'))")
    page.select_option("#crops", "grid")
    expect(rows(page).first.locator(".badge")).to_have_text("looking")
    expect(rows(page).first.locator(".figures")).to_be_empty()
    expect(rows(page).first.locator("details.outer")).to_be_hidden()
    page.evaluate("release()")
    expect(page.locator(".judged")).to_have_count(1)
    expect(rows(page).first.locator(".evidence")).to_be_empty()


@pytest.mark.parametrize("end", ["rule", "clear"])
def test_evidence_that_comes_too_late_is_nobodys(page: Page, pictures: list[Path], end: str) -> None:
    choose(page, pictures[0])
    expect(page.locator(".judged")).to_have_count(1)
    page.evaluate("hold('explain')")
    rows(page).first.locator("summary").first.click()
    expect(status(page)).to_have_text("Gathering evidence")
    if end == "clear":
        page.click("#clear")
    else:
        page.select_option("#crops", "grid")
        expect(page.locator(".judged")).to_have_count(1)
    said = status(page).text_content()
    page.evaluate("release()")
    assert status(page).text_content() == said
    assert page.locator(".evidence *").count() == 0


def test_a_picture_that_is_gone_is_not_the_servers_fault(page: Page, pictures: list[Path]) -> None:
    page.evaluate("hold('predict')")
    choose(page, pictures[0])
    expect(rows(page).first.locator(".badge")).to_have_text("looking")
    pictures[0].unlink()
    page.evaluate("release()")
    expect(rows(page).first.locator(".figures")).to_have_text("it cannot be read any more: it was changed or removed")


def test_a_server_that_did_not_say_what_it_is_is_asked_again(page: Page, pictures: list[Path]) -> None:
    page.route("**/model", lambda route: route.abort(), times=1)
    page.reload()
    expect(page.locator("#limits")).to_contain_text("the server does not answer")
    choose(page, pictures[0])
    expect(rows(page).first.locator(".figures")).to_contain_text("probability")
    expect(page.locator("#limits")).to_contain_text("megapixels each")


def test_a_server_that_is_started_again_with_another_model_judges_all_again(
    page: Page, pictures: list[Path], detector: Detector, tmp_path: Path
) -> None:
    other = Detector.load(tiny_model.store(tmp_path / "other.safetensors", name="other", seed=3), device="cpu")
    with listen(0) as port:
        with served(detector, ServeSettings(), port) as address:
            page.goto(address)
            choose(page, *pictures[:2])
            expect(page.locator(".judged")).to_have_count(2)
        with served(other, ServeSettings(), port):
            choose(page, pictures[2])
            expect(page.locator("#model")).to_contain_text("Model other")
            expect(page.locator("#work")).to_be_hidden()
    verdicts = other(pictures)
    assert [v.logit for v in verdicts] != [v.logit for v in detector(pictures)]
    shown = [f"probability of being synthetic {100 * (v.probability or 0):.1f} %" for v in verdicts]
    assert rows(page).locator(".figures").all_inner_texts() == shown
