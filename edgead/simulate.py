"""Seeded equipment with labelled faults: what the demo watches, and data to test and train on.

Three machines, each a few coupled equations driven by one load cycle and one disturbance, so that the
variables of a machine move together as they do in a plant:

* `PUMP`: centrifugal pump on a variable speed drive (flow, pressure, motor current, vibration, temperature);
* `BEARING`: rolling bearing of a fan (speed, vibration, temperature);
* `TANK`: heated tank that is filled and drained (inflow, level, temperature).

`simulate` runs a machine without faults, `inject` puts one fault into one variable, `make_scenario` does
both for a whole plant and says where the faults are.  One seed, one world: the same arguments give the same
values.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.records import Reading

FloatArray = NDArray[np.float64]
FaultKind = Literal["spike", "step", "drift", "frozen", "noise", "season"]
Columns = dict[str, FloatArray]

#: Every kind of fault `inject` knows, in the order of its docstring.
FAULT_KINDS: tuple[FaultKind, ...] = ("spike", "step", "drift", "frozen", "noise", "season")

_GRAVITY = 9.81  # m/s2
_WATER = 1000.0  # kg/m3
_WATER_HEAT = 4187.0  # J/(kg K)


class Sensor(msgspec.Struct, frozen=True):
    """One measured variable: what the transmitter adds to the physics.

    Attributes
    ----------
    unit : str
    noise : float, >= 0
        Standard deviation of white noise, unit of the variable.
    resolution : float, > 0
        Smallest step of the transmitter's output, unit of the variable.
    relative_noise : float, >= 0
        More noise, as a share of the value.  A root mean square over a short time scatters in proportion
        to itself: relative standard deviation 1/sqrt(4BT) for bandwidth B and averaging time T (Bendat and
        Piersol, Random Data, chapter 8).
    """

    unit: str
    noise: float
    resolution: float
    relative_noise: float = 0.0


class Drive(msgspec.Struct, frozen=True):
    """What makes a machine move, one value a row.

    Attributes
    ----------
    cycle : ndarray, shape (rows,)
        The planned load cycle: periodic, mean 0, about -1..1.
    upset : ndarray, shape (rows,)
        The unplanned part of the load: first-order noise of unit variance.
    ambient : ndarray, shape (rows,)
        Deviation of the surroundings' temperature from its mean, kelvin.
    step_s : float, > 0
        Seconds a row.
    """

    cycle: FloatArray
    upset: FloatArray
    ambient: FloatArray
    step_s: float


class Machine(msgspec.Struct, frozen=True):
    """A kind of equipment.

    Attributes
    ----------
    name : str
    sensors : dict of str to Sensor
        The measured variables, by name.
    period_s : float, > 0
        Length of the load cycle.
    harmonics : tuple of float
        Amplitudes of the load cycle's sine, second harmonic, third ...
    physics : callable
        From a `Drive` to the true value of every variable, shape (rows,) each.
    """

    name: str
    sensors: dict[str, Sensor]
    period_s: float
    harmonics: tuple[float, ...]
    physics: Callable[[Drive], Columns]


def _lag(target: FloatArray, time_s: float, step_s: float) -> FloatArray:
    """First-order lag (thermal mass) with time constant `time_s`, starting at rest for the mean."""
    share = 1.0 - math.exp(-step_s / time_s)
    state = float(target.mean())
    out = []
    for value in target.tolist():
        state += share * (value - state)
        out.append(state)
    return np.array(out)


def _pump(drive: Drive) -> Columns:
    """Centrifugal pump between a curve and a system.

    Pump curve by the affinity laws (flow ~ speed, head ~ speed^2; Gülich, Centrifugal Pumps):
    head = 40 s^2 - 0.0040 q^2 metres; system: 8 + 0.0088 q^2 metres (static lift and pipe friction); the
    flow q in m3/h is where they meet.  Efficiency is a parabola in q/s, best at 50 m3/h.  Motor: active
    current of a 400 V three-phase machine of efficiency 0.88 beside 5 A of magnetising current.  Vibration
    velocity: unbalance ~ speed^2, plus recirculation growing off the best point; the level of a good machine
    in ISO 20816.  Housing temperature: losses times a thermal resistance, lag of ten minutes.
    """
    speed = 0.90 + 0.04 * drive.cycle + 0.004 * drive.upset
    flow = np.sqrt((40.0 * speed**2 - 8.0) / (0.0088 + 0.0040))
    head = 8.0 + 0.0088 * flow**2
    off_best = flow / (50.0 * speed) - 1.0
    hydraulic_w = _WATER * _GRAVITY * (flow / 3600.0) * head
    electric_w = hydraulic_w / (0.72 * (1.0 - off_best**2)) / 0.88
    active_a = electric_w / (math.sqrt(3.0) * 400.0)
    heat_k = 0.04 * 0.12 * electric_w
    return {
        "flow": flow,
        "pressure": _WATER * _GRAVITY * head / 1e5,
        "current": np.hypot(active_a, 5.0),
        "vibration": 1.3 * speed**2 + 6.0 * off_best**2,
        "temperature": _lag(22.0 + drive.ambient + heat_k, 600.0, drive.step_s),
    }


def _bearing(drive: Drive) -> Columns:
    """Oil lubricated rolling bearing, mean diameter 117.5 mm, under a steady load.

    Friction torque M by Palmgren: load part f1 F dm plus viscous part 1e-7 f0 (nu n)^(2/3) dm^3, in N mm
    (nu in mm2/s, n in 1/min, dm in mm; viscosity held constant); heat = 1.047e-4 M n watts; temperature rise
    = heat over the cooling factor, lag of seven minutes (SKF catalogue, frictional moment and heat).
    Vibration velocity ~ speed^2, the unbalance force.
    """
    speed = 1480.0 + 45.0 * drive.cycle + 5.0 * drive.upset
    viscous = 1e-7 * 2.0 * (30.0 * speed) ** (2.0 / 3.0) * 117.5**3
    torque = 0.0005 * 6000.0 * 117.5 + viscous
    heat_k = 1.047e-4 * torque * speed / 4.0
    return {
        "speed": speed,
        "vibration": 2.1 * (speed / 1480.0) ** 2,
        "temperature": _lag(22.0 + drive.ambient + heat_k, 420.0, drive.step_s),
    }


def _tank(drive: Drive) -> Columns:
    """Stirred tank of 1 m2, filled by a valve, drained by its own level, heated by steam.

    Mass balance A dh/dt = q_in - c sqrt(h) (Torricelli) and energy balance of ideal mixing
    A h dT/dt = q_in (T_in - T) + P / (rho c_p) (the stirred tank heater of Stephanopoulos, Chemical Process
    Control), explicit Euler steps.  The valve dwells open and shut: the cycle through a saturating curve.
    """
    valve = np.tanh(2.0 * drive.cycle) / math.tanh(2.0)
    inflow = 30.0 + 10.0 * valve + 0.8 * drive.upset
    feed = 15.0 + 0.5 * drive.ambient
    heating = 250e3 / (_WATER * _WATER_HEAT)
    level, temperature = 2.0, 15.0 + heating / (30.0 / 3600.0)
    outlet = (30.0 / 3600.0) / math.sqrt(level)
    levels, temperatures = [], []
    for q_m3h, feed_c in zip(inflow.tolist(), feed.tolist(), strict=True):
        q = max(q_m3h, 0.0) / 3600.0
        temperature += drive.step_s * (q * (feed_c - temperature) + heating) / level
        level = max(level + drive.step_s * (q - outlet * math.sqrt(level)), 0.05)
        levels.append(level)
        temperatures.append(temperature)
    return {"inflow": inflow, "level": np.array(levels), "temperature": np.array(temperatures)}


PUMP = Machine(
    "pump",
    {
        "flow": Sensor("m3/h", noise=0.25, resolution=0.05),
        "pressure": Sensor("bar", noise=0.015, resolution=0.005),
        "current": Sensor("A", noise=0.06, resolution=0.02),
        "vibration": Sensor("mm/s", noise=0.01, resolution=0.01, relative_noise=0.05),
        "temperature": Sensor("degC", noise=0.05, resolution=0.1),
    },
    period_s=120.0,
    harmonics=(0.85, 0.25),
    physics=_pump,
)
BEARING = Machine(
    "bearing",
    {
        "speed": Sensor("1/min", noise=3.0, resolution=1.0),
        "vibration": Sensor("mm/s", noise=0.01, resolution=0.01, relative_noise=0.05),
        "temperature": Sensor("degC", noise=0.05, resolution=0.1),
    },
    period_s=90.0,
    harmonics=(0.9, 0.0, 0.2),
    physics=_bearing,
)
TANK = Machine(
    "tank",
    {
        "inflow": Sensor("m3/h", noise=0.8, resolution=0.1),
        "level": Sensor("m", noise=0.008, resolution=0.001),
        "temperature": Sensor("degC", noise=0.05, resolution=0.1),
    },
    period_s=180.0,
    harmonics=(1.0,),
    physics=_tank,
)
MACHINES = (PUMP, BEARING, TANK)


class Column(msgspec.Struct, frozen=True):
    """One variable of one run.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        What the sensor sent, quantised.
    season : ndarray, shape (rows,)
        What it would have sent without upset, ambient changes and noise: the planned cycle alone.
    sigma : float, > 0
        Standard deviation of ``values - season``: the variable's own normal variation, seasonally adjusted.
        The unit in which faults are sized.
    resolution : float, > 0
        Step of the quantisation.
    """

    values: FloatArray
    season: FloatArray
    sigma: float
    resolution: float


def _cycle(machine: Machine, rows: int, step_s: float, phase: float) -> FloatArray:
    angle = 2.0 * math.pi * np.arange(rows) * step_s / machine.period_s + phase
    waves = np.array([a * np.sin((k + 1) * angle) for k, a in enumerate(machine.harmonics)])
    return np.asarray(waves.sum(axis=0), dtype=np.float64)


def _wander(rng: np.random.Generator, rows: int, time_s: float, step_s: float) -> FloatArray:
    """First-order (AR(1)) noise of unit variance and correlation time `time_s`, stationary from the start."""
    keep = math.exp(-step_s / time_s)
    steps = rng.standard_normal(rows)
    steps[1:] *= math.sqrt(1.0 - keep * keep)
    state, out = 0.0, []
    for step in steps.tolist():
        state = keep * state + step
        out.append(state)
    return np.array(out)


def _quantise(values: FloatArray, resolution: float) -> FloatArray:
    return np.round(np.round(values / resolution) * resolution, 9)


def simulate(
    machine: Machine, rows: int, *, seed: int | Sequence[int], step_s: float = 1.0
) -> dict[str, Column]:
    """Run a machine without faults.

    Parameters
    ----------
    machine : Machine
        ``PUMP``, ``BEARING``, ``TANK`` or your own.
    rows : int, >= 2
        Rows of the run.
    seed : int or sequence of int
        Seed of ``numpy.random.default_rng``.
    step_s : float, > 0
        Seconds a row; at most a tenth of the machine's period.

    Returns
    -------
    dict of str to Column
        By variable, in the order of ``machine.sensors``.

    Raises
    ------
    InvalidInput
        If `rows` or `step_s` is out of range.

    Notes
    -----
    The upset is correlated over 15 s (a controlled process), the surroundings over ten minutes with a
    standard deviation of 0.5 K.
    """
    _expect("rows", rows, rows >= 2, "at least 2")
    _expect(
        "step_s", step_s, 0 < step_s <= machine.period_s / 10, f"above 0, at most {machine.period_s / 10:g}"
    )
    rng = np.random.default_rng(seed)
    cycle = _cycle(machine, rows, step_s, rng.uniform(0.0, 2.0 * math.pi))
    upset = _wander(rng, rows, 15.0, step_s)
    ambient = 0.5 * _wander(rng, rows, 600.0, step_s)
    quiet = np.zeros(rows)
    planned = machine.physics(Drive(cycle, quiet, quiet, step_s))
    real = machine.physics(Drive(cycle, upset, ambient, step_s))
    columns = {}
    for name, sensor in machine.sensors.items():
        scatter = np.hypot(sensor.noise, sensor.relative_noise * real[name])
        values = _quantise(real[name] + scatter * rng.standard_normal(rows), sensor.resolution)
        sigma = float(np.std(values - planned[name]))
        columns[name] = Column(values, planned[name], sigma, sensor.resolution)
    return columns


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong with one variable; see `inject`.

    Attributes
    ----------
    kind : {"spike", "step", "drift", "frozen", "noise", "season"}
    start, length : int
        First faulty row, number of faulty rows.
    size : float
        In sigmas of the column; the sign is the direction where there is one.
    """

    kind: FaultKind
    start: int
    length: int
    size: float


