"""The page and the HTTP API of `rine serve`, on this machine only."""
