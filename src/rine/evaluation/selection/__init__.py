"""Which configuration of a grid to take: the scores laid out, the rules, and what each is worth."""

from rine.evaluation.selection.grid import Grid, grid_of
from rine.evaluation.selection.outcomes import Outcome
from rine.evaluation.selection.rules import RULES, Rule, choose
from rine.evaluation.selection.tables import generators_table, rules_of, rules_table

__all__ = ["RULES", "Grid", "Outcome", "Rule", "choose", "generators_table", "grid_of", "rules_of", "rules_table"]