def inject(column: Column, fault: Fault, *, seed: int | Sequence[int] = 0) -> Column:
    """Put a fault into one variable.

    ==========  =====================================================================================
    ``spike``   values off by `size` sigma (interference, loose contact)
    ``step``    the same, for long (offset, recalibration, blocked impulse line)
    ``drift``   off by a ramp to `size` sigma over two thirds of the rows, stays, is repaired (fouling, ageing)
    ``frozen``  the last good value is repeated (transmitter hangs); the size is what the season makes of it
    ``noise``   scatter grows to `size` times its normal standard deviation (wear, bad earthing)
    ``season``  the planned cycle swings `size` sigma wider (positive) or narrower at its peak (other recipe)
    ==========  =====================================================================================

    Parameters
    ----------
    column : Column
        Not changed.
    fault : Fault
        Its rows lie inside the column; ``frozen`` starts after row 0.
    seed : int or sequence of int
        For ``noise``.

    Returns
    -------
    Column
        With the fault in `values`, quantised like the rest; `season` and `sigma` stay those of normal
        operation.

    Raises
    ------
    InvalidInput
        If the rows of the fault lie outside, the kind is unknown or the season is too flat to change.
    """
    rows = len(column.values)
    inside = fault.start >= 1 and fault.length >= 1 and fault.start + fault.length <= rows
    _expect("fault", fault, inside, f"rows inside 1..{rows - 1}")
    _expect("kind", fault.kind, fault.kind in FAULT_KINDS, f"one of {', '.join(FAULT_KINDS)}")
    span = slice(fault.start, fault.start + fault.length)
    values = column.values.copy()
    values[span] = _quantise(_faulty(column, fault, values[span], span, seed), column.resolution)
    return msgspec.structs.replace(column, values=values)


