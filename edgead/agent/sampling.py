"""Windows of readings for training: the same stretch of time of every series asked for, within a budget."""

import fnmatch
import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from edgead.config import UplinkDataConfig
from edgead.records import Reading

#: Readings of one series in a window, and series with a window that is not full: what comes beyond is left out.
MAX_READINGS, MAX_SERIES = 20_000, 1000
_DAY_NS = 86_400 * 10**9


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """A window of one series, as it is sent.

    Attributes
    ----------
    series : str
    ts : int
        Epoch milliseconds of its first reading.
    times_us : list of int
        Epoch microseconds.
    values : list of float or None
        None where the source sent no value.
    """

    series: str
    ts: int
    times_us: list[int]
    values: list[float | None]


class _Open(NamedTuple):
    number: int
    times_us: list[int]
    values: list[float | None]


class Sampler:
    """Collects the windows of a configuration.

    Parameters
    ----------
    config : UplinkDataConfig

    Attributes
    ----------
    left_out : int
        Readings of windows that were not sent, for a bound.
    """

    def __init__(self, config: UplinkDataConfig) -> None:
        self.left_out = 0
        self._config = config
        self._open: dict[str, _Open] = {}
        self._day, self._spent = 0, 0
        pattern = re.compile("|".join(fnmatch.translate(each) for each in config.series))
        self._wanted = functools.lru_cache(10_000)(lambda series_id: bool(pattern.match(series_id)))

    def take(self, readings: Iterable[Reading], now_ns: int) -> list[bytes]:
        """Take readings in the order they came; windows that are complete, encoded as `Readings`.

        Parameters
        ----------
        readings : iterable of Reading
            Of any series.
        now_ns : int
            Processing time, for the budget of a day.
        """
        done: list[bytes] = []
        every, length = self._config.every, self._config.window
        for reading in readings:
            if not self._wanted(reading.series_id):
                continue
            number, offset = divmod(reading.time_ns, every)
            window = self._open.get(reading.series_id)
            if window is not None and (number > window.number or offset >= length):
                del self._open[reading.series_id]
                done += self._close(reading.series_id, window, now_ns)
                window = None
            if offset < length and (window is None or number == window.number):
                self._add(reading, window, number)
        return done

    def _add(self, reading: Reading, window: _Open | None, number: int) -> None:
        if window is None:
            if len(self._open) >= MAX_SERIES:
                self.left_out += 1
                return
            window = self._open[reading.series_id] = _Open(number, [], [])
        if len(window.values) >= MAX_READINGS:
            self.left_out += 1
            return
        window.times_us.append(reading.time_ns // 1000)
        window.values.append(reading.value if reading.value == reading.value else None)

    def _close(self, series_id: str, window: _Open, now_ns: int) -> list[bytes]:
        """A complete window, if the day has room for it."""
        ts = window.times_us[0] // 1000
        body = msgspec.json.encode(
            Readings(series=series_id, ts=ts, times_us=window.times_us, values=window.values)
        )
        day = now_ns // _DAY_NS
        if day != self._day:
            self._day, self._spent = day, 0
        if self._spent + len(body) > self._config.daily:
            self.left_out += len(window.values)
            return []
        self._spent += len(body)
        return [body]
