"""Portable arithmetic: set before the libraries are loaded, whatever the environment says, or said not to be had."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rine import arithmetic, device, params
from rine.encoder import load
from tiny_model import ENCODER

MODE = "from rine import arithmetic; print(arithmetic.mode())"
SEEN = f"import torch; print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()); {MODE}"


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if key not in arithmetic.variables()}
    return subprocess.run(
        [sys.executable, "-c", program], env=plain | environment, capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("environment", [{}, {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"}])
def test_it_holds_whatever_the_environment_says(environment: dict[str, str]) -> None:
    done = python(f"from rine import arithmetic; arithmetic.use('portable'); {SEEN}", **environment)
    assert done.stdout.split() == ["AVX2", "1", "portable"]
    assert not done.stderr


def test_fast_sets_nothing() -> None:
    done = python(f"from rine import arithmetic; arithmetic.use('fast'); {SEEN}", ATEN_CPU_CAPABILITY="default")
    assert done.stdout.split()[::2] == ["DEFAULT", "fast"]


def test_too_late_is_said_with_what_to_do() -> None:
    done = python(f"import numpy; from rine import arithmetic; arithmetic.use('portable'); {MODE}")
    assert done.stdout.split() == ["fast"]
    assert "after numpy had been imported" in done.stderr
    assert "rine.arithmetic.use('portable') before" in done.stderr


def test_worker_processes_inherit_it() -> None:
    program = (
        "from rine import arithmetic; arithmetic.use('portable'); import subprocess, sys; "
        f"subprocess.run([sys.executable, '-c', {SEEN!r}], check=True)"
    )
    assert python(program).stdout.split()[:2] == ["AVX2", "1"]


@pytest.fixture
def another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_mode", arithmetic.mode())  # put back afterwards
    monkeypatch.setattr(arithmetic, "supported", lambda: False)


@pytest.mark.usefixtures("another_machine")
def test_a_machine_that_cannot_says_so() -> None:
    with pytest.warns(RuntimeWarning, match="needs Linux on an x86-64 processor with AVX2"):
        arithmetic.use("portable")
    assert arithmetic.mode() == "fast"


@pytest.mark.usefixtures("another_machine")
def test_it_is_part_of_what_a_token_is() -> None:
    described = []
    for mode in ("portable", "fast"):
        arithmetic._mode = mode
        described.append(load(ENCODER, "cpu").describe())
    assert [one.pop("arithmetic") for one in described] == ["portable", "fast"]
    assert described[0] == described[1]  # the weights too


@pytest.mark.skipif(not arithmetic.supported(), reason="portable arithmetic needs x86-64 with AVX2")
def test_the_device_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert device.choose("auto") == "cpu"


@pytest.mark.parametrize("change", [{"device": "cuda"}, {"precision": "fp16"}])
def test_a_study_that_asks_for_both_is_refused(change: dict[str, str]) -> None:
    runtime = {"arithmetic": "portable", "device": "auto", "workers": 0, "batch_size": 1, "precision": "auto"}
    with pytest.raises(params.ValidationError, match="promises the same bits for device cpu"):
        params.TypeAdapter(params.RuntimeConfig).validate_python(runtime | change)
