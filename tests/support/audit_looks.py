"""Looks that are written down by hand, for reports of every kind."""

from math import inf

from groot_teach.audit import Look

LOOKS = (
    Look("prediction", "dims", "perturb", 0.25, why="it moves"),
    Look("prediction", "dims", "gradient", 0.5, why="so does its gradient"),
    Look("prediction", "steps", "perturb", 0.0),
    Look("prediction", "steps", "compact", None, why="it cannot be cut"),
    Look("prediction", "tokens", "gradient", 0.125, "lost", "1 of 8 words have no effect"),
    Look("prediction", "samples", "compact", 1e-6, why="hardly"),
    Look("loss sum", "dims and steps", "gradient", inf, "not finite", "the gradient is not finite"),
    Look("loss count", "dims and steps", "unit error", None, why="no function"),
    Look("sampler", "tokens", "perturb", inf, why="it becomes NaN"),
)

"""At each place another thing was seen."""
BOTH = (*LOOKS, Look("prediction", "dims", "gradient", 0.5, "lost", "half of them"))
"""The same, with a cell in which something leaks and something is lost."""
