"""Good and broken pictures, changed at random, through what looks at every picture: `python -m benchmarks.fuzz`.

Prints how many were read, refused by name, and lost (their process crashed, hung or wanted too much memory), and the
most memory that a process took. Lost ones and whatever raises anything else are kept in a folder: each should become a
kind of tests/hostile. Exit status: 1 where there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.hostile.kinds import kinds

from rine import apart
from rine.dataset.facts import Skipped, examine

MAX_PIXELS = 10_000_000
SECONDS = 10.0
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def look(path: Path) -> tuple[str, int]:
    """Runs apart: what comes of the picture, and the process's largest size so far in bytes."""
    facts = examine(path, MAX_PIXELS)
    outcome = "refused" if isinstance(facts, Skipped) else "read"
    return outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def changed(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The picture after one to four random changes, most of them in its header."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        end = min(len(made), rng.choice((64, 600, len(made) or 1)))
        at = rng.randrange(end) if end else 0
        match rng.choice((0, 0, 0, 1, 1, 1, 2, 3, 4, 5)):
            case 0:
                made[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                size = rng.choice((1, 2, 4))
                number = rng.choice(EXTREMES) & (256**size - 1)
                made[at : at + size] = number.to_bytes(size, rng.choice(("big", "little")))
            case 2:
                del made[at : at + rng.randint(1, 40)]
            case 3:
                made[at:at] = made[at : at + rng.randint(1, 200)]
            case 4:
                start = rng.randrange(len(other) or 1)
                made[at:at] = other[start : start + rng.randint(1, 300)]
            case 5:
                del made[rng.randrange(len(made) + 1) :]
    return bytes(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(".rine/fuzz"), help="Folder of what was lost.")
    given = parser.parse_args()
    rng, seeds = random.Random(given.seed), list(kinds().values())
    ends, counts, most, slowest = time.monotonic() + 60 * given.minutes, Counter[str](), 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        while time.monotonic() < ends:
            data = changed(rng.choice(seeds), rng.choice(seeds), rng)
            path.write_bytes(data)
            start = time.monotonic()
            try:
                outcome, size = apart.call(look, path, seconds=SECONDS)
                most = max(most, size)
            except Exception as error:
                outcome = f"lost: {error}" if isinstance(error, apart.Lost) else f"raised: {error!r}"
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / hashlib.blake2b(data, digest_size=8).hexdigest()).write_bytes(data)
            counts[outcome] += 1
            slowest = max(slowest, time.monotonic() - start)
    for outcome, n in counts.most_common():
        print(f"{n:8,} {outcome}")
    print(f"largest process {most / 1e6:.0f} MB, slowest picture {slowest:.1f} s, seed {given.seed}")
    return int(bool(set(counts) - {"read", "refused"}))


if __name__ == "__main__":
    from benchmarks.fuzz import main as found_by_its_name  # what runs apart is imported there

    sys.exit(found_by_its_name())
