"""The API answers every request: with a row for each file, or with a 4xx that says which limit it met."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tiny_model
from rine import Detector
from rine.detector.explain import explain

pytest.importorskip("fastapi", reason="rine[serve] is not installed")
pytest.importorskip("uvicorn", reason="rine[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from rine.serve.answers import identity  # noqa: E402
from rine.serve.app import ASSETS  # noqa: E402
from rine.serve.run import listen  # noqa: E402
from rine.serve.settings import ServeSettings  # noqa: E402
from served import Slow, png, post, raw, served, small_server, tiny_detector, until, waiting  # noqa: E402  needs what was just asked for

detector, url = tiny_detector, small_server


def test_each_file_has_its_row_as_the_detector_gives_it(url: str, detector: Detector) -> None:
    answer = post(url, ("a.png", png(1)), ("b.txt", b"no picture"), ("c.png", png(2)), params={"crops": "ten"})
    assert answer.status_code == 200
    rows = answer.json()["results"]
    assert [row["path"] for row in rows] == ["a.png", "b.txt", "c.png"]
    assert "not a picture" in rows[1]["error"]
    for row, seed in ((rows[0], 1), (rows[2], 2)):
        [expected] = detector(png(seed), crops="ten")
        assert row["verdict"] == expected.verdict
        assert row["logit"] == pytest.approx(expected.logit, rel=1e-5)
        assert row["crops"] == "ten"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"%PDF-1.7", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (png(1)[:2000], "cut short"),
        (tiny_model.huge_png(30_000, 30_000), "pixels"),
        (tiny_model.huge_png(1001, 1000), "1001 x 1000 pixels"),
    ],
)
def test_a_request_with_nothing_to_judge_is_a_422_with_the_reason(url: str, content: bytes, reason: str) -> None:
    answer = post(url, ("x.jpg", content))
    assert answer.status_code == 422
    assert reason in answer.json()["results"][0]["error"]
    assert answer.json()["results"][0]["verdict"] is None
    answer = post(url, ("x.jpg", content), path="explain", field="file")
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


def test_a_request_that_is_none_is_a_4xx(url: str) -> None:
    assert httpx.post(f"{url}/predict", content=b"x").status_code == 422
    assert (
        httpx.post(f"{url}/predict", content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    )
    assert post(url, ("a.png", png(1)), params={"crops": "all"}).status_code == 422
    assert httpx.get(f"{url}/predict").status_code == 405
    assert httpx.get(f"{url}/../../etc/passwd").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        b"filename*=UTF-8''%ff%fe.png",
        b"filename*=nonsense''x",
        b'filename="\xff\xfe\xed\xa0\x80.png"',
        b'filename="' + b"n" * 3000 + b'"',
        b'filename="../../etc/passwd"',
        b'filename=""',
    ],
)
def test_whatever_a_file_is_called_no_bytes_of_it_come_back(url: str, name: bytes) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=files; " + name + b"\r\n\r\nSECRETBYTES\xff\r\n--x--\r\n"
    answer = raw(url, body)
    assert 400 <= answer.status_code < 500
    assert b"SECRET" not in answer.content
    assert len(answer.content) < 1000


def test_a_key_that_stands_twice_is_refused(url: str) -> None:
    answer = post(url, ("a.png", png(1)), params=[("crops", "ten"), ("crops", "centre")])
    assert answer.status_code == 400
    assert "twice" in answer.json()["detail"]
    answer = post(url, ("a.png", png(1)), params={"crops": "all"})
    assert answer.status_code == 422
    assert "crops" in answer.json()["detail"]


def test_pictures_whose_clients_left_are_not_judged(detector: Detector) -> None:
    slow = Slow(detector)
    with served(slow, ServeSettings(seconds=0.5)) as url:  # type: ignore[arg-type]
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: post(url, ("a.png", png(1))).status_code, range(12)))
        assert answers == [408] * 12
        slow.go.set()
        until(lambda: waiting(url) == 0)
        assert slow.judged < 12
        until(lambda: post(url, ("a.png", png(1))).status_code == 200)  # half a second is little on a busy machine


def test_an_error_of_the_model_is_that_pictures_and_poisons_no_batch(detector: Detector) -> None:
    class Fails(Slow):
        def judge(self, loaded: Any, crops: Any = "centre") -> Any:
            self.go.wait(20)
            if any(picture.name == "bad" for picture in loaded):
                raise RuntimeError("out of memory")
            return self.detector.judge(loaded, crops)

    fails = Fails(detector)
    with served(fails, ServeSettings(seconds=30)) as url, ThreadPoolExecutor(6) as pool:  # type: ignore[arg-type]
        answers = [pool.submit(post, url, (name, png(1))) for name in ("a", "b", "bad", "c", "d")]
        until(lambda: waiting(url) == 5)
        fails.go.set()
        assert [answer.result().status_code for answer in answers] == [200, 200, 422, 200, 200]
        assert "RuntimeError" in answers[2].result().json()["results"][0]["error"]


def test_fifty_clients_at_once_each_get_their_own_answer(url: str, detector: Detector) -> None:
    expected = {seed: detector(png(seed))[0].logit for seed in range(50)}

    def client(seed: int) -> list[float]:
        with httpx.Client(timeout=60) as session:
            answers = [session.post(f"{url}/predict", files={"files": (f"{seed}", png(seed))}) for _ in range(4)]
        assert all(answer.status_code == 200 and answer.json()["results"][0]["path"] == str(seed) for answer in answers)
        return [answer.json()["results"][0]["logit"] for answer in answers]

    with ThreadPoolExecutor(50) as pool:
        for seed, logits in enumerate(pool.map(client, range(50))):
            assert logits == pytest.approx([expected[seed]] * 4, rel=1e-4)


def test_evidence_is_that_of_explain(url: str, detector: Detector) -> None:
    answer = post(url, ("a.png", png(1, 100)), path="explain", field="file", params={"cells": 3})
    found = answer.json()
    assert answer.status_code == 200
    assert len(found["map"]) == 9
    assert len(found["blocks"]) == 3
    assert found["stability"] == f"stable in {found['same']} of {len(found['changes'])}"
    assert found["verdict"]["path"] == "a.png"
    assert list(found) == list(explain(detector, png(1, 100), cells=3).as_dict())  # what the command writes


def test_the_api_describes_itself_and_its_model(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    assert set(paths) == {"/predict", "/explain", "/health", "/model"}
    assert {"200", "408", "413", "422", "429"} <= set(paths["/predict"]["post"]["responses"])
    model = httpx.get(f"{url}/model").json()
    assert (model["name"], model["encoder"]) == ("four_class", "ViT-tiny")
    assert model["limits"]["upload_mb"] == 1
    assert httpx.get(f"{url}/health").json()["status"] == "ok"


def test_every_answer_says_whose_it_is(url: str, detector: Detector) -> None:
    same = identity(detector, ServeSettings(upload_mb=1, files=5, seconds=20))
    assert {httpx.get(f"{url}/{path}").headers["X-Rine-Model"] for path in ("", "model", "nothing")} == {same}


def test_the_page_asks_nothing_of_any_other_machine(url: str) -> None:
    for name in ASSETS:
        answer = httpx.get(f"{url}/{name.replace('page.html', '')}")
        assert answer.status_code == 200
        addresses = set(re.findall(r"https?:\\?/\\?/[^\s'\"]+", answer.text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_other_names_and_other_sites_get_nothing(url: str) -> None:
    assert httpx.get(f"{url}/model", headers={"Host": "rebound.example"}).status_code == 400
    other = {"Sec-Fetch-Site": "cross-site", "Origin": "https://other.example"}
    assert post(url, ("a.png", png(1)), headers=other).status_code == 403


def test_a_port_that_is_taken_says_what_to_do() -> None:
    with listen(0) as taken, pytest.raises(OSError, match="--port"):
        listen(taken.getsockname()[1])


def test_the_files_of_the_page_are_in_the_package() -> None:
    import rine.serve

    folder = Path(rine.serve.__file__).parent
    assert all((folder / name).is_file() for name in ASSETS)
