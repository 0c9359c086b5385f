"""Detector of series without a season on a slow grid: distance from a smooth trend."""

from edgead.univariate.arrays import FloatArray, interpolated, scaled
from edgead.univariate.found import Found
from edgead.univariate.outliers import Mode, outliers
from edgead.univariate.trend import trend


def detect_threshold(y: FloatArray, passed: FloatArray, ratio: float, alpha: float, mode: Mode) -> Found:
    """Judge `y` by outlier tests on the values; `passed` is what to expect if none is out."""
    flags = outliers([scaled(y)], ratio, alpha, mode)
    expected = trend(interpolated(y, flags)) if flags.any() else passed.copy()
    return Found("DynamicThreshold", flags, expected, expected.copy())
