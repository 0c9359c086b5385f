"""Margins, final flags and severity from what a detector found: the service's two boundary versions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgead.univariate.arrays import EPS, BoolArray, FloatArray
from edgead.univariate.found import Found

Boundary = Literal["v1", "v2"]

#: Unit of margins where the trend is near zero, and what |expected| is replaced by there.
LEAST_UNIT = 0.3


#: Distance from the expected value, relative to it, that is nothing but rounding.
ROUNDING = 1e-13


def _half_widths() -> FloatArray:
    """Half-width of the band in units, for sensitivities 0..100; falls to 0 (read off the service's own table)."""
    runs = [(30, 1.25, 21), (4.6, 0.4, 10), (0.96, 0.04, 10), (0.57, 0.03, 10), (0.285, 0.015, 10)]
    table = [0.8 * (s - 25) ** 2 + 32 for s in range(25)]
    for first, step, count in runs:
        table += [first - step * k for k in range(count)]
    table += [x / 11 for x in (1.52, 1.39, 1.26, 1.13, 1.0, 0.87, 0.74, 0.48)]
    return np.array([*table, 0.012, 0.008, 0.006075, 0.00415, 0.002225, 0.0003, 0.0])


HALF_WIDTHS = _half_widths()
_RISING = HALF_WIDTHS[::-1]


@dataclass(frozen=True)
class Band:
    """The normal band around expected values, and what lies outside; arrays of shape (n,).

    Attributes
    ----------
    upper, lower : ndarray of float64
        Distances from the expected value, unit of the series, >= 0.
    flags : ndarray of bool
    severity : ndarray of float64
        0..1; 0 where `flags` is not set.
    """

    upper: FloatArray
    lower: FloatArray
    flags: BoolArray
    severity: FloatArray


def band(v: FloatArray, found: Found, sensitivity: int, boundary: Boundary) -> Band:
    """Margins of the points `v`.

    Parameters
    ----------
    v : ndarray of float64, shape (n,)
        Finite.
    found : Found
        Of the same points.
    sensitivity : int, 0..100
        Higher means narrower.
    boundary : {"v1", "v2"}
        ``"v1"``: a share of the expected value, symmetric.  ``"v2"``: what the live v1.1 service sent.
    """
    flags = found.flags & (np.abs(v - found.expected) >= EPS)
    rule = _first_version if boundary == "v1" else _second_version
    return rule(v, found, flags, sensitivity)


# ---------------------------------------------------------------- version 1


def _first_version(v: FloatArray, found: Found, flags: BoolArray, sensitivity: int) -> Band:
    e = found.expected
    width = _first_widths(v, found, sensitivity)
    top = np.minimum(e + width, max(v.max(), e.max()))
    # the highest unclipped bound wins over the clip: low sensitivities need it
    bottom = np.minimum(np.maximum(e - width, min(v.min(), e.min())), (e - width).max())
    upper, lower = top - e, e - bottom
    if sensitivity == 100:
        upper[flags] = lower[flags] = 0.0
    else:
        flags = flags & ~((v >= bottom) & (v <= top))
    outside = ~flags & ((v > top) | (v < bottom))
    upper[outside] = lower[outside] = 1.01 * np.abs(v - e)[outside]
    size = np.where(np.abs(e) <= EPS, LEAST_UNIT, np.abs(e))
    severity = np.where(flags, np.minimum(np.abs(v - e) / size, 1.0), 0.0)
    return Band(upper, lower, flags, severity)


def _first_widths(v: FloatArray, found: Found, sensitivity: int) -> FloatArray:
    e, score = found.expected, found.score
    if found.model != "SpectralResidual" or score is None:
        return np.abs(e) * (100 - sensitivity) / 100
    quiet = score <= EPS
    width = np.empty(len(v))
    width[quiet] = 0.01 * np.ptp(v[quiet]) if quiet.any() else 0.0
    width[~quiet] = np.abs(v - e)[~quiet] / score[~quiet] * (1 - sensitivity / 100)
    return width


# ---------------------------------------------------------------- version 2


def _second_version(v: FloatArray, found: Found, flags: BoolArray, sensitivity: int) -> Band:
    e = found.expected
    unit = _units(e if found.trend is None else found.trend, flags)
    delta, off = unit * HALF_WIDTHS[sensitivity], np.abs(v - e)
    wide = off + delta / 2
    above = v > e
    if found.model in ("Seasonal", "SeasonalLog"):
        # where a decomposition passes through a point only rounding decides the side; recorded answers have it above
        above |= off <= ROUNDING * np.abs(e)
    upper = np.where(flags, delta, np.where(above, wide, wide / 3))
    lower = np.where(flags, delta, np.where(above, wide / 3, wide))
    if sensitivity == 99:
        near = flags & (off > 0.0001 * delta) & (off < delta)
        upper[near] = lower[near] = off[near] / 2
    final = flags & ((v > e + upper) | (v < e - lower))
    return Band(upper, lower, final, np.where(final, _severity(off / unit), 0.0))


def _units(trend: FloatArray, flags: BoolArray) -> FloatArray:
    """Unit of the half-widths at each point: mean of the trend's size there and over all unflagged points."""
    size = np.abs(trend)
    calm = size[~flags]
    if np.all(calm < EPS):
        return np.full(len(trend), LEAST_UNIT)
    unit: FloatArray = np.maximum(LEAST_UNIT, size / 2 + calm.mean() / 2)
    return unit


def _severity(distance: FloatArray) -> FloatArray:
    """Place 0..1 of a distance in units within the rising half-widths, linear in between."""
    i = np.clip(np.searchsorted(_RISING, distance), 0, 100)
    below = np.maximum(i - 1, 0)
    step = _RISING[np.minimum(below + 1, 100)] - _RISING[below]
    place = below + (distance - _RISING[below]) / step
    return np.where(i == 0, 0.0, np.where(i >= 100, 100.0, place)) / 100
