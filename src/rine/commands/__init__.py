"""Commands for those who use a model rather than train one; `rine.cli` mounts them. Heavy imports are inside them."""
