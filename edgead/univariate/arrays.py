"""Array types of the detectors, and the small operations they share."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]

#: What counts as zero: variances, distances, powers (univariate detection of the service, everywhere).
EPS = 1e-8

#: Points further than this many standard deviations from the mean are spikes.
SPIKE = 3.0


def scaled(v: FloatArray) -> FloatArray:
    """`v` mapped to 0..1; a constant stays as it is."""
    low, high = v.min(), v.max()
    return (v - low) / (high - low) if high > low else v.copy()


def interpolated(v: FloatArray, gone: BoolArray) -> FloatArray:
    """`v` with the points `gone` on lines between the others; nearest at the ends."""
    keep = np.flatnonzero(~gone)
    if not 0 < len(keep) < len(v):
        return v.copy()
    return np.interp(np.arange(len(v)), keep, v[keep])


def despiked(v: FloatArray) -> FloatArray:
    """`v` without points three standard deviations from the mean, interpolated there."""
    distance = v - v.sum() / len(v)
    deviation = np.sqrt(np.dot(distance, distance) / len(v))
    return interpolated(v, np.abs(distance) / (deviation + EPS) >= SPIKE)


def variance(v: FloatArray) -> float:
    """Mean squared distance from the mean."""
    distance = v - v.sum() / len(v)
    return float(np.dot(distance, distance)) / len(v)


def trailing_mean(v: FloatArray, width: int) -> FloatArray:
    """Mean of the last `width` points, at the start of those there are."""
    out = np.empty(len(v))
    for count in range(1, min(width, len(v))):
        out[count - 1] = v[:count].sum() / count
    if len(v) >= width:
        whole = len(v) - width + 1
        out[width - 1 :] = sum(v[k : k + whole] for k in range(width)) / width
    return out
