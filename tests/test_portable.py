"""What is computed has the bits that docs/reproducibility.md says it has on every machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rine import arithmetic
from rine.commands.verify import why_not_bytes

ROOT = Path(__file__).parents[1]


def test_digests_are_those_of_other_machines() -> None:
    if reasons := list(why_not_bytes(arithmetic.mode(), ROOT / "requirements.lock")):
        pytest.skip(f"bytes are not promised here: {'; '.join(reasons)}")
    from benchmarks.portable import digests

    text = (ROOT / "docs" / "reproducibility.md").read_text(encoding="utf-8")
    expected = dict(re.findall(r"^\| ([^|]+?) \| `([0-9a-f]{12})` \|", text, re.MULTILINE))
    assert dict(digests()) == expected
