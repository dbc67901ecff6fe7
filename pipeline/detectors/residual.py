"""A detector as a Python function: how much fine structure a picture has."""

import numpy as np


def scores(images):
    """One number for each PIL image: the mean size of its Laplacian, less where a picture is smooth."""
    found = []
    for image in images:
        grey = np.asarray(image.convert("L"), dtype=float)
        laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
        found.append(np.abs(laplacian).mean())
    return found
