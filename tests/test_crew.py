"""A crew of actors: who gets which item, and what becomes of one that hangs, dies, fails or is not fit.

The machines are made up, each a few threads; `tests/test_cluster.py` has Ray itself.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, ClassVar

import pytest

from rine.cluster import crew
from rine.cluster.actor import Done, Told, Unfit
from rine.cluster.crew import Crew
from rine.cluster.hand import Hand, note


class _Method:
    def __init__(self, call: Callable[..., Future[Any]]) -> None:
        self.remote = call


class Machine:
    """An actor on a machine of this name; `work` is given the machine's name and the item."""

    def __init__(self, host: str, work: Callable[[str, Any], Done], unfit: str = "") -> None:
        self.host, self.work, self.unfit, self.alive = host, work, unfit, True
        self.threads = ThreadPoolExecutor(2)
        self.start = _Method(self._started)
        self.do = _Method(lambda item: self.threads.submit(self._answer, item))

    def _started(self) -> Future[Any]:
        """At once, so that which machine is the first is no chance."""
        ready: Future[Any] = Future()
        ready.set_result(self._answer(None))
        return ready

    def _answer(self, item: bytes | None) -> Told:
        if self.unfit:
            return Told(self.host, 1, 0.0, "unfit", self.unfit, self.host)
        start = time.perf_counter()
        try:
            done = Done(0) if item is None else self.work(self.host, pickle.loads(item))
        except Exception as error:
            return Told(self.host, 1, time.perf_counter() - start, "error", error, self.host)
        if not self.alive:
            raise Ray.exceptions.RayError("the actor died")
        return Told(self.host, 1, time.perf_counter() - start, "done", done, self.host)


