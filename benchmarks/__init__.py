"""Speed, as ratios of two things measured in turn in one run: `python -m benchmarks`, or `make bench`.

One file a row of the table. Each says what is compared and how far the ratio should reach, and holds the slower way
written out, so that `tests/test_benchmarks.py` can check that both ways compute the same. Times on a machine that does
other things as well go up and down by a half; the two ways take turns, so that the ratio of neighbours holds.
"""
