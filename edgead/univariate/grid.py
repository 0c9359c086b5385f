"""Times to places on the grid of a granularity."""

import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.univariate.arrays import BoolArray, IndexArray
from edgead.univariate.request import Request, refuse

_SECOND = 1_000_000
_STEPS = {"secondly": _SECOND, "minutely": 60 * _SECOND, "hourly": 3600 * _SECOND}
_STEPS |= {"daily": 86400 * _SECOND, "weekly": 604800 * _SECOND}


def grid_places(request: Request) -> IndexArray:
    """Steps from the first point to each point, the first is 0.

    Raises
    ------
    InvalidInput
        InvalidSeries, naming the first point that is not on the grid.
    """
    if request.granularity == "none" or request.times_us is None:
        return np.arange(len(request.values))
    times, interval = request.times_us, request.custom_interval
    if request.granularity in ("monthly", "yearly"):
        places, on_grid = _calendar_places(times, request.granularity, interval)
    elif request.granularity == "microsecond":
        places, on_grid = _millisecond_places(times, interval)
    else:
        # the span of times is checked before the product can leave 64 bits: years 1..9999 are 3.2e17 us
        step = min(_STEPS[request.granularity] * interval, 2**62)
        places, rest = np.divmod(times - times[0], step)
        on_grid = rest == 0
    good = on_grid.all() and (places[1:] > places[:-1]).all()
    if not good:
        wrong = np.flatnonzero(~on_grid | np.concatenate(([False], places[1:] <= places[:-1])))
        raise _off_grid(int(wrong[0]), request)
    return places


def _off_grid(i: int, request: Request) -> InvalidInput:
    step = f"{request.granularity} granularity with {request.custom_interval} gran as interval"
    return refuse("InvalidSeries", f"The 'timestamp' at index {i} is invalid in {step}.")


def _millisecond_places(times: NDArray[np.int64], interval: int) -> tuple[IndexArray, BoolArray]:
    """The service's "microsecond" counts whole milliseconds."""
    step = int(0.001 * interval * 1000)
    millis = times // 1000
    if step < 1:  # the service's own rounding loses no interval below 2^31
        step = 1
    places, rest = np.divmod(millis - millis[0], step)
    return places, rest == 0


def _calendar_places(
    times: NDArray[np.int64], granularity: str, interval: int
) -> tuple[IndexArray, BoolArray]:
    """Only the date counts.  The same day, or the last of both months, or the last day of a month that is too short."""
    months = times.view("datetime64[us]").astype("datetime64[M]")
    number = months.astype(np.int64)
    day = (times.view("datetime64[us]").astype("datetime64[D]") - months.astype("datetime64[D]")).astype(
        np.int64
    ) + 1
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    first_day, first_length = day[0], length[0]
    last, first_is_last = day == length, first_day == first_length
    shorter = (last & (day < first_day)) | (first_is_last & (first_day < day))
    other_month = (day == first_day) | (last & first_is_last) | ((length != first_length) & shorter)
    passed = number - number[0]
    aligned = np.where(passed == 0, day == first_day, other_month)
    step = interval * (12 if granularity == "yearly" else 1)
    places, rest = np.divmod(passed, step)
    return places, aligned & (rest == 0)
