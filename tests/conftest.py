"""What several test files share."""

from __future__ import annotations

import pytest

from small_study import SmallStudy, run_study


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A whole study, run once for all tests; they only read it."""
    return run_study(tmp_path_factory.mktemp("study"))
