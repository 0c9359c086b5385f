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
        Unit of the series.
    score : ndarray of float64, shape (n,), optional
        0..1, of the spectral residual only.
    negative : ndarray of bool, shape (n,)
        Flagged points below their expected value.
    """

    model: ModelName
    flags: BoolArray
    expected: FloatArray
    trend: FloatArray
    score: FloatArray | None = None
    negative: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))

    def point_down(self, y: FloatArray) -> None:
        """Set `negative` from the values `y`."""
        self.negative = self.flags & (self.expected > y)

    def at(self, places: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "Found":
        """The same at some places of the series only."""
        score = None if self.score is None else self.score[places]
        arrays = (self.flags[places], self.expected[places], self.trend[places])
        return Found(self.model, *arrays, score, self.negative[places])
