"""Deviation from a short exponential mean over a running scale: what judges until the C detector lands."""

import math
import struct

from edgead.errors import InvalidInput

_LAYOUT = struct.Struct("<8sqqddd")
_MAGIC = b"EADINNO1"
_MEAN_RATE, _SCALE_RATE = 0.3, 0.01


class InnovationDetector:
    """See `edgead.univariate.streaming.StreamingDetector`."""

    model = "innovation@0"
    nbytes = _LAYOUT.size

    def __init__(self, window: int, sensitivity: int, min_abs: float, min_rel: float, direction: str) -> None:
        self._window = window
        self._width = 2.0 + 0.2 * (100 - sensitivity) + 4.0
        self._gate = (min_abs, min_rel)
        self._sides = {"both": (1, -1), "above": (1,), "below": (-1,)}[direction]
        self._count, self._mean, self._scale = 0, 0.0, 0.0

    @property
    def needed(self) -> int:
        """Readings until judgements count."""
        return max(0, min(self._window, 60) - self._count)

    def judge(self, value: float, missing: int) -> tuple[float, float, float, float, float, bool]:
        """Judge, then learn; a deviation teaches the scale at most five times itself."""
        if not math.isfinite(value) or missing < 0:
            raise InvalidInput(f"value: {value!r} after {missing!r} missing rows, expected finite and >= 0")
        ready = self.needed == 0
        expected = self._mean
        deviation = value - expected if self._count else 0.0
        half = self._width * max(self._scale, 1e-9 * abs(expected), 1e-300)
        rate = max(_SCALE_RATE, 1.0 / (self._count + 1))
        ceiling = 5 * self._scale if ready and self._scale else abs(deviation)
        self._scale += rate * (min(abs(deviation), ceiling) - self._scale)
        self._mean += (_MEAN_RATE if self._count else 1.0) * (value - self._mean)
        self._count += 1
        if not ready:
            return 0.0, 0.0, math.nan, math.nan, math.nan, False
        score = min(abs(deviation) / half, 1e6)
        gate = max(self._gate[0], self._gate[1] * abs(expected))
        side = 1 if deviation > 0 else -1
        hit = score >= 1 and abs(deviation) >= gate and side in self._sides
        return score, (1 - 1 / (1 + score) if hit else 0.0), expected, expected - half, expected + half, hit

    def revise(self, age: int, value: float) -> None:
        """Nothing older than the mean is kept, so there is nothing to replace."""

    def dump(self) -> bytes:
        """All state."""
        return _LAYOUT.pack(_MAGIC, self._window, self._count, self._mean, self._scale, 0.0)

    def load(self, data: bytes) -> None:
        """Continue from a dump."""
        if len(data) != _LAYOUT.size or data[:8] != _MAGIC:
            raise InvalidInput("state: these bytes are no dump of this detector")
        _, window, self._count, self._mean, self._scale, _ = _LAYOUT.unpack(data)
        if window != self._window:
            raise InvalidInput(f"state: window {window} in the dump, expected {self._window}")
