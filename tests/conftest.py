"""What several test files share, and the arithmetic whose numbers are the same on every machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from rine import arithmetic

if arithmetic.supported():
    arithmetic.use("portable")  # before anything here imports NumPy

from small_study import SmallStudy, run_study

# a shell that starts the tests in the background has them, and all that they start, ignore Ctrl+C
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def portable() -> Iterator[None]:
    """A command that a test ran in this process may have asked for another arithmetic."""
    yield
    if arithmetic.supported():
        arithmetic.use("portable")


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A whole study, run once for all tests; they only read it."""
    return run_study(tmp_path_factory.mktemp("study"))
