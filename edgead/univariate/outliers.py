"""Which points of a column are too far out: deviate tests on both sides, combined by rank."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgead.native import svc_esd, svc_median, svc_order
from edgead.univariate.arrays import EPS, BoolArray, FloatArray, IndexArray

Mode = Literal["entire", "last"]

#: Distance from the median, in units of the MAD, from which the Z test flags.
Z_LIMIT = 3.0

#: Relative nearness at which two values of a column count as the same (NumPy's isclose).
NEAR = 1e-5


def outliers(columns: Sequence[FloatArray], ratio: float, alpha: float, mode: Mode) -> BoolArray:
    """Flags of the points that are out on the upper or the lower side.

    Parameters
    ----------
    columns : sequence of ndarray, each of shape (n,)
        Scaled to 0..1.  The first gets a deviate test and a Z test, the others a deviate test.
    ratio : float
        Largest share of flagged points on either side.
    alpha : float, 0..1
        Chance of a false alarm of one deviate test.
    mode : {"entire", "last"}
        ``"last"`` looks for the place of the last point only.
    """
    n = len(columns[0])
    most = min(max(math.ceil(n * ratio), 1), n // 2 - 1)
    flags = np.zeros(n, np.bool_)
    if not all(np.isfinite(x).all() for x in columns):
        return flags  # values at the ends of what doubles hold; the caller refuses what came of them
    facts = [_Column(x) for x in columns]
    for sign in (1, -1):
        orders = [column.order(sign, mode) for column in facts]
        lists = [facts[0].deviates(orders[0], sign, most, alpha, mode), facts[0].far(orders[0], most)]
        lists += [c.deviates(o, sign, most, alpha, mode) for c, o in zip(facts[1:], orders[1:])]
        flags[_lowest_ranks(lists, n, most)] = True
    return flags


def _lowest_ranks(lists: Sequence[IndexArray], n: int, most: int) -> IndexArray:
    """The `most` points of lowest rank: place k in list i gives k + i n, or adds k to a rank that is there already."""
    found = [(points, i) for i, points in enumerate(lists) if len(points)]
    if len(found) <= 1:
        return found[0][0][:most] if found else np.empty(0, np.int64)
    rank: dict[int, int] = {}
    for points, i in found:
        for k, point in enumerate(points.tolist()):
            rank[point] = rank[point] + k if point in rank else k + i * n
    return np.array(sorted(rank, key=rank.__getitem__)[:most], np.int64)


class _Column:
    """One column with its order statistics."""

    def __init__(self, x: FloatArray) -> None:
        self.x = x
        self.median, self.mad = svc_median(x)
        self.ascending: IndexArray = svc_order(x).astype(np.int64)

    def order(self, sign: int, mode: Mode) -> IndexArray:
        """Places from the most extreme value on.

        Among equals later places come first on the upper side and earlier ones on the lower; in mode ``"last"`` the
        last point comes first.
        """
        order = self.ascending[::-1] if sign > 0 else self.ascending
        if mode == "last" and sign < 0:
            order = order.copy()
            last = len(order) - 1
            place = int(np.flatnonzero(order == last)[0])
            first = place - int(np.count_nonzero(self.x == self.x[last])) + 1
            order[first + 1 : place + 1] = order[first:place]
            order[first] = last
        return order

    def deviates(self, order: IndexArray, sign: int, most: int, alpha: float, mode: Mode) -> IndexArray:
        """Leading points of `order` that the studentised-deviate test flags."""
        t = -sign * self.x[order]
        count = self._majority_count(t) if self.mad <= EPS else len(t)
        start = int(np.flatnonzero(order == len(order) - 1)[0]) if mode == "last" else 0
        if start >= min(count, most):
            return order[:0]
        return order[: svc_esd(t[:count], start, most, mode == "last", alpha)]

    def _majority_count(self, t: FloatArray) -> int:
        """Points up to the last one equal to the middle one, where more than half are equal but not extreme."""
        middle = t[(len(t) - 1) // 2]
        tolerances = EPS + NEAR * np.abs(t[[0, -1]])
        if np.any(np.abs(middle - t[[0, -1]]) <= tolerances):
            return len(t)
        return int(np.flatnonzero(np.abs(t - middle) <= EPS)[-1]) + 1

    def far(self, order: IndexArray, most: int) -> IndexArray:
        """Those of the first `most` points that the Z test flags."""
        centre, scale = self.median, self.mad
        if scale == 0:
            centre, scale = float(self.x.mean()), float(self.x.std())
        if scale == 0:
            return order[:0]
        first = order[:most]
        return first[np.abs(self.x[first] - centre) / scale > Z_LIMIT]
