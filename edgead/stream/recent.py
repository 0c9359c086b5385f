"""The last judged rows of a series, to recognise repeated readings and to correct revised ones."""

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Recent:
    """Times and values of the last rows, newest last.

    Two plain arrays that grow to twice the wanted rows before their older half is cut off: appending is O(1) on
    average, looking up a time is a binary search, and 256 rows take at most 8 KiB.

    Parameters
    ----------
    rows : int, >= 1
        Rows that can at least be looked up.
    """

    __slots__ = ("_rows", "_times", "_values")

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._times = array("q")
        self._values = array("d")

    def append(self, time_ns: int, value: float) -> None:
        """Add the newest row; `time_ns` is later than every row before."""
        if len(self._times) >= 2 * self._rows:
            del self._times[: self._rows], self._values[: self._rows]
        self._times.append(time_ns)
        self._values.append(value)

    def extend(self, times: "NDArray[np.int64]", values: "NDArray[np.float64]") -> None:
        """Add rows, as if one by one."""
        if len(self._times) > 2 * self._rows:  # of a dump with more rows: they go bit by bit
            for time_ns, value in zip(times.tolist(), values.tolist(), strict=True):
                self.append(time_ns, value)
            return
        self._times.frombytes(times.tobytes())
        self._values.frombytes(values.tobytes())
        surplus = max(len(self._times) - 2 * self._rows, 0)
        cut = (surplus + self._rows - 1) // self._rows * self._rows
        del self._times[:cut], self._values[:cut]

    def age_of(self, time_ns: int) -> int | None:
        """How many rows ago this time was judged (0 = newest), or None."""
        at = bisect_left(self._times, time_ns)
        if at < len(self._times) and self._times[at] == time_ns:
            return len(self._times) - 1 - at
        return None

    def value_at(self, age: int) -> float:
        """Value of the row `age` rows ago."""
        return self._values[-1 - age]

    def replace(self, age: int, value: float) -> None:
        """Correct the value of the row `age` rows ago."""
        self._values[-1 - age] = value

    def last(self, count: int) -> list[tuple[int, float]]:
        """(time_ns, value) of the last rows, oldest first, at most `count`."""
        return list(zip(self._times[-count:], self._values[-count:], strict=True)) if count else []

    def dump(self) -> tuple[bytes, bytes]:
        """Times and values as raw arrays."""
        return self._times.tobytes(), self._values.tobytes()

    def load(self, dumped: tuple[bytes, bytes]) -> None:
        """Take the rows of a dump."""
        self._times, self._values = array("q", dumped[0]), array("d", dumped[1])
