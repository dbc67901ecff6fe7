"""The commands for those who use what was made, and those around a study, by the panel of `rine --help`."""

from __future__ import annotations

from rine.commands.calibrate import calibrate
from rine.commands.data import data
from rine.commands.encoders import encoders
from rine.commands.evaluate import evaluate
from rine.commands.explain import explain
from rine.commands.export import export
from rine.commands.import_ import import_
from rine.commands.init import init
from rine.commands.options import PANEL, STUDY
from rine.commands.predict import predict
from rine.commands.serve import serve
from rine.commands.store import store
from rine.commands.verify import verify

COMMANDS = {
    PANEL: (predict, explain, evaluate, calibrate, serve, export, import_),
    STUDY: (init, data, encoders, store, verify),
}
