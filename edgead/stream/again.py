"""Readings of the journal judged again, series by series, where detectors have a network: the most of a restart.

In the journal the readings of all series are mixed as they came.  Nobody hears the verdicts of a restart, so of a
series that feeds no group only its own inputs need their order: they are gathered from many entries and judged in one
go, by loops in C over a state that stays in the caches, and only the verdicts that change something are made.  The
network may judge some readings while the next are prepared.  What is out of the ordinary (readings that are late,
repeated or no numbers, a source that skips rows all the time) goes the way of every reading.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgead.stream import journal
from edgead.stream.batch import MOST
from edgead.stream.outcome import Outcome
from edgead.stream.runs import Due, Run, is_odd, move_on, tell
from edgead.stream.series import NEVER, RELEASE, Pending, Series
from edgead.univariate.networks import Network
from edgead.univariate.streaming import BatchedDetector

#: Readings gathered, 1.4 MB: some 60 of each of a thousand series; more where one entry has more.
GATHERED = 65_536
#: Series with a greater key (numbers of series that once were count, too) go the way of every reading.
MOST_KEYS = 2**20

Answer = tuple[list[float], NDArray[np.float32]]
Judge = Callable[[NDArray[np.float32]], Answer]


class Promise(Protocol):
    """What a network will have answered."""

    def done(self) -> bool: ...  # noqa: D102
    def result(self) -> Answer: ...  # noqa: D102


#: Has a network judge histories, at once or beside what goes on (`concurrent.futures.Executor.submit`).
Ask = Callable[[Judge, NDArray[np.float32]], Promise]


class _Now:
    """A promise that is kept at once."""

    def __init__(self, judge: Judge, histories: NDArray[np.float32]) -> None:
        self._answer = judge(histories)

    def done(self) -> bool:
        return True

    def result(self) -> Answer:
        return self._answer


class Again:
    """Gathers readings, and judges them.

    Parameters
    ----------
    included : mapping of str to int
        Series id to the last journal entry that its snapshot includes.
    out : Outcome
        For what goes the way of every reading; with a batch.
    counts : Counter
        Of the engine.
    ask : callable, optional
        As `Ask`; by default networks judge at once.
    """

    def __init__(
        self, included: Mapping[str, int], out: Outcome, counts: Counter[str], ask: Ask | None
    ) -> None:
        self._included = included
        self._out = out
        self._counts = counts
        self._calls = _Calls(out, ask or _Now)
        self._series: dict[int, Series] = {}
        self._since = np.empty(
            0, np.int64
        )  # by key: the last entry of no use; NEVER where nothing is gathered
        self._others = False  # some series go the way of every reading
        self._make_room(GATHERED)
        self._forget()

    def _make_room(self, most: int) -> None:
        self._keys = np.empty(most, np.int32)
        self._readings = Run(np.empty(most, np.int64), np.empty(most), np.empty(most, np.uint8))

    def _forget(self) -> None:
        self._count = 0
        self._fed: list[tuple[int, int]] = []  # (first reading, when it arrived)
        self._releases: dict[int, list[int]] = {}  # key -> readings gathered before each

    def add(self, series: Series) -> None:
        """Gather the inputs of a series from now on, where nobody else has a part in what comes of them."""
        key = series.key
        if series.listeners or not 0 <= key < MOST_KEYS:
            self._others = True
            return
        if key >= len(self._since):
            more = np.full(max(key + 1, 2 * len(self._since)), NEVER, np.int64)
            more[: len(self._since)] = self._since
            self._since = more
        self._since[key] = self._included.get(series.series_id, 0)
        self._series[key] = series

    def feed(self, fed: journal.Fed, seq: int) -> tuple[Counter[int], list[tuple[int, Pending]]]:
        """Gather what can be of the readings of an entry; those gathered before are judged when there is no room.

        Returns
        -------
        (Counter, list)
            How many were gathered, by key; and the readings, as `journal.rows` tells them, that were not.
        """
        keys = np.frombuffer(fed.keys, np.int32)
        known = np.where((keys >= 0) & (keys < len(self._since)), keys, -1)
        mine = np.append(self._since, NEVER)[known] < seq
        keys = keys[mine]
        if len(keys):
            self._gather(fed, keys, mine)
        rest = journal.rows(fed) if self._others else []
        return Counter(keys.tolist()), [row for row, taken in zip(rest, mine.tolist()) if not taken]

    def _gather(self, fed: journal.Fed, keys: NDArray[np.int32], mine: NDArray[np.bool_]) -> None:
        if self._count + len(keys) > len(self._keys):
            self.judge()
        if len(keys) > len(self._keys):
            self._make_room(len(keys))
        self._fed.append((self._count, fed.now_ns))
        here = slice(self._count, self._count + len(keys))
        self._count += len(keys)
        self._keys[here] = keys
        self._readings.times[here] = np.frombuffer(fed.times, np.int64)[mine]
        self._readings.values[here] = np.frombuffer(fed.values, np.float64)[mine]
        self._readings.codes[here] = np.frombuffer(fed.qualities, np.uint8)[mine]

    def release(self, series: Series) -> bool:
        """Note that the readings which wait in a series were judged now; False: it is not gathered."""
        if self._series.get(series.key) is not series:
            return False
        self._releases.setdefault(series.key, []).append(self._count)
        return True

    def judge(self) -> None:
        """Judge what was gathered: before anything else is done to the series."""
        if self._count:
            order = np.argsort(self._keys[: self._count], kind="stable")
            keys, readings = self._keys[order], self._readings.pick(order)
            odd = is_odd(keys, readings)
            bounds = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist(), self._count]
            for first, last in pairwise(bounds):
                run = readings.cut(first, last)
                self._judge(int(keys[first]), run, order[first:last], odd[first:last])
        for key in self._releases:
            self._series[key].act(RELEASE, self._out)
        self._calls.settle()
        self._out.settle()
        self._forget()

    def _judge(self, key: int, run: Run, places: NDArray[np.int64], odd: NDArray[np.bool_]) -> None:
        """Judge the readings of one series; `places` among all that were gathered."""
        series, releases, due = self._series[key], self._releases.pop(key, []), None
        if not odd.any():
            released = int(places.searchsorted(releases[-1])) if releases else None
            due = move_on(series, run, self._arrived(int(places[-1])), released)
        if due is not None:
            self._calls.add(series, due)
            return
        self._calls.settle()
        at = 0
        for place, reading in zip(places.tolist(), run.readings(), strict=True):
            while at < len(releases) and releases[at] <= place:
                series.act(RELEASE, self._out)
                at += 1
            series.feed(reading, self._arrived(place), self._out, self._counts)
        if at < len(releases):
            series.act(RELEASE, self._out)
        self._out.settle()

    def _arrived(self, place: int) -> int:
        """When a reading came, processing time."""
        return self._fed[bisect_right(self._fed, (place, NEVER)) - 1][1]


class _Part(NamedTuple):
    """Readings of a series among the histories of a call."""

    series: Series
    detector: BatchedDetector
    run: Run
    rows: NDArray[np.float64]


class _Calls:
    """Calls of networks: while one is under way, the histories of the next are filled, and judged if it takes long."""

    def __init__(self, out: Outcome, ask: Ask) -> None:
        self._out = out
        self._ask = ask
        self._network: Network | None = None
        self._histories: NDArray[np.float32] = np.empty(0, np.float32)
        self._spare = self._histories
        self._count = 0
        self._parts: list[_Part] = []
        self._under_way: tuple[list[_Part], Promise] | None = None

    def add(self, series: Series, due: Due) -> None:
        """Have the readings of a series judged, now or with others."""
        detector = cast(BatchedDetector, series.detector)
        if detector.network is not self._network:
            self.settle()
            self._network = detector.network
            self._histories, self._spare = np.empty((2, MOST, *detector.network.shape), np.float32)
        first = 0
        while first < len(due.missing):
            last = min(len(due.missing), first + MOST - self._count)
            histories = self._histories[self._count : self._count + last - first]
            run = due.run.cut(first, last)
            rows = detector.prepare_many(run.values, due.missing[first:last], histories)
            self._parts.append(_Part(series, detector, run, rows))
            self._count += last - first
            first = last
            if self._count == MOST:
                self._send()

    def _send(self) -> None:
        """Have the network called for what was filled: here, where the call before is not over yet."""
        assert self._network is not None
        judge, histories = self._network.judge, self._histories[: self._count]
        waits = self._under_way is not None and not self._under_way[1].done()
        promise = _Now(judge, histories) if waits else self._ask(judge, histories)
        parts, self._parts, self._count = self._parts, [], 0
        self._finish()
        self._under_way = parts, promise
        self._histories, self._spare = self._spare, self._histories

    def _finish(self) -> None:
        """Take the answer that is awaited."""
        if self._under_way is None:
            return
        (parts, promise), self._under_way = self._under_way, None
        scores, embeddings = promise.result()
        odds, at = np.array(scores, np.float32), 0
        for series, detector, run, rows in parts:
            here = slice(at, at + len(rows))
            at += len(rows)
            judged = detector.conclude_many(rows, odds[here], embeddings[here])
            tell(series, run, judged, rows[:, -1] == 0, self._out)
        self._out.verdicts.clear()
        self._out.events.clear()

    def settle(self) -> None:
        """Have everything judged."""
        if self._count:
            self._send()
        self._finish()
