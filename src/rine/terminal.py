"""Words for a terminal: what stands in files, their names and their folders may hold signs that a terminal obeys."""

from __future__ import annotations

import os

MOST = 4000  # characters of one message
# what a user can mend; all else is a fault of the program's, and its trace is wanted
PLAIN = (ValueError, OSError, ImportError, MemoryError)
LACKS = ("allocate memory", "out of memory", "failed to map segment")  # PyTorch's words, and the loader's of a library


def reason(error: Exception) -> str:
    """What is wrong, in words that need no trace; raises the error itself where there are none, or RINE_TRACE is set.

    A lack of memory is called that, whoever found it: PyTorch has a RuntimeError for it, a library an ImportError.
    """
    lacks = isinstance(error, MemoryError) or any(words in str(error) for words in LACKS)
    if os.environ.get("RINE_TRACE") or not (lacks or isinstance(error, PLAIN)):
        raise error
    if lacks:
        return f"not enough memory: {error}" if isinstance(error, MemoryError) and str(error) else "not enough memory"
    return str(error)


def printable(words: object) -> str:
    """On one line: signs that could move the cursor, colour other rows or turn the writing round are escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in str(words)
    )


def message(words: object) -> str:
    """The same for words of several lines; of endless ones the beginning."""
    lines = [printable(line.replace("\t", "    ")) for line in str(words)[: MOST + 1].split("\n")]
    shown = "\n".join(lines)
    return shown if len(shown) <= MOST else f"{shown[:MOST]} ..."
