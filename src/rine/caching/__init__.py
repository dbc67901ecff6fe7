"""What only the stage `cache` runs: pictures through the frozen encoder, and what comes of it to a feature set.

`plan` cuts a set's rows into units, `decode` makes pixels, `encode` turns a unit's into tokens, `store` keeps them,
`assemble` lays a feature set out; `run` is the loop over the units.
"""