def _faulty(
    column: Column, fault: Fault, now: FloatArray, span: slice, seed: int | Sequence[int]
) -> FloatArray:
    offset = fault.size * column.sigma
    if fault.kind == "drift":
        return now + offset * np.minimum(np.arange(1, fault.length + 1) * 1.5 / fault.length, 1.0)
    if fault.kind == "frozen":
        return np.full(fault.length, column.values[fault.start - 1])
    if fault.kind == "noise":
        extra = column.sigma * math.sqrt(max(fault.size**2 - 1.0, 0.0))
        return now + extra * np.random.default_rng(seed).standard_normal(fault.length)
    if fault.kind == "season":
        swing: FloatArray = column.season - float(column.season.mean())
        peak = float(np.abs(swing).max())
        _expect("season", peak, peak > 0, "a column with a season")
        return now + swing[span] * (offset / peak)
    return now + offset


def frozen_size(column: Column, start: int, length: int) -> float:
    """Sigmas by which the season leaves a value frozen at `start`, at most, within `length` rows."""
    moved = column.season[start : start + length] - column.season[start - 1]
    return float(np.abs(moved).max() / column.sigma)


class Label(msgspec.Struct, frozen=True):
    """Where a fault is.

    Attributes
    ----------
    series_id : str
    kind : str
        One of ``FAULT_KINDS``.
    start_ns, end_ns : int
        Times of the first and the last faulty reading.
    size : float
        In sigmas of the series; see `inject`.
    """

    series_id: str
    kind: FaultKind
    start_ns: int
    end_ns: int
    size: float


