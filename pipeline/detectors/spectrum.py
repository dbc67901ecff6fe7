"""A detector as a command: paths on standard input, a line each; `path,score` lines on standard output."""

import csv
import sys

import numpy as np
from PIL import Image

out = csv.writer(sys.stdout)
for line in sys.stdin:
    path = line.rstrip("\n")
    grey = np.asarray(Image.open(path).convert("L"), dtype=float)
    power = np.abs(np.fft.fft2(grey - grey.mean()))
    high = power[len(power) // 4 : -(len(power) // 4), power.shape[1] // 4 : -(power.shape[1] // 4)]
    out.writerow([path, high.max() / np.median(high)])  # peaks where up-sampling left a grid
    sys.stdout.flush()
