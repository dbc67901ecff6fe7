"""Other methods, each scored on the study's own pictures: an ONNX graph, a Python function, a command, a scores file.

A kind is one record in `kinds.KINDS`. Code that is not ours runs in a process of its own, which imports this package:
it holds nothing, so that the process starts soon.
"""
