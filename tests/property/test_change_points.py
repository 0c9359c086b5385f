"""From tenth to tenth a higher threshold accepts no fewer change points, as the documents of the service say."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgead.univariate import Request, detect_change_points


@given(
    st.integers(0, 2**32 - 1),
    st.integers(12, 300),
    st.integers(3, 30),
    st.sampled_from([0.0, 0.1, 1.0, 5.0]),
)
def test_counts_never_fall_from_one_tenth_of_the_threshold_to_the_next(
    seed: int, n: int, window: int, noise: float
):
    random = np.random.default_rng(seed)
    levels = np.cumsum(random.normal(size=n) * (random.random(n) < 0.05) * 10)
    values = levels + random.normal(size=n) * noise
    counts = []
    for threshold in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99):
        window = min(window, (n - 1) // 2)
        request = Request.of(values, period=0, threshold=threshold, stable_trend_window=window)
        found = detect_change_points(request)
        counts.append(int(found.is_change_point.sum()))
        assert (found.confidence >= 0).all()
        assert (found.confidence <= 1).all()
    assert counts == sorted(counts)
