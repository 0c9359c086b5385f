"""What a detector found on the series that it was given, before margins."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edgead.univariate.arrays import BoolArray, FloatArray

ModelName = Literal[
    "Seasonal", "SeasonalLog", "DynamicThreshold", "SpectralResidual", "SpectralResidualZScore"
]


@dataclass
class Found:
    """Flags, expected values and what the margins need.

    Attributes
    ----------
    model : str
        Which detector judged.
    flags : ndarray of bool, shape (n,)
    expected, trend : ndarray of float64, shape (n,)
        Unit of the series; `trend` is None where nobody asked for it.
    score : ndarray of float64, shape (n,), optional
        0..1, of the spectral residual only.
    negative : ndarray of bool, shape (n,)
        Flagged points below their expected value.
    """

    model: ModelName
    flags: BoolArray
    expected: FloatArray
    trend: FloatArray | None
    score: FloatArray | None = None
    negative: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))

    def point_down(self, y: FloatArray) -> None:
        """Set `negative` from the values `y`."""
        self.negative = self.flags & (self.expected > y)

    def at(self, places: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "Found":
        """The same at some places of the series only."""
        trend, score = (None if x is None else x[places] for x in (self.trend, self.score))
        return Found(
            self.model, self.flags[places], self.expected[places], trend, score, self.negative[places]
        )
