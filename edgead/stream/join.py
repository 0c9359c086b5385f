"""Variables that come one reading at a time, joined to rows and filled as ``multivariate.align`` does it on the whole.

A row is *closed* when no reading can change it any more: every variable has one at its time or later.  Readings are
put on the grid of the model's step first, counted from the first reading of all; of two in one slot the first counts,
so that it does not matter in which order the variables come.

No hole longer than `JoinSettings.max_gap_ns` is filled.  When a variable is missing for longer the join gives up
waiting, forgets what it holds and starts again with the readings that follow.
"""

from bisect import bisect_left, bisect_right
from typing import Literal

import msgspec

#: (time_ns, values in the order of the variables) of a closed row.
Row = tuple[int, tuple[float, ...]]
#: What outlives the process: anchor, closed, newest, gave up, times and values of each variable.
Dumped = tuple[int | None, int, int, bool, list[tuple[list[int], list[float]]]]

_ABSENT = -(2**63)


class JoinSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How variables become rows.

    Attributes
    ----------
    variables : int, >= 1
    step_ns : int, > 0
        Spacing of the grid.
    mode : {"Outer", "Inner"}
        Rows where any variable has a reading, or where every one has.
    fill : {"Linear", "Previous", "Subsequent", "Zero", "Fixed"}
        What a hole becomes; before the first reading of a variable the nearest one, but for the last two.
    padding_value : float
        For ``Fixed``.
    max_gap_ns : int, > 0
        Longest hole that is filled, in event time.
    """

    variables: int
    step_ns: int
    mode: Literal["Inner", "Outer"] = "Outer"
    fill: Literal["Previous", "Subsequent", "Linear", "Zero", "Fixed"] = "Linear"
    padding_value: float = 0.0
    max_gap_ns: int


class Join:
    """Readings in, closed rows out.

    Parameters
    ----------
    settings : JoinSettings

    Attributes
    ----------
    gave_up : bool
        A variable is missing for longer than holes are filled, and no row was closed since.
    restarts : int
        Times that the rows lost their connection to those before.
    """

    __slots__ = (
        "_anchor_ns",
        "_behind",
        "_closed_ns",
        "_last",
        "_newest_ns",
        "_oldest_ns",
        "_times",
        "_values",
        "gave_up",
        "restarts",
        "settings",
    )

    def __init__(self, settings: JoinSettings) -> None:
        self.settings = settings
        self.restarts = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything, also where the grid lies and what was closed."""
        self._anchor_ns: int | None = None
        self._closed_ns = self._newest_ns = _ABSENT
        self.gave_up = False
        self._clear()

    def _clear(self) -> None:
        count = self.settings.variables
        self._times: list[list[int]] = [[] for _ in range(count)]  # the last closed reading, and all after it
        self._values: list[list[float]] = [[] for _ in range(count)]
        self._last = [_ABSENT] * count  # of each variable
        self._oldest_ns, self._behind = _ABSENT, count  # least of `_last`, and how many are as old
        self.restarts += 1

    def take(self, variable: int, time_ns: int, value: float) -> list[Row]:
        """Take the next reading of a variable, later than those before it.

        Parameters
        ----------
        variable : int
            Its place in the row.
        time_ns : int
            Its time.
        value : float
            Finite.

        Returns
        -------
        list of Row
            Rows that this reading closes, oldest first.
        """
        at_ns = self._on_grid(time_ns)
        if at_ns <= self._last[variable]:
            return []
        if at_ns > self._newest_ns:
            self._newest_ns = at_ns
        if self._lags():
            self._clear()
            self.gave_up = True
        self._times[variable].append(at_ns)
        self._values[variable].append(value)
        self._advance(variable, at_ns)
        horizon_ns = self._oldest_ns
        if horizon_ns == _ABSENT:
            self._drop_old(variable)
            return []
        return self._close(horizon_ns) if horizon_ns > self._closed_ns else []

    def _advance(self, variable: int, at_ns: int) -> None:
        """Note the newest reading of a variable; the oldest of all is sought once a row, not once a reading."""
        before_ns, self._last[variable] = self._last[variable], at_ns
        if before_ns == self._oldest_ns:
            self._behind -= 1
            if not self._behind:
                self._find_oldest()

    def _find_oldest(self) -> None:
        self._oldest_ns = min(self._last)
        self._behind = self._last.count(self._oldest_ns)

    def flush(self) -> list[Row]:
        """Close every row: nothing follows, and a hole at the end takes the last reading."""
        if _ABSENT in self._last:
            return []
        return self._close(max(self._last))

    def _on_grid(self, time_ns: int) -> int:
        if self._anchor_ns is None:
            self._anchor_ns = time_ns
        step_ns = self.settings.step_ns
        return self._anchor_ns + (time_ns - self._anchor_ns + step_ns // 2) // step_ns * step_ns

    def _lags(self) -> bool:
        """Whether a variable that was there is missing for longer than holes are filled."""
        oldest_ns = self._oldest_ns
        if oldest_ns == _ABSENT:
            oldest_ns = min((each for each in self._last if each != _ABSENT), default=self._newest_ns)
        return self._newest_ns - oldest_ns > self.settings.max_gap_ns

    def _drop_old(self, variable: int) -> None:
        """Wait no longer for a variable that never came than for one that went."""
        times, oldest_ns = self._times[variable], self._newest_ns - self.settings.max_gap_ns
        if times[0] < oldest_ns:
            self.gave_up = True
            past = bisect_left(times, oldest_ns)
            del times[:past], self._values[variable][:past]

    def _close(self, horizon_ns: int) -> list[Row]:
        rows = self._close_one(horizon_ns) or self._close_many(horizon_ns)
        self._closed_ns = horizon_ns
        if rows:
            self.gave_up = False
        return rows

    def _close_one(self, horizon_ns: int) -> list[Row]:
        """The usual row, where each variable has one reading after the last row and all are in one slot."""
        if self._behind < self.settings.variables:
            return []
        closed_ns = self._closed_ns
        for times in self._times:
            if len(times) != 2 or times[0] > closed_ns:
                return []
        for times, values in zip(self._times, self._values, strict=True):
            del times[0], values[0]
        return [(horizon_ns, tuple([values[0] for values in self._values]))]

    def _close_many(self, horizon_ns: int) -> list[Row]:
        fresh = [
            times[bisect_right(times, self._closed_ns) : bisect_right(times, horizon_ns)]
            for times in self._times
        ]
        first, *others = map(set, fresh)
        joined = first.union(*others) if self.settings.mode == "Outer" else first.intersection(*others)
        places = range(self.settings.variables)
        rows = [(at_ns, tuple([self._value(place, at_ns) for place in places])) for at_ns in sorted(joined)]
        for times, values in zip(self._times, self._values, strict=True):
            past = bisect_right(times, horizon_ns) - 1
            if past > 0:
                del times[:past], values[:past]
        return rows

    def _value(self, variable: int, at_ns: int) -> float:
        """The reading at a time, or what fills the hole there."""
        times, values = self._times[variable], self._values[variable]
        place = bisect_left(times, at_ns)
        if place < len(times) and times[place] == at_ns:
            return values[place]
        fill = self.settings.fill
        if fill in ("Zero", "Fixed"):
            return self.settings.padding_value if fill == "Fixed" else 0.0
        if place == 0 or (fill == "Subsequent" and place < len(times)):
            return values[place]
        before_ns, before = times[place - 1], values[place - 1]
        if fill == "Previous" or place == len(times):
            return before
        slope = (values[place] - before) / (times[place] - before_ns)
        return (
            slope * (at_ns - before_ns) + before
        )  # the order of operations of numpy's interp: equal to the last bit

    def dump(self) -> Dumped:
        """All state."""
        columns = list(zip(self._times, self._values, strict=True))
        return self._anchor_ns, self._closed_ns, self._newest_ns, self.gave_up, columns

    def load(self, dumped: Dumped) -> None:
        """Take the state of a dump of as many variables."""
        self._anchor_ns, self._closed_ns, self._newest_ns, self.gave_up, columns = dumped
        self._times = [list(times) for times, _ in columns]
        self._values = [list(values) for _, values in columns]
        self._last = [times[-1] if times else _ABSENT for times in self._times]
        self._find_oldest()
