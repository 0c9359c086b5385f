"""Seeded anomalies for normal series: what a network learns to tell from the normal, and what tests look for.

Sizes are in *units* of the series: mostly its typical change from one reading to the next, now and then half of its
standard deviation, so that what is large for one series is small for another.
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
        All readings before it; at least one.
    away : float
        How far, signed; unit of the series.
    """

    values: FloatArray
    before: FloatArray
    away: float


Injector = Callable[[Stretch, np.random.Generator], FloatArray]


def _spike(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Readings away from the others, and back."""
    return at.values + at.away * rng.uniform(0.6, 1.2, len(at.values))


def _bump(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Away and back again, smoothly."""
    del rng
    return at.values + at.away * np.hanning(len(at.values) + 2)[1:-1]


def _step(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Another level from one reading to the next."""
    del rng
    return at.values + at.away


def _ramp(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """A slope, for as long as it lasts."""
    del rng
    return at.values + at.away * np.arange(1, len(at.values) + 1) / min(len(at.values), 20)


def _noise(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Scatter that grows."""
    return at.values + 0.7 * abs(at.away) * rng.standard_normal(len(at.values))


def _frozen(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The last value, again and again."""
    del rng
    return np.full(len(at.values), at.before[-1])


def _loss(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Part of every value lost: a source that sends less, or nothing."""
    return at.values * (1.0 - rng.uniform(0.3, 1.0))


def _elsewhere(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """Readings of another time of the series."""
    room = len(at.before) - len(at.values)
    start = int(rng.integers(0, room + 1)) if room > 0 else 0
    taken = at.before[start : start + len(at.values)]
    return np.resize(taken, len(at.values)).astype(np.float64)


def _flip(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The swing upside down."""
    del rng
    return 2.0 * float(at.values.mean()) - at.values


def _flatten(at: Stretch, rng: np.random.Generator) -> FloatArray:
    """The swing and the scatter mostly lost, away from where they were."""
    first = float(at.values[0])
    return first + rng.uniform(0.0, 0.2) * (at.values - first) + 0.5 * at.away


#: Every kind by name, with the fewest and the most readings it lasts.
KINDS: dict[str, tuple[Injector, int, int]] = {
    "spike": (_spike, 1, 3),
    "bump": (_bump, 2, 120),
    "step": (_step, 2, 120),
    "ramp": (_ramp, 8, 120),
    "noise": (_noise, 2, 120),
    "frozen": (_frozen, 20, 120),
    "loss": (_loss, 2, 120),
    "elsewhere": (_elsewhere, 2, 120),
    "flip": (_flip, 8, 120),
    "flatten": (_flatten, 8, 120),
}

#: Share of the anomalies that are measured in typical changes; the others in half standard deviations.
BY_CHANGES = 0.7
#: Changes above this quantile count as much as it: a few large ones do not make every change typical.
TYPICAL_QUANTILE = 0.98
#: A difference from the normal below so many mean changes is no anomaly that could be told.
VISIBLE = 2.5


class Injected(NamedTuple):
    """A series with anomalies in it.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
    starts, lengths : ndarray of int64, shape (count,)
        First reading of each anomaly and how long it lasts, in time order.
    kinds : tuple of str
    visible : ndarray of bool, shape (count,)
        Whether it differs enough from the normal to be told.
    """

    values: FloatArray
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    kinds: tuple[str, ...]
    visible: NDArray[np.bool_]


def unit_of(values: FloatArray) -> float:
    """Typical change from one reading to the next; 1e-12 for a constant."""
    changes = np.abs(np.diff(values))
    return float(np.minimum(changes, np.quantile(changes, TYPICAL_QUANTILE)).mean()) + 1e-12


def inject(
    values: FloatArray,
    rng: np.random.Generator,
    *,
    kinds: tuple[str, ...] = tuple(KINDS),
    every: int = 300,
    first: int = 250,
    sizes: tuple[float, float] = (3.0, 40.0),
    longest: int = 120,
    free: NDArray[np.bool_] | None = None,
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
        Least and largest, in units; drawn evenly in their logarithm.
    longest : int, optional
        Readings an anomaly lasts at most.
    free : ndarray of bool, shape (n,), optional
        Where anomalies may go; everywhere if left out.

    Returns
    -------
    Injected
    """
    out, unit, spread = values.copy(), unit_of(values), 0.5 * float(values.std()) + 1e-12
    changes = float(np.abs(np.diff(values)).mean())
    found: list[tuple[int, int, str, bool]] = []
    at = first + int(rng.integers(0, every))
    while at + 2 < len(values):
        kind = kinds[int(rng.integers(len(kinds)))]
        make, least, most = KINDS[kind]
        length = int(np.clip(np.exp(rng.uniform(np.log(2.0), np.log(longest))), least, min(most, longest)))
        length = min(length, len(values) - at)
        size = float(np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1]))))
        away = size * (unit if rng.random() < BY_CHANGES else spread) * (1.0 if rng.random() < 0.5 else -1.0)
        part = slice(at, at + length)
        if free is None or free[max(0, at - 20) : at + length + 20].all():
            out[part] = make(Stretch(values[part], values[:at], away), rng)
            visible = bool(np.abs(out[part] - values[part]).max() > VISIBLE * changes)
            found.append((at, length, kind, visible))
        at += length + every // 2 + int(rng.integers(0, every))
    starts, lengths, chosen, seen = zip(*found, strict=True) if found else ((), (), (), ())
    return Injected(
        out, np.array(starts, np.int64), np.array(lengths, np.int64), tuple(chosen), np.array(seen, np.bool_)
    )
