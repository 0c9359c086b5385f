"""Variables with times of their own, made one table: joined, then filled."""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.multivariate.spec import AlignPolicy

FloatArray = NDArray[np.float64]
Times = NDArray[np.int64]

#: Most rows of a variable, and of the table (limit of the cloud service).
MAX_ROWS = 1_000_000
#: A magnitude no sensor has; above it a reading is a hole, as it is for the engine.
LARGEST_VALUE = 1e18


class VariableState(msgspec.Struct, frozen=True):
    """What alignment did to one variable.

    Attributes
    ----------
    variable : str
    filled_ratio : float, 0..1
        Share of the table's rows that had to be filled.
    count : int
        Readings before filling.
    first_ns, last_ns : int
        Times of the first and the last reading.
    """

    variable: str
    filled_ratio: float
    count: int
    first_ns: int
    last_ns: int


class Table(msgspec.Struct, frozen=True):
    """Aligned and filled rows.

    Attributes
    ----------
    names : tuple of str
    times_ns : ndarray of int64, shape (rows,)
    rows : ndarray of float64, shape (rows, variables)
    states : tuple of VariableState
        Greatest `filled_ratio` first, ties by name.
    """

    names: tuple[str, ...]
    times_ns: Times
    rows: FloatArray
    states: tuple[VariableState, ...]


def align(columns: Mapping[str, tuple[Times, FloatArray]], policy: AlignPolicy) -> Table:
    """Join variables by time and fill the holes.

    Parameters
    ----------
    columns : mapping of str to (times, values)
        Times in nanoseconds, strictly rising; a value that is NaN or above `LARGEST_VALUE` is a hole.
    policy : AlignPolicy
        Which rows, and how holes are filled.

    Returns
    -------
    Table

    Raises
    ------
    InvalidInput
        With a code of the REST contract: ``NoVariablesFound``, ``TooManyData``, ``NoData``,
        ``MergeDataFailed`` (no time is common to all, or times do not rise).
    """
    if not columns:
        raise InvalidInput("no variables", code="NoVariablesFound")
    known = {name: _known(name, *column) for name, column in columns.items()}
    times = _joined([times for times, _ in known.values()], policy)
    if not len(times):
        raise InvalidInput("no time is common to all variables", code="MergeDataFailed")
    if len(times) > MAX_ROWS:
        raise InvalidInput(
            f"{len(times)} rows at the times of all variables, at most {MAX_ROWS}: bring times that differ a little "
            "onto one grid first, or align Inner",
            code="TooManyData",
        )
    rows = np.stack([_filled(times, *column, policy) for column in known.values()], axis=1)
    states = [_state(name, times, column[0]) for name, column in known.items()]
    return Table(
        tuple(columns), times, rows, tuple(sorted(states, key=lambda s: (-s.filled_ratio, s.variable)))
    )


def _known(name: str, times: Times, values: FloatArray) -> tuple[Times, FloatArray]:
    """Readings that are numbers."""
    if len(times) > MAX_ROWS:
        raise InvalidInput(f"{name}: {len(times)} rows, at most {MAX_ROWS}", code="TooManyData")
    if len(times) != len(values):
        raise InvalidInput(f"{name}: {len(times)} times and {len(values)} values", code="MergeDataFailed")
    if (np.diff(times) <= 0).any():
        raise InvalidInput(f"{name}: times must rise, each once", code="MergeDataFailed")
    known = np.abs(values) <= LARGEST_VALUE  # False for NaN
    if not known.any():
        raise InvalidInput(f"{name}: no readings", code="NoData")
    return times[known], values[known]


def _joined(times: list[Times], policy: AlignPolicy) -> Times:
    if policy.mode == "Outer":
        return np.unique(np.concatenate(times))
    joined = times[0]
    for other in times[1:]:
        joined = np.intersect1d(joined, other, assume_unique=True)
    return joined


def _filled(grid: Times, times: Times, values: FloatArray, policy: AlignPolicy) -> FloatArray:
    """Values on the grid; a hole before the first or after the last reading takes the nearest one."""
    if policy.fill == "Linear":
        return np.asarray(np.interp(grid - grid[0], times - grid[0], values), np.float64)
    place = np.searchsorted(times, grid)
    inside = np.minimum(place, len(times) - 1)
    here = times[inside] == grid
    if policy.fill == "Previous":
        return values[np.where(here, inside, np.maximum(place - 1, 0))]
    if policy.fill == "Subsequent":
        return values[inside]
    padding = policy.padding_value if policy.fill == "Fixed" else 0.0
    return np.where(here, values[inside], padding)


def _state(name: str, grid: Times, times: Times) -> VariableState:
    present = int(np.isin(grid, times, assume_unique=True).sum())
    return VariableState(name, 1.0 - present / len(grid), len(times), int(times[0]), int(times[-1]))
