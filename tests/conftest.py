"""What several test files share, and the arithmetic whose numbers are the same on every machine."""

from __future__ import annotations

import pytest

from rine import arithmetic

arithmetic.use("portable")  # before anything here imports NumPy

from small_study import SmallStudy, run_study  # noqa: E402


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A whole study, run once for all tests; they only read it."""
    return run_study(tmp_path_factory.mktemp("study"))
