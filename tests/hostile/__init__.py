"""Pictures that are broken, odd or meant to harm, made anew each time, and the table of what must come of each.

`kinds` makes them; `expected.csv` says for each "read", or words that the reason must have.
"""