class Scenario(msgspec.Struct, frozen=True):
    """A plant over a time, and what goes wrong in it.

    Attributes
    ----------
    start_ns, step_ns : int
        Time of the first row; nanoseconds a row.
    columns : dict of str to Column
        By series id, ``machine.variable``.
    units : dict of str to str
        By series id.
    labels : tuple of Label
        In order of time.
    """

    start_ns: int
    step_ns: int
    columns: dict[str, Column]
    units: dict[str, str]
    labels: tuple[Label, ...]

    @property
    def rows(self) -> int:
        """Rows of every series."""
        return len(next(iter(self.columns.values())).values)

    def readings(self) -> Iterator[Reading]:
        """Every reading in order of time, series by series within a row."""
        lists = [(series_id, column.values.tolist()) for series_id, column in self.columns.items()]
        for row in range(self.rows):
            time_ns = self.start_ns + row * self.step_ns
            for series_id, values in lists:
                yield Reading(series_id, time_ns, values[row])


def make_scenario(
    seed: int,
    rows: int,
    *,
    start_ns: int = 0,
    step_s: float = 1.0,
    machines: Sequence[Machine] = MACHINES,
    quiet_rows: int = 800,
    spacing_rows: int = 900,
) -> Scenario:
    """A plant with faults in all its series, far enough apart to be told apart.

    Parameters
    ----------
    seed : int
        The same arguments give the same scenario.
    rows : int
        Rows of every series.
    start_ns : int
        Time of the first row.
    step_s : float
        Seconds a row.
    machines : sequence of Machine
        Names must differ.
    quiet_rows : int
        Rows without fault at the start of every series, to learn from.
    spacing_rows : int
        Every series has one fault in each full stretch of this many rows after that, in its first half or so;
        the rest is quiet.

    Returns
    -------
    Scenario
        Faults of 4 to 8 sigma, the kinds dealt evenly, to each series one it has not had before while there
        is one; ``frozen`` and ``season`` go only to series whose season swings enough to show them.

    Raises
    ------
    InvalidInput
        If the rows hold no stretch, or machines share a name.
    """
    stretches = (rows - quiet_rows) // spacing_rows
    _expect("rows", rows, stretches >= 1, f"at least quiet_rows + spacing_rows = {quiet_rows + spacing_rows}")
    names = [machine.name for machine in machines]
    _expect("machines", names, len(set(names)) == len(names), "names that differ")
    columns: dict[str, Column] = {}
    units: dict[str, str] = {}
    periods: dict[str, int] = {}
    for index, machine in enumerate(machines):
        run = simulate(machine, rows, seed=(seed, index), step_s=step_s)
        for name, column in run.items():
            series_id = f"{machine.name}.{name}"
            columns[series_id], units[series_id] = column, machine.sensors[name].unit
            periods[series_id] = round(machine.period_s / step_s)
    step_ns = round(step_s * 1e9)
    labels: list[Label] = []
    had: list[tuple[str, FaultKind]] = []
    rng = np.random.default_rng((seed, len(machines)))
    for stretch in range(stretches):
        begin = quiet_rows + stretch * spacing_rows
        dealt = _deal(rng, columns, had)
        had += dealt
        for series_id, kind in dealt:
            fault = _plan(rng, kind, columns[series_id], periods[series_id], begin, spacing_rows)
            columns[series_id] = inject(columns[series_id], fault, seed=(seed, len(labels), 1))
            first = start_ns + fault.start * step_ns
            last = first + (fault.length - 1) * step_ns
            labels.append(Label(series_id, kind, first, last, fault.size))
    labels.sort(key=lambda label: (label.start_ns, label.series_id))
    return Scenario(start_ns, step_ns, columns, units, tuple(labels))


