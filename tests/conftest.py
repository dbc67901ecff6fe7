"""What all tests share: the arithmetic whose numbers are the same on every machine."""

from __future__ import annotations

from rine import arithmetic

arithmetic.use("portable")  # before any test file imports NumPy
