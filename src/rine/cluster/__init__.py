"""Work on many devices and machines, by Ray's actors: any number of items, each a call that needs no other.

An item writes its result to files that the driver sees too; what comes back is a count. So nothing streams, and
what holds work back is only that an actor has two items at most: one in work, and the next one's files in reading.
"""

from rine.cluster.actor import Done, Unfit
from rine.cluster.spread import Wanted, spread

__all__ = ["Done", "Unfit", "Wanted", "spread"]
