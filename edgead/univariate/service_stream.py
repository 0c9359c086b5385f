"""The service's ``last`` call for a stream: detector ``"service"``.

Each reading is judged on the window of the newest readings.  A full run, which finds the period and decomposes the
window, is dear; its season and trend are kept and extended, and between full runs only the outlier tests are made anew.

When the kept model is renewed: after `RENEWALS` renewals a window at the latest, and at once when the outlier tests
flag the newest reading, so that every anomaly told is one of a full run on the very window that it closes.
"""

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgead.errors import InvalidInput
from edgead.univariate.arrays import FloatArray, scaled
from edgead.univariate.detect import Outcome, run
from edgead.univariate.found import Found, ModelName
from edgead.univariate.margins import band
from edgead.univariate.outliers import outliers
from edgead.univariate.request import LEAST_POINTS, VALUE_LIMIT, Request

if TYPE_CHECKING:
    from edgead.univariate.streaming import DetectorSettings, Judgement

#: Renewals of the kept model a window.
RENEWALS = 16

#: Share of a window that must be there before judgements count.
LEARNING = 4

#: Share of anomalies and chance of a false alarm of a test: the service's defaults.
RATIO, ALPHA = 0.25, 0.05

_MODELS: tuple[ModelName, ...] = ("Seasonal", "SeasonalLog", "DynamicThreshold")
_HEAD = struct.Struct("<8sIIIIiI")
_MAGIC = b"EADSVC01"


@dataclass
class _Kept:
    """What the last full run found: period and model, and how many readings ago."""

    period: int = 0
    model: ModelName = "DynamicThreshold"
    age: int = -1  # -1: there was no run yet


