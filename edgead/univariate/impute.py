"""Filling the gaps of a grid."""

import numpy as np

from edgead.native import svc_fill
from edgead.univariate.arrays import FloatArray, IndexArray

#: Longest grid that is ever filled, in points.
LONGEST_GRID = 17280

#: Known points that a spline needs; with fewer the last known value stands.
SPLINE_POINTS = 4


def fill(places: IndexArray, values: FloatArray, mode: str, fixed: float | None, period: int) -> FloatArray:
    """The whole grid, known at `places`.

    Parameters
    ----------
    places : ndarray of int64, shape (n,)
        Ascending from 0.
    values : ndarray of float64, shape (n,)
        What is known there.
    mode : str
        Any of the request's modes but ``"notFill"``.
    fixed : float, optional
        For ``"fixed"``.
    period : int
        For ``"auto"``, which needs a season: 2 or more.

    Returns
    -------
    ndarray of float64, shape (last place + 1,)
    """
    size = int(places[-1]) + 1
    if mode == "linear":
        return np.interp(np.arange(size), places, values)
    if mode == "auto" and len(values) >= SPLINE_POINTS:
        return svc_fill(places, values, period, size)
    if mode in ("previous", "auto"):
        return values[np.searchsorted(places, np.arange(size), side="right") - 1]
    grid = np.full(size, fixed if mode == "fixed" and fixed is not None else 0.0)
    grid[places] = values
    return grid
