"""Units on the actors of a Ray cluster: the same bytes as in one process, whatever comes to grief.

Ray is started once for all of them: it takes 6 seconds, and every actor as long as PyTorch takes to be imported.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import psutil
import pytest
from PIL import Image

from rine import arithmetic
from rine.caching import by_actors, views
from rine.caching.decode import Source
from rine.caching.encode import PicturesLost
from rine.caching.on_actor import Encoding, Errand, Work
from rine.caching.plan import plan
from rine.caching.run import looked_up
from rine.caching.store import Store
from rine.cluster import Unfit, actor, connection
from rine.cluster.crew import Crew
from rine.cluster.spread import Wanted, _places, crew_of
from rine.dataset import on_actors
from rine.dataset.reading import examined
from rine.features.table import read
from rine.params import ParamsError
from test_cache import cache, files, parsed, write_index
from test_crew import Machine
from test_crew import Ray as Threads

if not importlib.util.find_spec("ray"):  # not imported: on what it listens is settled then
    pytest.skip("rine[ray] is not installed", allow_module_level=True)

KILLS = 10
TRAIN = {("gan", 0, "train"): 9, ("gan", 1, "train"): 9, ("gan", 1, "val"): 3}
VIEWS = 4 * 18 + 3
handled: list[int] = []


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    """One for two actors, on however many cores; SIGTERM is answered by us."""
    before = signal.signal(signal.SIGTERM, lambda number, _: handled.append(number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "usable_cores", lambda: 2)
        with connection.connected("local") as (ray, _):
            yield ray
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose views take a while, with their index and what one process makes of them."""
    root = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    for (source, label, split), n in TRAIN.items():
        for i in range(n):
            file = root / "data" / f"{source}/{label}/{split}/{i:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (700, 700, 3), dtype=np.uint8)).save(file, compress_level=1)
    write_index(root, "train", TRAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINE_STORE", str(root / "store"))
        assert run(root, "alone").endswith(f"encoded {VIEWS}, reused 0")
    return root


@pytest.fixture
def store(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store."""
    monkeypatch.setenv("RINE_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def study(root: Path, **runtime: object):
    changes = {f"runtime__{key}": value for key, value in runtime.items()}
    return parsed(root, augmentation__views=4, augmentation__blur_p=1.0, **changes)


def run(root: Path, out: str, **runtime: object) -> str:
    (root / out).mkdir(exist_ok=True)
    if not (root / out / "index").exists():
        (root / out / "index").symlink_to(root / "artifacts" / "index")
    return cache("tiny-train", study(root, **runtime), root / out)


def made(root: Path, out: str) -> dict[str, bytes]:
    return files(root / out / "features")


def actors() -> list[psutil.Process]:
    """The processes of the actors."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Actor"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_an_actor_leaves_the_bytes_of_one_process(ray, pictures: Path, store: Path) -> None:
    assert run(pictures, "by one", cluster="local", actors=1).endswith(f"encoded {VIEWS}, reused 0")
    assert made(pictures, "by one") == made(pictures, "alone")
    assert not list(store.rglob(".*"))
    assert run(pictures, "by one", cluster="local", actors=1).endswith(f"encoded 0, reused {VIEWS}")


def test_four_at_once_leave_the_bytes_of_one_process(pictures: Path, store: Path, monkeypatch) -> None:
    """In threads of this process: four of Ray's actors would import PyTorch for half of this file's time."""

    def spread(address, wanted, items, bar):
        work = [wanted.make() for _ in range(4)]
        machines = iter([Machine(host, lambda _, item, do=do: do(item)) for host, do in zip("aabb", work, strict=True)])
        crew = Crew(Threads(), lambda: next(machines), 4, wanted.unit, wanted.weigh)
        try:
            yield from crew.run(items, bar)
        finally:
            crew.end()

    monkeypatch.setattr(by_actors, "spread", spread)
    assert run(pictures, "by four", cluster="local", actors=4, workers=0).endswith(f"encoded {VIEWS}, reused 0")
    assert made(pictures, "by four") == made(pictures, "alone")
    assert not list(store.rglob(".*"))


def test_actors_that_are_killed_at_random_leave_the_same_bytes(ray, pictures, store: Path, monkeypatch) -> None:
    """Ten times one of two, whatever it is at, from the first stored shard on; the last unit waits for the tenth."""
    rng, kills, ended = np.random.default_rng(0), [], threading.Event()

    def kill() -> None:
        while len(kills) < KILLS and not ended.wait(rng.uniform(0.0, 0.2)):
            there = [process.pid for process in actors() if process.pid not in kills]
            if there and list(store.rglob("*.safetensors")):
                kills.append(there[rng.integers(len(there))])
                os.kill(kills[-1], signal.SIGKILL)

    def held_back(units, *arguments):
        for given, work in enumerate(looked_up(units, *arguments), start=1):
            while given == len(units) and len(kills) < KILLS and killer.is_alive():
                time.sleep(0.01)
            yield work

    monkeypatch.setattr(by_actors, "looked_up", held_back)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run(pictures, "killed", cluster="local", actors=2, workers=0)
    finally:
        ended.set()
        killer.join()
    assert len(kills) == KILLS
    assert made(pictures, "killed") == made(pictures, "alone")


def test_an_interrupt_ends_the_actors_and_keeps_what_is_done(
    ray, pictures: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("rine.progress._Lines.advance", lambda *of: of[1] and signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run(pictures, "interrupted", cluster="local", actors=1, workers=0)  # with a unit that has come back
    until = time.monotonic() + 20
    while actors() and time.monotonic() < until:
        time.sleep(0.05)
    assert not actors()
    line = run(pictures, "interrupted")  # without a cluster: it is one store
    assert int(line.rpartition("reused ")[2]) > 0
    assert made(pictures, "interrupted") == made(pictures, "alone")


def test_actors_of_another_version_are_refused_by_name(ray, pictures, store, monkeypatch, capsys) -> None:
    ours = actor.libraries()
    monkeypatch.setattr(
        sys.modules["rine.cluster.spread"], "libraries", lambda: ours | {"torch": "1.0", "rine": "another"}
    )
    with pytest.raises(Unfit, match=f"no actor.*{os.uname().nodename}: other versions: rine .*the driver has 1.0"):
        run(pictures, "refused", cluster="local", actors=2)
    assert capsys.readouterr().err.count("is refused") == 2


def test_prepare_finds_the_same_by_actors(ray, pictures: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(on_actors, "TOGETHER", 5)
    (pictures / "data" / "broken.png").write_bytes(b"no picture")
    paths = sorted(file.relative_to(pictures / "data").as_posix() for file in (pictures / "data").rglob("*.png"))
    runtime = study(pictures, cluster="local", actors=2).runtime
    both = [
        [(path, stat.st_mtime_ns, fact) for piece in pieces for path, stat, fact in piece]
        for pieces in (
            on_actors.examined_by(runtime, pictures / "data", paths, 10**6, None),
            examined(pictures / "data", paths, 10**6, 0),
        )
    ]
    assert both[0] == both[1]
    assert [path for path, _, _ in both[0]] == paths
    with pytest.raises(Unfit, match="does not see the pictures"):
        on_actors.Looking(tmp_path, 10**6, (paths[0], 1))


@pytest.fixture
def errand(pictures: Path, store: Path) -> Errand:
    """What an actor is told, with a store whose token it sees."""
    tiny = study(pictures)
    described, shape = by_actors.describe(tiny.encoders["tiny"], tiny.runtime)
    folder = Store.open(store, described, {}, shape).folder
    (folder / "token").write_text("content")
    source = Source(pictures / "data", views.recipe("train", tiny, "tiny"), 10**6)
    row = read(pictures / "artifacts" / "index" / "train.csv").iloc[0]
    picture = (row["path"], row["digest"])
    stores = dict.fromkeys(("augment", "centre"), folder)
    encoder = tiny.encoders["tiny"]
    return Errand(encoder, described, shape, tiny.runtime, source, stores, (folder / "token", "content"), picture)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: {"described": it.described | {"weights": "0f"}}, r"another encoder: weights .*the driver has '0f'"),
        (lambda it: {"described": it.described | {"arithmetic": "fast"}}, "another encoder: arithmetic 'portable'"),
        (lambda it: {"token": (it.token[0].with_name("x"), "content")}, "the store.*No such file.*RINE_STORE"),
        (lambda it: {"token": (it.token[0], "of another store")}, "does not see the store"),
        (lambda it: {"source": replace(it.source, root=Path("/nowhere"))}, "does not see the pictures.*No such file"),
        (lambda it: {"picture": (it.picture[0], "0f")}, "does not see the pictures.*another picture"),
        (lambda it: {"config": replace(it.config, pretrained="/nowhere/weights.pt")}, "/nowhere/weights.pt"),
    ],
)
def test_an_actor_that_would_make_something_else_does_not_work(errand: Errand, change, words: str) -> None:
    with pytest.raises((Unfit, ValueError, OSError), match=words):
        Encoding(replace(errand, **change(errand)))


def test_an_actor_goes_on_from_the_parts_of_the_one_before_it(pictures: Path, errand: Errand, monkeypatch) -> None:
    """The driver, which looked before those were there, knows nothing of them."""
    from rine.caching import draft

    tiny = study(pictures)
    table = read(pictures / "artifacts" / "index" / "train.csv")
    rows = views.expand(table, views.recipe("train", tiny, "tiny"))
    unit = next(unit for unit in plan(rows, 8).units.values() if unit.family == "augment")
    monkeypatch.setattr(draft, "SECONDS_BETWEEN_PARTS", 0.0)
    gone = pictures / "data" / unit.paths[-1]
    gone.rename(pictures / "away.png")
    try:
        with pytest.raises(PicturesLost, match=gone.name):
            Encoding(errand)(Work(unit, {}))
    finally:
        (pictures / "away.png").rename(gone)
    assert Encoding(errand)(Work(unit, {})).value == 4  # views of one picture of two
    assert Encoding(errand)(Work(unit, {})).value == 0


def test_rays_processes_listen_here_alone_and_leave_signals_to_us(ray) -> None:
    started = psutil.Process().children(recursive=True)
    listening: set[str] = set()
    for process in (psutil.Process(), *started):
        with suppress(psutil.NoSuchProcess):  # Ray starts some for a moment
            places = process.net_connections("inet")
            listening |= {place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN}
    assert {ip.rpartition(":")[2] for ip in listening} == {"127.0.0.1"}
    groups = set()
    for process in started:
        with suppress(psutil.NoSuchProcess):
            if process.name() in {"gcs_server", "raylet"}:
                groups.add(os.getpgid(process.pid))
    assert groups
    assert os.getpgrp() not in groups
    assert handled == []
    signal.raise_signal(signal.SIGTERM)
    assert handled == [signal.SIGTERM]


def test_a_cluster_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConnectionError, match=r"runtime\.cluster = '127\.0\.0\.1:9' cannot be reached.*ray start.*RAY_AUTH_MODE"
    ):
        connection._connect(SimpleNamespace(exceptions=SimpleNamespace(RayError=OSError)), "127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'rine\[ray\]'"):
        connection._ray("auto")


def test_the_actors_of_a_cluster_follow_from_what_its_machines_have() -> None:
    def places(there: list[dict[str, float]], gpu: bool = False, n: int | None = None) -> tuple[int, int]:
        return _places(there, Wanted(list, gpu, n), "auto")

    large, small = {"CPU": 64.0, "GPU": 8.0}, {"CPU": 12.0, "GPU": 2.0}
    assert places([large, small, {"CPU": 4.0}], gpu=True) == (10, 6)
    assert places([large], gpu=True, n=4) == (4, 8)
    assert places([{"CPU": 16.0}, {"CPU": 8.0}]) == (2, 8)
    assert places([{"CPU": 16.0}, {"CPU": 8.0}], n=3) == (3, 8)
    assert places([{"CPU": 2.0}], n=4) == (2, 1)
    with pytest.raises(ValueError, match="has no GPU; say device: cpu"):
        places([{"CPU": 4.0}], gpu=True)


def test_actors_of_a_named_cluster_are_started_with_the_drivers_arithmetic() -> None:
    """Its processes were there before, with an environment of their own, and import NumPy before they are asked."""
    ray = MagicMock()
    ray.nodes.return_value = [{"Alive": True, "Resources": {"CPU": 1.0}}]
    crew_of(ray, "head:6379", Wanted(list))
    assert ray.remote.call_args.kwargs["runtime_env"] == {"env_vars": arithmetic.variables()}
    crew_of(ray, "local", Wanted(list))
    assert "runtime_env" not in ray.remote.call_args.kwargs


@pytest.mark.parametrize("name", ["", "somewhere", "ray://head:10001", "head:"])
def test_a_cluster_is_an_address(pictures: Path, name: str) -> None:
    with pytest.raises(ParamsError, match=r"runtime\.cluster"):
        study(pictures, cluster=name)


def test_naming_a_cluster_reruns_nothing() -> None:
    from graph import STAGES

    listed = [str(key) for body in STAGES.values() for key in body.get("do", body).get("params", [])]
    assert not [key for key in listed if "cluster" in key or "actors" in key or key == "runtime"]