class ServiceDetector:
    """Judges each reading as the service's ``last`` call judges the end of a series; a `StreamingDetector`.

    Parameters
    ----------
    settings : DetectorSettings
        Window, sensitivity (the service's own scale, boundary version 2) and gates.

    Notes
    -----
    The score is the distance from the expected value over the margin on that side.  Rows without a reading repeat the
    value before them.  The grid's step is not known here, so the calendar suggests no period and the spectral residual
    takes no part: this is granularity ``"none"``.
    """

    model = "service@1"

    def __init__(self, settings: "DetectorSettings") -> None:
        self._settings = settings
        self._rows = np.zeros((3, settings.window))  # values, season, trend; newest last
        self._count = 0
        self._kept = _Kept()

    @property
    def needed(self) -> int:
        """Readings still missing until judgements count."""
        window = self._settings.window
        return max(0, min(window, max(LEAST_POINTS, window // LEARNING)) - self._count)

    @property
    def nbytes(self) -> int:
        """Memory of the state."""
        return int(self._rows.nbytes) + _HEAD.size

    def judge(self, value: float, missing: int) -> "Judgement":
        """Judge the newest reading; see `StreamingDetector.judge`."""
        value = min(max(value, -VALUE_LIMIT), VALUE_LIMIT)
        if self._count:
            for _ in range(min(missing, self._settings.window)):
                self._append(float(self._rows[0, -1]))
        self._append(value)
        if self.needed:
            return 0.0, 0.0, math.nan, math.nan, math.nan, False
        try:
            outcome = self._outcome()
        except InvalidInput:  # values too far apart: nothing can be said about this window
            return 0.0, 0.0, value, value, value, False
        return self._judgement(value, outcome)

    def revise(self, age: int, value: float) -> None:
        """Replace the value of an earlier row (0 = newest)."""
        if 0 <= age < self._count:
            self._rows[0, -1 - age] = min(max(value, -VALUE_LIMIT), VALUE_LIMIT)

    def explain(self) -> dict[str, float | str]:
        """What the last judgement was made of: chosen detector, season and trend there, readings since a full run."""
        kept, (_, season, trend) = self._kept, self._rows[:, -1]
        facts: dict[str, float | str] = {"chosen": kept.model, "period": float(kept.period)}
        return facts | {
            "season": float(season),
            "trend": float(trend),
            "since_full_run": float(max(kept.age, 0)),
        }

    # ------------------------------------------------------------ judging

    def _append(self, value: float) -> None:
        """A new row at the end; season and trend go on as they were."""
        rows, period = self._rows, self._kept.period
        season = rows[1, -period] if period > 1 else 0.0
        trend = rows[2, -1]
        rows[:, :-1] = rows[:, 1:]
        rows[:, -1] = value, season, trend
        self._count = min(self._count + 1, self._settings.window)
        if self._kept.age >= 0:
            self._kept.age += 1

    def _outcome(self) -> Outcome:
        """Of a full run where one is due, else of the kept season and trend."""
        kept = self._kept
        if kept.age < 0 or kept.age * RENEWALS >= self._count:
            return self._renew(None)
        quick = self._quick()
        return self._renew(kept.period) if quick is None else quick

    def _quick(self) -> Outcome | None:
        """Outlier tests with the kept season and trend; None if they flag the newest reading."""
        y, season, trend = self._rows[:, -self._count :]
        with np.errstate(all="ignore"):
            level = y - season
            columns = [scaled(level), scaled(level - trend)] if self._kept.period > 1 else [scaled(y)]
            flags = outliers(columns, RATIO, ALPHA, "last")
            if flags[-1]:
                return None
            found = Found(self._kept.model, flags, trend + season, trend)
            found.point_down(y)
            return Outcome(self._kept.period, found, band(y, found, self._settings.sensitivity, "v2"))

    def _renew(self, period: int | None) -> Outcome:
        """A full run, for a new period or with a known one; its season and trend are kept."""
        y = self._rows[0, -self._count :].copy()
        if period is not None and 2 * period >= len(y):
            period = None
        outcome = run(Request(values=y, sensitivity=self._settings.sensitivity, period=period), "last")
        found = outcome.found
        trend: FloatArray = found.expected if found.trend is None else found.trend
        self._rows[1, -self._count :] = found.expected - trend
        self._rows[2, -self._count :] = trend
        self._kept = _Kept(outcome.period, found.model, 0)
        return outcome

    def _judgement(self, value: float, outcome: Outcome) -> "Judgement":
        b, expected = outcome.band, float(outcome.found.expected[-1])
        lower, upper = expected - float(b.lower[-1]), expected + float(b.upper[-1])
        off = value - expected
        margin = upper - expected if off >= 0 else expected - lower
        score = abs(off) / margin if margin > 0 else 0.0
        is_anomaly = bool(b.flags[-1]) and self._passes_gates(off, expected)
        return score, float(b.severity[-1]) if is_anomaly else 0.0, expected, lower, upper, is_anomaly

    def _passes_gates(self, off: float, expected: float) -> bool:
        gates = self._settings
        side = gates.direction == "both" or (gates.direction == "above") == (off > 0)
        return side and abs(off) >= gates.min_abs and abs(off) >= gates.min_rel * abs(expected)

    # ------------------------------------------------------------ state

    def dump(self) -> bytes:
        """All state; see `StreamingDetector.dump`."""
        kept = self._kept
        numbers = (self._settings.window, self._count, kept.period, _MODELS.index(kept.model), kept.age, 0)
        return _HEAD.pack(_MAGIC, *numbers) + self._rows[:, self._settings.window - self._count :].tobytes()

    def load(self, data: bytes) -> None:
        """Continue from a dump; see `StreamingDetector.load`."""
        window = self._settings.window
        if len(data) < _HEAD.size:
            raise InvalidInput(
                f"dump of a service detector: {len(data)} bytes, expected at least {_HEAD.size}"
            )
        magic, size, count, period, model, age, _ = _HEAD.unpack_from(data)
        if magic != _MAGIC or size != window:
            raise InvalidInput(f"dump of a service detector: expected version {_MAGIC!r} and window {window}")
        body = (
            np.frombuffer(data, np.float64, offset=_HEAD.size) if (len(data) - _HEAD.size) % 8 == 0 else None
        )
        whole = (
            count <= window and 2 * period < max(count, 1) and model < len(_MODELS) and -1 <= age <= window
        )
        if body is None or not whole or len(body) != 3 * count or not np.isfinite(body).all():
            raise InvalidInput("dump of a service detector: damaged")
        self._rows = np.zeros((3, window))
        self._rows[:, window - count :] = body.reshape(3, count)
        self._count, self._kept = count, _Kept(period, _MODELS[model], age)
