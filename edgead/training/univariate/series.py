"""Normal series to learn from: simulated equipment, made series of many families, and train parts of recordings."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.simulate import MACHINES, simulate
from edgead.training.univariate.recipe import Loaded, Recordings

FloatArray = NDArray[np.float64]

#: Rows that a train part must have, and share of its readings that differ from the one before.
LEAST_ROWS, MOVING_SHARE = 400, 0.3

#: Rows of a day of made series: not told, five minutes and one minute; share of those told that follow the day.
DAYS, DAILY_SHARE = (0, 0, 288, 1440), 0.7

#: Beginnings of the licences a model that is given away may learn from; "SA" or another name is refused.
LICENCES = ("MIT", "CC BY 4.0 (UCI", "Caltech/JPL BSD-3-style")


class Normal(NamedTuple):
    """One series to learn from.

    Attributes
    ----------
    name : str
    values : ndarray of float64, shape (n,)
        Finite.
    abnormal : ndarray of bool, shape (n,)
        Labelled as abnormal: neither normal nor one of ours.
    source : str
        Where it comes from, with its licence.
    labelled : bool
        Learn from its labels in place of made anomalies.
    rows_per_day : int
        0 = not known, or no day.
    """

    name: str
    values: FloatArray
    abnormal: NDArray[np.bool_]
    source: str
    labelled: bool = False
    rows_per_day: int = 0


# ---------------------------------------------------------------------- made


def _season(rng: np.random.Generator, rows: int) -> FloatArray:
    """A smooth shape that repeats: a few harmonics of one period."""
    period = float(np.exp(rng.uniform(np.log(16), np.log(1500))))
    angle = 2 * np.pi * np.arange(rows) / period
    count = int(rng.integers(1, 6))
    waves = [
        rng.normal() / (k + 1) * np.sin((k + 1) * angle + rng.uniform(0, 2 * np.pi)) for k in range(count)
    ]
    return np.asarray(np.sum(waves, axis=0), dtype=np.float64)


def _wander(rng: np.random.Generator, rows: int, keep: float) -> FloatArray:
    steps = rng.standard_normal(rows) * np.sqrt(1.0 - keep * keep)
    state, out = 0.0, np.empty(rows)
    for at, step in enumerate(steps.tolist()):
        state = keep * state + step
        out[at] = state
    return out


def _white(rng: np.random.Generator, rows: int) -> FloatArray:
    return rng.standard_normal(rows)


def _heavy(rng: np.random.Generator, rows: int) -> FloatArray:
    return rng.standard_t(rng.uniform(3.0, 8.0), rows)


def _skewed(rng: np.random.Generator, rows: int) -> FloatArray:
    return rng.gamma(rng.uniform(0.7, 4.0), 1.0, rows)


def _slow(rng: np.random.Generator, rows: int) -> FloatArray:
    return _wander(rng, rows, rng.uniform(0.8, 0.995)) + rng.uniform(0.02, 0.5) * rng.standard_normal(rows)


def _daily(rng: np.random.Generator, rows: int) -> FloatArray:
    scatter = rng.uniform(0.02, 0.4)
    return _season(rng, rows) + scatter * rng.standard_normal(rows)


def _restless(rng: np.random.Generator, rows: int) -> FloatArray:
    """Scatter that follows the season, as of counts of people's doings."""
    season = _season(rng, rows)
    load: FloatArray = np.exp(season - season.max())
    return load + rng.uniform(0.02, 0.2) * np.sqrt(load + 0.02) * rng.standard_normal(rows)


def _counts(rng: np.random.Generator, rows: int) -> FloatArray:
    season = _season(rng, rows)
    rate = rng.uniform(2.0, 200.0) * np.exp(0.7 * season)
    return rng.poisson(np.minimum(rate, 1e6)).astype(np.float64)


def _duty(rng: np.random.Generator, rows: int) -> FloatArray:
    """Two states, each kept for a while, with a lag."""
    stay = rng.uniform(10, 120)
    out, at, state = np.zeros(rows), 0, 0.0
    while at < rows:
        length = int(rng.gamma(8.0, stay / 8.0)) + 3
        out[at : at + length], at, state = state, at + length, 1.0 - state
    keep, value, lagged = rng.uniform(0.0, 0.8), 0.0, np.empty(rows)
    for row, target in enumerate(out.tolist()):
        value = keep * value + (1 - keep) * target
        lagged[row] = value
    return lagged + rng.uniform(0.01, 0.1) * rng.standard_normal(rows)


def _busy(rng: np.random.Generator, rows: int) -> FloatArray:
    """A season with bursts of load that are part of the normal."""
    out = _daily(rng, rows)
    for at in np.flatnonzero(rng.random(rows) < 0.004).tolist():
        length = int(rng.integers(1, 6))
        out[at : at + length] += rng.gamma(2.0, 0.5)
    return out


def _machine(rng: np.random.Generator, rows: int) -> FloatArray:
    machine = MACHINES[int(rng.integers(len(MACHINES)))]
    columns = simulate(machine, rows, seed=int(rng.integers(2**31)), step_s=float(rng.uniform(0.5, 5.0)))
    return list(columns.values())[int(rng.integers(len(columns)))].values


FAMILIES: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "white": _white,
    "heavy": _heavy,
    "skewed": _skewed,
    "slow": _slow,
    "daily": _daily,
    "restless": _restless,
    "counts": _counts,
    "duty": _duty,
    "busy": _busy,
    "machine": _machine,
}


