"""Slow, obvious NumPy twins of the fast functions.  Written from the definitions, not from the C."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _trailing_log_mean(magnitude: Array, width: int = 3) -> Array:
    """Mean of the logarithm of the last `width` magnitudes; fewer at the start."""
    log = np.log(np.where(magnitude > 0, magnitude, 1.0))
    return np.array([log[max(0, k - width + 1) : k + 1].mean() for k in range(len(log))])


def saliency(x: Array, *, epsilon: float = np.finfo(float).eps) -> Array:
    """Spectral residual of the streaming detector: trailing mean, no bin 0; bin 1 stands for what precedes it.

    `epsilon` is the rounding unit of the precision imitated; it sets the floor of a bin's power.
    """
    deviation = x - x[0] - (x - x[0]).mean()  # a constant must give exact zeros
    bins = np.fft.fft(deviation)[1:]
    floor = (16 * epsilon) ** 2 * (deviation**2).sum()
    if floor == 0:
        return np.zeros(len(x))
    magnitude = np.sqrt(np.abs(bins) ** 2 + floor)
    log = np.log(np.concatenate([magnitude[:1], magnitude[:1], magnitude]))
    residual = bins / np.exp((log[2:] + log[1:-1] + log[:-2]) / 3)
    return np.abs(np.fft.ifft(np.concatenate([[0], residual])))


def service_saliency(x: Array) -> Array:
    """Spectral residual as the cloud service computes it: all bins, trailing mean, a magnitude of zero counts as 1."""
    bins = np.fft.fft(x)
    return np.abs(np.fft.ifft(bins / np.exp(_trailing_log_mean(np.abs(bins)))))


def sliding_saliency(x: Array, window: int, *, epsilon: float = np.finfo(float).eps) -> Array:
    """Saliency of each sample as the last of a window; before its start the series stands at its first value."""
    padded = np.concatenate([np.full(window - 1, x[0]), x])
    return np.array([saliency(padded[i : i + window], epsilon=epsilon)[-1] for i in range(len(x))])
