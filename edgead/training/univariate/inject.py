"""Seeded anomalies for normal series: what a network learns to tell from the normal, and what tests look for.

Each kind is a function of a stretch of normal values; sizes are in *units*, the typical change from one reading to the
next, or a share of the spread where that is larger: what is large for one series is small for another.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Stretch(NamedTuple):
    """Where an anomaly goes.

    Attributes
    ----------
    values : ndarray of float64, shape (length,)
        The normal readings there.
    before : ndarray of float64
        All readings before it.
    unit : float, > 0
        See `unit_of`.
    spread : float, >= 0
        Standard deviation of the series.
    size : float, > 0
        How large, in units.
    sign : float
        +1 or -1.
    """

    values: FloatArray
    before: FloatArray
    unit: float
    spread: float
    size: float
    sign: float


Injector = Callable[[Stretch, np.random.Generator], FloatArray]


def _away(at: Stretch) -> float:
    return at.sign * at.size * at.unit


def _spike(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """One reading away from the others, and back."""
    del rng
    out = at.values.copy()
    out[0] += _away(at)
    return out


def _burst(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Readings in a row, each away by another amount of one sign."""
    return at.values + _away(at) * rng.uniform(0.5, 1.5, len(at.values))


def _step(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Another level from one reading to the next."""
    del rng
    return at.values + _away(at)


def _ramp(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """A level reached over the first readings, as a controlled system does."""
    rise = rng.integers(2, 12)
    return at.values + _away(at) * np.minimum(1.0, np.arange(1, len(at.values) + 1) / rise)


def _decay(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """A jump that fades."""
    fade = rng.uniform(3.0, 20.0)
    return at.values + _away(at) * np.exp(-np.arange(len(at.values)) / fade)


def _noise(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Scatter that grows."""
    return at.values + 0.5 * at.size * at.unit * rng.standard_normal(len(at.values))


def _frozen(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The last value, again and again."""
    del rng
    return np.full(len(at.values), at.before[-1])


def _loss(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The lowest value ever seen, or below: a source that sends nothing and is counted as that."""
    floor = float(at.before.min()) - rng.uniform(0.0, 0.5) * at.spread
    return np.full(len(at.values), min(floor, float(at.before[-1]) - at.size * at.unit))


def _flip(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The swing upside down."""
    del rng
    out: FloatArray = 2.0 * at.values.mean() - at.values
    return out + float(np.sign(out[0] - at.values[0]) or 1.0) * at.size * at.unit * 0.25


def _elsewhere(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Readings of another time of the series."""
    room = len(at.before) - len(at.values)
    if room <= 0:
        return _step(at, rng)
    start = int(rng.integers(0, room))
    taken = at.before[start : start + len(at.values)].copy()
    return taken + float(np.sign(taken[0] - at.values[0]) or 1.0) * at.size * at.unit * 0.25


def _flatten(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The swing and the scatter lost about the first value."""
    first = float(at.values[0])
    return first + rng.uniform(0.0, 0.2) * (at.values - first) + 0.5 * _away(at)


#: Every kind by name, with the readings it lasts: (least, most).
KINDS: dict[str, tuple[Injector, int, int]] = {
    "spike": (_spike, 1, 1),
    "burst": (_burst, 2, 12),
    "step": (_step, 8, 60),
    "ramp": (_ramp, 12, 60),
    "decay": (_decay, 8, 40),
    "noise": (_noise, 10, 60),
    "frozen": (_frozen, 24, 60),
    "loss": (_loss, 2, 30),
    "flip": (_flip, 10, 60),
    "elsewhere": (_elsewhere, 10, 60),
    "flatten": (_flatten, 10, 60),
}


class Injected(NamedTuple):
    """A series with anomalies in it.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
    starts, lengths : ndarray of int64, shape (count,)
        First reading of each anomaly and how long it lasts, in time order.
    kinds : tuple of str
    """

    values: FloatArray
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    kinds: tuple[str, ...]


def unit_of(values: FloatArray) -> float:
    """Typical change from one reading to the next, at least a fiftieth of the spread; 1 for a constant."""
    changes = np.abs(np.diff(values))
    unit = max(float(changes.mean()), 0.02 * float(values.std()))
    return unit if unit > 0 else 1.0


def inject(
    values: FloatArray,
    rng: np.random.Generator,
    *,
    kinds: tuple[str, ...] = tuple(KINDS),
    every: int = 400,
    first: int = 400,
    sizes: tuple[float, float] = (3.0, 30.0),
) -> Injected:
    """Put anomalies into a normal series, one in about so many readings.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Normal; not changed.
    rng : Generator
        Seeded.
    kinds : tuple of str, optional
        Names of `KINDS` to choose from.
    every : int, >= 100
        Mean distance of two anomalies; the least is half of it.
    first : int, >= 1
        Readings before the first one.
    sizes : (float, float), optional
        Least and largest size in units; drawn evenly in their logarithm.

    Returns
    -------
    Injected
    """
    out, unit, spread = values.copy(), unit_of(values), float(values.std())
    starts, lengths, chosen = [], [], []
    at = first + int(rng.integers(0, every))
    while at + 1 < len(values):
        kind = kinds[int(rng.integers(len(kinds)))]
        make, least, most = KINDS[kind]
        length = min(int(rng.integers(least, most + 1)), len(values) - at)
        size = float(np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1]))))
        sign = 1.0 if rng.random() < 0.5 else -1.0
        out[at : at + length] = make(
            Stretch(values[at : at + length], values[:at], unit, spread, size, sign), rng
        )
        starts.append(at)
        lengths.append(length)
        chosen.append(kind)
        at += length + every // 2 + int(rng.integers(0, every))
    return Injected(out, np.array(starts, np.int64), np.array(lengths, np.int64), tuple(chosen))