def made(rng: np.random.Generator, rows: int, family: str) -> FloatArray:
    """A normal series of a family, on some scale, some of them quantised as a transmitter does."""
    values = FAMILIES[family](rng, rows)
    scale = float(np.exp(rng.uniform(np.log(1e-3), np.log(1e4))))
    values = scale * (values + rng.normal() * 5.0)
    if rng.random() < 0.4:
        step = float(values.std()) * rng.uniform(0.01, 0.2)
        values = np.round(values / step) * step if step > 0 else values
    return values


def _with_day(rng: np.random.Generator, values: FloatArray, rows_per_day: int) -> FloatArray:
    """The same with a shape that repeats every day."""
    angle, shape = 2 * np.pi * np.arange(len(values)) / rows_per_day, np.zeros(len(values))
    for harmonic in range(1, int(rng.integers(2, 8))):
        shape += rng.normal() / harmonic * np.sin(harmonic * angle + rng.uniform(0, 2 * np.pi))
    return values + rng.uniform(0.3, 3.0) * float(values.std()) * shape


def simulated(count: int, rows: int, seed: int) -> Iterator[Normal]:
    """So many made series, the families in turn; of half of them the length of a day is told, mostly for a reason."""
    names = list(FAMILIES)
    for number in range(count):
        family = names[number % len(names)]
        rng = np.random.default_rng([seed, number])
        values, day = made(rng, rows, family), int(rng.choice(DAYS))
        if day and rng.random() < DAILY_SHARE:
            values = _with_day(rng, values, day)
        about = "simulation of edgead.training"
        yield Normal(f"{family}-{number}", values, np.zeros(rows, np.bool_), about, rows_per_day=day)


# ---------------------------------------------------------------------- recorded


def entries_of(asked: Recordings, folder: Path) -> list[dict[str, Any]]:
    """Recordings of an index that a block of a recipe asks for.

    Raises
    ------
    InvalidInput
        If the index cannot be read, a set is unknown, or its licence is not on the list.
    """
    home = folder / asked.folder
    try:
        entries = json.loads((home / "index.json").read_text())["series"]
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"recordings.folder {home}: no readable index.json ({error})") from None
    known = sorted({entry["set"] for entry in entries})
    for name in asked.sets:
        if name not in known:
            raise InvalidInput(f"recordings.sets: {name!r} is unknown, expected some of {', '.join(known)}")
    chosen = [
        entry for entry in entries if entry["set"] in asked.sets and place_of(entry) not in asked.without
    ]
    for entry in chosen:
        if not str(entry["licence"]).startswith(LICENCES):
            raise InvalidInput(
                f"recordings: {place_of(entry)} is under {entry['licence']}, a model may not learn from it"
            )
    return chosen


def place_of(entry: dict[str, Any]) -> str:
    """``SET/series``."""
    return f"{entry['set']}/{entry['series']}"


def recorded(asked: Recordings, folder: Path, seed: int) -> Iterator[Normal]:
    """Train parts of the recordings of an index, variable by variable.

    Raises
    ------
    InvalidInput
        As `entries_of`, or if a file cannot be read.
    """
    for entry in entries_of(asked, folder):
        yield from _variables(asked, folder / asked.folder, entry, place_of(entry), seed)


def _variables(
    asked: Recordings, home: Path, entry: dict[str, Any], place: str, seed: int
) -> Iterator[Normal]:
    try:
        rows, labels, train = load_recording(home / entry["file"])
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"recordings: {home / entry['file']} cannot be read ({error})") from None
    rng = np.random.default_rng([seed, int(hashlib.sha256(place.encode()).hexdigest()[:8], 16)])
    labelled = asked.anomalies == "labelled"
    start = int(rng.integers(0, max(train - asked.rows, 0) + 1))
    part = slice(start, min(start + asked.rows, train))
    if part.stop - part.start < LEAST_ROWS:
        return
    for column in _chosen(asked, rows[part], rng):
        source = f"train part of {entry['set']}, {entry['licence']}"
        day = round(86400 / entry["interval_s"]) if entry["interval_s"] else 0
        yield Normal(f"{place}/{column}", rows[part, column], labels[part], source, labelled, day)


def _chosen(asked: Recordings, rows: FloatArray, rng: np.random.Generator) -> list[int]:
    """Columns to learn from: those that move often enough for a change to mean something."""
    moving = np.flatnonzero((np.diff(rows, axis=0) != 0).mean(0) >= MOVING_SHARE)
    if asked.columns:
        return [column for column in asked.columns if column in moving]
    return sorted(rng.permutation(moving)[: asked.variables].tolist())


def load_recording(path: Path) -> tuple[FloatArray, NDArray[np.bool_], int]:
    """Rows, labels and length of the train part; float32 in byte planes, as index.json tells."""
    with np.load(path, allow_pickle=False) as file:
        count, width = (int(n) for n in file["shape"])
        planes = np.ascontiguousarray(file["xs"].T).reshape(-1).view("<f4")
        return planes.reshape(count, width).astype(np.float64), file["y"] > 0, int(file["n_train"])


def normal_series(loaded: Loaded) -> Iterator[Normal]:
    """All series of a recipe, in a fixed order.

    Raises
    ------
    InvalidInput
        See `recorded`.
    """
    recipe = loaded.recipe
    yield from simulated(recipe.simulated.series, recipe.simulated.rows, recipe.seed)
    for asked in recipe.recordings:
        for _ in range(asked.times):
            yield from recorded(asked, loaded.folder, recipe.seed)


def count_series(loaded: Loaded) -> int:
    """About how many series a recipe has, for a progress bar; checks that the recordings are there."""
    count = loaded.recipe.simulated.series
    for asked in loaded.recipe.recordings:
        for entry in entries_of(asked, loaded.folder):
            count += asked.times * (len(asked.columns) or min(asked.variables, entry["variables"]))
    return count
