"""Each limit of `rine serve` is met: the answer says so, and the server goes on as before."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rine import Detector

pytest.importorskip("fastapi", reason="rine[serve] is not installed")
pytest.importorskip("uvicorn", reason="rine[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from rine.serve import app, limits, run, worker  # noqa: E402
from rine.serve.settings import SHUTDOWN, ServeSettings  # noqa: E402
from served import Slow, connected, png, post, raw, served, small_server, tiny_detector, until, waiting  # noqa: E402  needs what was just asked for

detector, url = tiny_detector, small_server


def test_every_limit_has_its_number_in_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "serve.md").read_text()
    table = page[page.index("## Limits") : page.index("## Under load")]
    said = dict(re.findall(r"\| `--[a-z-]+` \| `RINE_SERVE_(\w+)` \| ([\d,.]+(?: million)?)", table))
    numbers = {name.lower(): float(said.replace(" million", "e6").replace(",", "")) for name, said in said.items()}
    assert numbers == {field.name: field.default for field in fields(ServeSettings)}
    fixed = {app.LONGEST_NAME, limits.DRAINED, run.BACKLOG, run.HEADERS >> 10, worker.LARGE, SHUTDOWN}
    assert fixed <= {int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*\b", table)}


def test_what_is_too_large_is_a_413_whatever_its_header_says(url: str) -> None:
    big = bytes(1_100_000)
    assert post(url, ("big.jpg", big)).status_code == 413

    def chunks() -> Iterator[bytes]:  # no Content-Length
        yield b"--x\r\nContent-Disposition: form-data; name=files; filename=a\r\n\r\n"
        for _ in range(12):
            yield bytes(100_000)
        yield b"\r\n--x--\r\n"

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{url}/predict", content=chunks(), headers=kind)
    assert answer.status_code == 413
    assert "1 MB" in answer.json()["detail"]
    answer = post(url, *[("a.png", png(1))] * 6)
    assert answer.status_code == 413
    assert "6 files" in answer.json()["detail"]
    assert post(url, ("a.png", png(1))).status_code == 200


def test_so_much_of_what_is_too_large_is_read_and_no_more(url: str) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    with connected(url) as client:  # which waits for an answer before it sends anything
        client.sendall(head % (limits.DRAINED * 1_000_000))
        assert b" 413 " in client.recv(1000)
    with connected(url) as client:
        client.sendall(head % (limits.DRAINED * 1_000_000 - 1))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1000)
        client.settimeout(20)
        client.sendall(bytes(limits.DRAINED * 1_000_000 - 1))
        assert b" 413 " in client.recv(1000)


def test_a_form_of_too_many_parts_is_a_400(url: str) -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"
    assert raw(url, part * 1001 + b"--x--\r\n").status_code == 400


def test_a_picture_that_takes_too_long_is_named_and_frees_its_worker(detector: Detector) -> None:
    slow = b"P3 700 700 255\n" + b"1 " * 1_470_000  # numbers in words: seconds of decoding
    with served(detector, ServeSettings(picture_seconds=0.2)) as url:
        answer = post(url, ("slow.ppm", slow), ("a.png", png(1)))
        assert answer.status_code == 200
        rows = answer.json()["results"]
        assert rows[0]["error"] == "not read within 0.2 s"
        assert rows[1]["error"] is None
        assert httpx.get(f"{url}/health").json()["waiting"] == 0


def test_a_form_s_text_and_a_request_s_headers_have_an_end(url: str, detector: Detector) -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n"
    with served(detector, ServeSettings(upload_mb=2)) as larger:
        answer = raw(larger, part + bytes((1 << 20) + 1) + b"\r\n--x--\r\n")
    assert (answer.status_code, "1024KB" in answer.text) == (400, True)
    for n, end, said in ((run.HEADERS - 100, b"\r\n\r\n", b" 200 "), (run.HEADERS, b"", b" 400 ")):
        with connected(url) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * n)
            time.sleep(0.1)  # what comes at once is read as a whole
            client.sendall(end)
            assert said in client.recv(1000)


@pytest.mark.parametrize(("cells", "status"), [(0, 422), (1, 200), (12, 200), (13, 422)])
def test_a_map_has_one_to_twelve_crops_a_side(url: str, cells: int, status: int) -> None:
    answer = post(url, ("a.png", png(1)), path="explain", field="file", params={"cells": cells})
    assert answer.status_code == status


def test_of_a_long_name_so_many_letters_come_back(url: str) -> None:
    [row] = post(url, ("n" * 300, png(1))).json()["results"]
    assert row["path"] == "n" * app.LONGEST_NAME


def test_a_full_queue_is_a_429_and_what_waits_is_judged(detector: Detector) -> None:
    slow = Slow(detector)
    with served(slow, ServeSettings(queue=3, seconds=30)) as url, ThreadPoolExecutor(8) as pool:  # type: ignore[arg-type]
        first = [pool.submit(post, url, ("a.png", png(1))) for _ in range(3)]
        until(lambda: waiting(url) == 3)
        refused = post(url, ("a.png", png(1)))
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        slow.go.set()
        assert [answer.result().status_code for answer in first] == [200] * 3
        assert httpx.get(f"{url}/health").json()["waiting"] == 0
        assert post(url, ("a.png", png(1))).status_code == 200


def test_of_pictures_whose_evidence_is_asked_for_two_are_in_memory(detector: Detector) -> None:
    class Counts(Slow):
        decoded = 0

        def pixels(self, image: Any, limits: Any = None) -> Any:
            self.decoded += not isinstance(image, np.ndarray)
            return self.detector.pixels(image, limits)

        def read(self, *arguments: Any, **named: Any) -> Any:
            self.go.wait(20)
            return self.detector.read(*arguments, **named)

    counts = Counts(detector)
    ask: dict[str, Any] = {"path": "explain", "field": "file", "params": {"cells": 1}}
    with served(counts, ServeSettings(seconds=30)) as url, ThreadPoolExecutor(5) as pool:  # type: ignore[arg-type]
        asked = [pool.submit(post, url, ("a.png", png(1)), **ask) for _ in range(5)]
        until(lambda: waiting(url) == 5 and counts.decoded >= worker.LARGE)
        time.sleep(0.2)
        assert counts.decoded == worker.LARGE
        counts.go.set()
        assert [answer.result().status_code for answer in asked] == [200] * 5


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"upload_mb": 0}, {"queue": 0}, {"seconds": -1}, {"pixels": 0}, {"connections": 0}, {"uploads": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ServeSettings(**wrong)  # type: ignore[arg-type]
