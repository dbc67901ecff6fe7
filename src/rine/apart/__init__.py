"""Work on files of strangers in processes apart: one may die, hang or want too much memory, and only its file is lost.

`call` runs a function in such a process. The processes are forks of one that has imported what they need and has no
threads, so that another is there in milliseconds; they wait for the next call, and end with this process.
"""

from rine.apart.calls import SECONDS, Limits, call, start
from rine.apart.processes import CRASHED, Lost
from rine.apart.threads import ahead

__all__ = ["CRASHED", "SECONDS", "Limits", "Lost", "ahead", "call", "start"]
