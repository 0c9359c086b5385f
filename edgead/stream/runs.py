"""Readings of one series in one go: what a series makes of them when each comes after the one before.

What `Series.feed` and what follows from it do to a series, for many readings at a time and without their verdicts.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from edgead.stream.journal import QUALITIES
from edgead.stream.outcome import Outcome
from edgead.stream.series import LARGEST_VALUE, SPARSE_AFTER, Pending, Series
from edgead.univariate.streaming import Judgement

#: Readings further apart (146 years) are left to arithmetic without bounds.
LONGEST_SPAN_NS = 2**62


class Run(NamedTuple):
    """Readings of one series, in the order they came; shape (count,) each."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    codes: NDArray[np.uint8]  # of their qualities

    def cut(self, first: int, last: int) -> "Run":
        """Some of them."""
        return Run(self.times[first:last], self.values[first:last], self.codes[first:last])

    def pick(self, places: NDArray[np.int64]) -> "Run":
        """Those at some places."""
        return Run(self.times[places], self.values[places], self.codes[places])

    def reading(self, at: int) -> Pending:
        """One of them, as a series takes it."""
        return int(self.times[at]), float(self.values[at]), QUALITIES[self.codes[at]]

    def readings(self) -> list[Pending]:
        """All of them, as a series takes them."""
        return [self.reading(at) for at in range(len(self.times))]


def run_of(readings: list[Pending]) -> Run:
    """Readings that wait in a series."""
    times, values, qualities = zip(*readings, strict=True) if readings else ((), (), ())
    codes = [QUALITIES.index(quality) for quality in qualities]
    return Run(np.array(times, np.int64), np.array(values, np.float64), np.array(codes, np.uint8))


def joined(runs: list[Run]) -> Run:
    """One run after another."""
    return Run(*(np.concatenate(columns) for columns in zip(*runs, strict=True)))


class Due(NamedTuple):
    """Readings to be judged, and the rows without a reading before each."""

    run: Run
    missing: NDArray[np.int64]


def is_odd(keys: NDArray[np.int32], readings: Run) -> NDArray[np.bool_]:
    """Readings that go the way of every reading: no number, too great, or not after the one before of the same key."""
    odd = ~(np.abs(readings.values) <= LARGEST_VALUE)
    odd[1:] |= (keys[1:] == keys[:-1]) & (readings.times[1:] <= readings.times[:-1])
    return odd


def move_on(series: Series, run: Run, now_ns: int, released: int | None) -> Due | None:
    """Have a series take readings, without judging them.

    Parameters
    ----------
    series : Series
        Without listeners.
    run : Run
        Not empty, none of them odd.
    now_ns : int
        Processing time of the last.
    released : int or None
        How many had come when those that waited were last judged by processing time; None: they were not.

    Returns
    -------
    Due or None
        What is to be judged now.  None: they are out of the ordinary for this series, and nothing has changed.
    """
    if series.backfill is not None or series.replay or not hasattr(series.detector, "network"):
        return None
    if run.times[0] <= series.newest_ns:
        return None
    newest_ns = int(run.times[-1])
    waiting = joined([run_of(series.pending), run]) if series.pending else run
    count = int(waiting.times.searchsorted(newest_ns - series.lateness_ns, "right"))
    if released is not None:
        count = max(count, len(series.pending) + released)
    due = waiting.cut(0, count)
    missing = _missing(series, due.times)
    if missing is None:
        return None
    series.stale = False
    series.newest_ns, series.late_run = newest_ns, 0
    series.arrived_ns = series.on_time_ns = now_ns
    series.pending = waiting.cut(count, len(waiting.times)).readings()
    series.recent.extend(due.times, due.values)
    return Due(due, missing)


def _missing(series: Series, times: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Rows without a reading before each that is judged next, noted in the series; None where the spacing widens."""
    if not len(times):
        return np.empty(0, np.int64)
    step_ns, before_ns = series.step_ns, series.judged_ns or int(times[0])
    if int(times[-1]) - before_ns >= LONGEST_SPAN_NS:
        return None
    gaps = np.empty_like(times)
    gaps[0] = times[0] - before_ns
    np.subtract(times[1:], times[:-1], out=gaps[1:])
    run, sparse_ns = 0, series.sparse_ns
    if gaps.max() <= step_ns:
        missing = np.zeros_like(times)
    else:
        missing = np.where(gaps > step_ns, (gaps + step_ns // 2) // step_ns - 1, 0)
        run = series.sparse_run
        for gap_ns, rows in zip(gaps.tolist(), missing.tolist(), strict=True):
            run = run + 1 if rows else 0
            if rows:
                sparse_ns = gap_ns if run == 1 else min(sparse_ns, gap_ns)
            if run >= SPARSE_AFTER:
                return None
    series.sparse_run, series.sparse_ns = run, sparse_ns
    series.judged_ns = int(times[-1])
    return missing


def tell(
    series: Series, run: Run, judged: NDArray[np.float64], ready: NDArray[np.bool_], out: Outcome
) -> None:
    """Have a series take the judgements of its readings; of those that change nothing only the last.

    Parameters
    ----------
    series : Series
        Whose they are.
    run : Run
        What was judged.
    judged : ndarray of float64, shape (count, 6)
        As of `Fusion.judge_many`.
    ready : ndarray of bool, shape (count,)
        Whether the detector was, after each.
    out : Outcome
        Of the call.
    """
    last = len(judged) - 1
    loud = [*np.flatnonzero(judged[:, 5]).tolist(), last]
    at, place = 0, 0
    while at <= last:
        if series.ready and not series.episode.since_ns:
            while loud[place] < at:
                place += 1
            at = loud[place]
        judgement = cast(Judgement, (*judged[at, :5].tolist(), bool(judged[at, 5])))
        series.take(run.reading(at), judgement, bool(ready[at]), out)
        at += 1
