"""Detector of series without a season on a fast grid: the service's spectral residual.

arXiv 1906.03821, with the service's choices: five estimated points behind the series, all bins of a transform of
exactly that length, trailing windows, a score relative to the trailing mean.
"""

import numpy as np

from edgead.native import saliency, svc_residual_score
from edgead.univariate.arrays import BoolArray, FloatArray, trailing_mean
from edgead.univariate.found import Found, ModelName
from edgead.univariate.outliers import Mode
from edgead.univariate.trend import trend

#: Score from which a point is flagged, from which a late point starts the suspect tail, up to which it is calm.
THRESHOLD, SUSPECT, CALM = 3.5, 1.5, 1.0

#: Points put behind the series before its transform.
ESTIMATED = 5

#: Distance from the mean, in standard deviations, below which a last point is no anomaly.
NEAR_MEAN = 1.5

#: The service meant (score - 3.5) / 11.5 and computed score - 3.5 / 11.5; its margins hang on it.
SCORE_OFFSET = THRESHOLD / 11.5


def detect_residual(v: FloatArray, ratio: float, mode: Mode, with_trend: bool) -> Found:
    """Judge a fast series; `with_trend` asks for the trend of the expected values."""
    most = max(int(len(v) * ratio), 1)
    score, model = _last_scores(v, most) if mode == "last" else (_scores(v, mode), "SpectralResidual")
    flags = np.zeros(len(v), np.bool_)
    ranked = np.argsort(-score, kind="stable")[:most]
    flags[ranked[score[ranked] >= THRESHOLD]] = True
    calm = score <= CALM
    expected = _expected_last(v, calm) if mode == "last" else trailing_mean(_calm_values(v, calm), 5)
    level = trend(expected) if with_trend else None
    return Found(model, flags, expected, level, np.clip(score - SCORE_OFFSET, 0, 1))


def _scores(v: FloatArray, mode: Mode) -> FloatArray:
    """Score of every point, its relative distance from the trailing mean of the saliency map."""
    estimated = _estimate(v[-7:-1] if mode == "last" else _late_inliers(v))
    longer = np.concatenate((v, [estimated] * ESTIMATED))
    return svc_residual_score(saliency(longer, service=True)[: len(v)])


def _estimate(a: FloatArray) -> float:
    """A value behind the six values `a`: their median plus half of seven mean steps up to the last one."""
    values = a.tolist()
    slopes = sum((values[5] - values[k]) / (5 - k) for k in range(5))
    ordered = sorted(values)
    return float((ordered[2] + ordered[3]) / 2 + 0.5 * (7 / 5) * slopes)


def _quantile(ordered: FloatArray, q: float) -> float:
    """Quantile of sorted values, linear between them."""
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def _late_inliers(v: FloatArray) -> FloatArray:
    """The last six values within 1.5 interquartile ranges of the quartiles, padded with the median in front."""
    ordered = np.sort(v)
    low, median, high = (_quantile(ordered, q) for q in (0.25, 0.5, 0.75))
    reach = 1.5 * (high - low)
    inside = v[(v >= low - reach) & (v <= high + reach)][-6:]
    return np.concatenate(([median] * (6 - len(inside)), inside))


def _last_scores(v: FloatArray, most: int) -> tuple[FloatArray, ModelName]:
    """Scores for the last point: a suspect tail in front of it is left out of its series."""
    n = len(v)
    score = _scores(v, "last")
    late = min(max(most, int(0.1 * n)), int(0.45 * n))
    suspect = np.flatnonzero(score[n - late :] >= SUSPECT)
    cut = n - late + int(suspect[0]) if len(suspect) else n - 1
    score[n - 1] = _scores(np.concatenate((v[:cut], v[-1:])), "last")[-1]
    score[cut : n - 1] = 2.0
    deviation = v.std()
    if deviation > 0 and abs(v[-1] - v.mean()) / deviation < NEAR_MEAN:
        score[n - 1] = 0.0
        return score, "SpectralResidualZScore"
    return score, "SpectralResidual"


def _expected_last(v: FloatArray, calm: BoolArray) -> FloatArray:
    """The values, but for the last point the mean of the later half of the calm ones."""
    expected = v.copy()
    places = np.flatnonzero(calm)
    expected[-1] = v[places[len(places) // 2 :]].mean()
    return expected


def _calm_values(v: FloatArray, calm: BoolArray) -> FloatArray:
    """The values, but at other points the mean of the calm ones since half way back, or of all so far."""
    out = v.copy()
    loud = np.flatnonzero(~calm)
    counts = np.concatenate(([0], np.cumsum(calm)))
    origin = v[0]
    shifted = v - origin
    sums, all_sums = (np.concatenate(([0.0], np.cumsum(x))) for x in (shifted * calm, shifted))
    number = counts[loud + 1] - counts[loud // 2]
    some = number > 0
    near = (sums[loud + 1] - sums[loud // 2]) / np.maximum(number, 1)
    out[loud] = origin + np.where(some, near, all_sums[loud + 1] / (loud + 1))
    return out