def _deal(
    rng: np.random.Generator, columns: dict[str, Column], had: list[tuple[str, FaultKind]]
) -> list[tuple[str, FaultKind]]:
    """One kind of fault for every series: one it has not had while there is one, each kind about equally often.

    A frozen value shows where the season moves on by 4 to 8 sigma in half a cycle.
    """
    share = max(1, round(len(columns) / len(FAULT_KINDS)))
    swings = {series_id: np.ptp(column.season) / column.sigma for series_id, column in columns.items()}
    dealt: dict[str, FaultKind] = {}

    def give(kind: FaultKind, fit: list[str]) -> None:
        free = [each for each in fit if each not in dealt and (each, kind) not in had]
        rng.shuffle(free)
        dealt.update(dict.fromkeys(free[:share], kind))

    give("frozen", [each for each, swing in swings.items() if 8.0 <= swing <= 16.0])
    give("season", [each for each, swing in swings.items() if swing >= 8.0])
    others: list[FaultKind] = [kind for kind in FAULT_KINDS if kind not in ("frozen", "season")]
    rest = [each for each in columns if each not in dealt]
    rng.shuffle(rest)
    rng.shuffle(others)
    for each in rest:
        so_far = [kind for _, kind in had] + list(dealt.values())
        new = [kind for kind in others if (each, kind) not in had] or others
        dealt[each] = min(new, key=so_far.count)
    return list(dealt.items())


#: Rows a fault lasts, at least and at most; the last two in cycles of the machine.
_LENGTHS = {"spike": (1, 3), "step": (60, 120), "drift": (150, 240), "noise": (60, 120)}
_CYCLES = {"frozen": (0.5, 0.75), "season": (1.0, 1.25)}


def _plan(
    rng: np.random.Generator, kind: FaultKind, column: Column, period: int, begin: int, spacing: int
) -> Fault:
    """When, how long and how much: 4 to 8 sigma, inside the first part of the stretch."""
    cycles = _CYCLES.get(kind)
    low, high = (round(c * period) for c in cycles) if cycles else _LENGTHS[kind]
    length = int(rng.integers(low, high + 1))
    room = max(2, spacing // 2 - length)
    start = begin + int(rng.integers(1, room))
    size = float(rng.uniform(4.0, 8.0))
    if kind == "frozen":
        starts = range(begin + 1, begin + max(room, period))
        start = min(starts, key=lambda s: abs(frozen_size(column, s, length) - size))
        return Fault(kind, start, length, frozen_size(column, start, length))
    widest = np.ptp(column.season) / 2 / column.sigma if kind == "season" else math.inf
    downwards = kind != "noise" and size <= widest and rng.random() < 0.5
    return Fault(kind, start, length, -size if downwards else size)


def _expect(field: str, value: object, ok: bool, expected: str) -> None:
    if not ok:
        raise InvalidInput(f"{field}: {value!r} is out of range, expected {expected}")