class Ray:
    """What a crew asks of Ray."""

    class exceptions:
        class RayError(Exception):
            pass

    ended: ClassVar[list[Machine]] = []
    lost: ClassVar[set[str]] = set()  # machines

    def wait(self, refs: list[Future[Any]], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        wait(refs, timeout=min(timeout, 0.05), return_when=FIRST_COMPLETED)
        return [ref for ref in refs if ref.done()], [ref for ref in refs if not ref.done()]

    def get(self, ref: Future[Any]) -> Any:
        return ref.result()

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": name, "Alive": name not in self.lost} for name in ("a", "b", "spare")]

    def kill(self, machine: Machine) -> None:
        machine.alive = False
        machine.threads.shutdown(wait=False, cancel_futures=True)
        self.ended.append(machine)


class Counted:
    """A bar."""

    def __init__(self) -> None:
        self.n, self.notes = 0.0, []

    def advance(self, n: float = 1, note: str = "") -> None:
        self.n += n
        self.notes.append(note)


def does(host: str, item: int) -> Done:
    return Done(1, value=(host, item))


def of(*machines: Machine, bar: Counted | None = None, items: Any = range(20)) -> Iterator[Any]:
    """What comes of the items; machines are hired in this order."""
    Ray.ended.clear()
    left = iter(machines)
    hired = Crew(Ray(), lambda: next(left), sum(not machine.host.startswith("spare") for machine in machines))
    try:
        for _, done in hired.run(items, bar or Counted()):
            yield done.value
    finally:
        hired.end()


def test_every_item_is_done_once_and_the_actors_are_ended() -> None:
    bar = Counted()
    machines = [Machine(name, does) for name in "abc"]
    assert sorted(item for _, item in of(*machines, bar=bar)) == list(range(20))
    assert bar.n == 20
    assert Ray.ended == machines


def test_an_actor_has_two_items_at_most() -> None:
    gate, pulled = threading.Event(), []

    def items() -> Iterator[int]:
        for i in range(20):
            pulled.append(i)
            yield i

    def slow(host: str, item: int) -> Done:
        gate.wait(0.3)
        return does(host, item)

    results = of(Machine("a", slow), Machine("b", slow), items=items())
    next(results)
    assert len(pulled) <= 6  # four in hand, and those that replaced what is done
    gate.set()
    assert len(list(results)) == 19


def test_one_that_is_not_fit_is_refused_by_name_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(of(Machine("a", does), Machine("b", does, unfit="other versions: torch 1 (the driver has 2)")))
    assert len(found) == 20
    assert "cluster: b is refused: other versions: torch 1" in capsys.readouterr().err


def test_none_that_is_fit_ends_the_run_with_the_reason() -> None:
    with pytest.raises(Unfit, match=r"no actor.*b: no weights"):
        list(of(Machine("b", does, unfit="no weights")))


def test_an_item_that_one_machine_cannot_read_is_done_on_another(capsys: pytest.CaptureFixture[str]) -> None:
    def reads(host: str, item: int) -> Done:
        if (host, item) == ("a", 3):
            raise ValueError("x.png: No such file")
        time.sleep(0.01)
        return does(host, item)

    found = Counter(of(Machine("a", reads), Machine("b", reads), items=[3, *range(4, 20)]))
    assert set(found.values()) == {1}
    assert ("b", 3) in found
    assert sum(host == "a" for host, _ in found) > 1  # it goes on with the rest
    assert "a: x.png: No such file\n  it is tried on another machine" in capsys.readouterr().err


def test_an_item_that_no_machine_can_do_ends_the_run_with_its_error() -> None:
    def reads(host: str, item: int) -> Done:
        if item == 3:
            raise ValueError(f"x.png: No such file on {host}")
        return does(host, item)

    with pytest.raises(ValueError, match=r"x\.png"):
        list(of(Machine("a", reads), Machine("b", reads)))
    assert len(Ray.ended) == 2


def test_a_machine_whose_disk_is_full_gets_no_more() -> None:
    seen: list[str] = []

    def full(host: str, item: int) -> Done:
        seen.append(host)
        if host == "a":
            raise OSError(28, "No space left on device")
        return does(host, item)

    assert {host for host, _ in of(Machine("a", full), Machine("b", full))} == {"b"}
    assert seen.count("a") <= 2
    with pytest.raises(OSError, match="No space"):
        list(of(Machine("a", full)))


def test_an_actor_that_hangs_is_ended_and_its_items_done_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crew, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr(crew, "LEAST_SECONDS", 0.3)
    forever = threading.Event()

    def hangs(host: str, item: int) -> Done:
        if host == "a":
            forever.wait(20)
        time.sleep(0.02)
        return does(host, item)

    found = list(of(Machine("a", hangs), Machine("b", hangs), Machine("spare", hangs), items=range(8)))
    forever.set()
    assert sorted(item for _, item in found) == list(range(8))
    assert "a" not in {host for host, _ in found}
    assert "a#1 has said nothing for" in capsys.readouterr().err


def test_what_a_machine_had_that_is_gone_is_done_elsewhere_though_its_actor_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray restarts the actor where there is a place, which may be nowhere and never."""
    monkeypatch.setattr(crew, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(Ray, "lost", set())
    forever = threading.Event()

    def lost(host: str, item: int) -> Done:
        if host == "a":
            Ray.lost.add("a")
            forever.wait(20)
        time.sleep(0.02)
        return does(host, item)

    found = list(of(Machine("a", lost), Machine("b", lost), Machine("spare", lost), items=range(30)))
    forever.set()
    assert sorted(item for _, item in found) == list(range(30))
    assert "a" not in {host for host, _ in found}
    assert "a#1: its machine is gone" in capsys.readouterr().err


def test_an_actor_that_is_gone_for_good_leaves_its_items_to_others() -> None:
    broken = Machine("a", does)

    def dies(host: str, item: int) -> Done:
        broken.alive = False
        return does(host, item)

    broken.work = dies
    assert {host for host, _ in of(broken, Machine("b", does))} == {"b"}


def test_what_is_said_of_few_and_of_many() -> None:
    def hand(i: int) -> Hand:
        return Hand(None, f"m{i}#1", f"m{i}", "", time.monotonic() - 10, n=100 * (i + 1), waited=0.4 if i == 1 else 0.0)

    few, many = note([hand(0), hand(1)], 1, "views"), note([hand(i) for i in range(5)], 0, "views")
    assert few.startswith("1 actors start, or wait for a place; m0#1 10.0, m1#1 20.0 views/s; 1 of them wait for files")
    assert many.startswith("5 actors, 10.0 (m0#1) to 50.0 views/s each; 1 of them wait for files, at most 40%")
