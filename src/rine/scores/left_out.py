"""The table in which `ablate` says which test sets tell what a part of the training data is worth."""

SLIDING = "each"  # in place of a date: every generator by what was released before it
COLUMNS = ["by", "left_out", "rows", "generator"]  # what was left out, and the runs on which rows score a generator
