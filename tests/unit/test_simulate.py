import collections
import itertools

import numpy as np
import pytest

from edgead import simulate as sim
from edgead.errors import InvalidInput

ROWS = 4500


@pytest.fixture(scope="module")
def scenario():
    return sim.make_scenario(7, ROWS)


@pytest.mark.parametrize("machine", sim.MACHINES, ids=lambda machine: machine.name)
def test_a_run_is_finite_quantised_and_repeats_with_its_seed(machine):
    run, again, other = (sim.simulate(machine, 600, seed=seed) for seed in (1, 1, 2))
    assert list(run) == list(machine.sensors)
    for name, column in run.items():
        assert np.isfinite(column.values).all()
        assert column.sigma > 0
        steps = column.values / machine.sensors[name].resolution
        assert np.allclose(steps, np.round(steps), atol=1e-6)
        assert np.array_equal(column.values, again[name].values)
        assert not np.array_equal(column.values, other[name].values)


@pytest.mark.parametrize("machine", sim.MACHINES, ids=lambda machine: machine.name)
def test_the_season_repeats_with_the_load_cycle_and_the_rest_is_noise_around_it(machine):
    rows = 40 * int(machine.period_s)
    for column in sim.simulate(machine, rows, seed=5).values():
        late = column.season[rows // 2 :]
        period = int(machine.period_s)
        assert np.allclose(late[period:], late[:-period], atol=0.05 * column.sigma)
        rest = column.values - column.season
        assert abs(rest.mean()) < 1.0 * column.sigma
        assert np.abs(rest).max() < 7.0 * column.sigma


def test_the_variables_of_one_machine_move_together_beyond_their_season():
    run = sim.simulate(sim.PUMP, 20_000, seed=3)
    rest = {name: column.values - column.season for name, column in run.items()}
    for one, two in itertools.combinations(("flow", "pressure", "current"), 2):
        assert np.corrcoef(rest[one], rest[two])[0, 1] > 0.4
    tank = sim.simulate(sim.TANK, 20_000, seed=3)
    level, inflow = (tank[name].values - tank[name].season for name in ("level", "inflow"))
    slow = np.array([level[i + 30] - level[i] for i in range(0, 19_000, 30)])
    fed = np.array([inflow[i : i + 30].mean() for i in range(0, 19_000, 30)])
    assert np.corrcoef(slow, fed)[0, 1] > 0.3


def test_the_pump_obeys_the_affinity_laws_at_its_operating_point():
    flat = np.zeros(2)
    slow, fast = (sim.PUMP.physics(sim.Drive(flat + cycle, flat, flat, 1.0)) for cycle in (-1.0, 1.0))
    for cycle, state in ((-1.0, slow), (1.0, fast)):
        speed, flow = 0.90 + 0.04 * cycle, state["flow"][0]
        head = state["pressure"][0] * 1e5 / 9810.0
        assert head / speed**2 == pytest.approx(40.0 - 0.0040 * (flow / speed) ** 2, rel=1e-9)
    assert fast["current"][0] > slow["current"][0]
    assert fast["temperature"][0] > slow["temperature"][0]


def test_the_tank_keeps_its_balance():
    flat = np.zeros(20_000)
    state = sim.TANK.physics(sim.Drive(flat, flat, flat, 1.0))
    assert state["level"] == pytest.approx(2.0)
    assert state["temperature"] == pytest.approx(15.0 + 250e3 / 4187.0 / (30.0 / 3.6))


def test_a_thermal_mass_lags_first_order():
    lagged = sim._lag(np.r_[np.zeros(1000), np.ones(1000)], 100.0, 1.0)
    assert lagged[1099] - lagged[999] == pytest.approx((1.0 - lagged[999]) * (1 - np.exp(-1)), rel=1e-9)


COLUMN = sim.simulate(sim.PUMP, 1000, seed=2)["flow"]


def change(kind, size, start=300, length=100):
    faulty = sim.inject(COLUMN, sim.Fault(kind, start, length, size), seed=9)
    delta = (faulty.values - COLUMN.values) / COLUMN.sigma
    outside = np.r_[delta[:start], delta[start + length :]]
    assert not outside.any()
    return delta[start : start + length], faulty.values[start : start + length]


def test_spike_and_step_are_off_by_their_size():
    for kind in ("spike", "step"):
        delta, _ = change(kind, -5.0)
        assert delta == pytest.approx(-5.0, abs=COLUMN.resolution / COLUMN.sigma)


def test_a_drift_grows_to_its_size_and_stays():
    delta, _ = change("drift", 6.0)
    half = COLUMN.resolution / COLUMN.sigma
    assert delta[0] == pytest.approx(0.09, abs=half)
    assert delta[32] == pytest.approx(2.97, abs=half)
    assert delta[67:] == pytest.approx(6.0, abs=half)


def test_a_frozen_value_is_the_last_good_one_and_its_size_what_the_season_makes_of_it():
    _, values = change("frozen", 0.0)
    assert set(values) == {COLUMN.values[299]}
    moved = np.abs(COLUMN.season[300:400] - COLUMN.season[299]).max() / COLUMN.sigma
    assert sim.frozen_size(COLUMN, 300, 100) == pytest.approx(moved)


def test_noise_grows_to_its_size():
    faulty = sim.inject(COLUMN, sim.Fault("noise", 100, 900, 5.0), seed=4)
    rest = (faulty.values - faulty.season)[100:]
    assert np.std(rest) / COLUMN.sigma == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize("size", [6.0, -5.0])
def test_a_changed_season_is_off_by_its_size_at_its_peak(size):
    delta, _ = change("season", size, start=300, length=240)
    assert np.abs(delta).max() == pytest.approx(abs(size), rel=0.03)
    swing = COLUMN.season[300:540] - COLUMN.season.mean()
    assert np.sign(delta @ swing) == np.sign(size)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (sim.Fault("step", 0, 10, 5.0), "fault"),
        (sim.Fault("step", 995, 10, 5.0), "fault"),
        (sim.Fault("step", 10, 0, 5.0), "fault"),
        (sim.Fault("wobble", 10, 10, 5.0), "kind"),
    ],
)
def test_a_fault_that_does_not_fit_is_refused(fault, named):
    with pytest.raises(InvalidInput, match=named):
        sim.inject(COLUMN, fault)


def test_a_season_cannot_change_where_there_is_none():
    flat = sim.Column(np.ones(50), np.ones(50), 1.0, 0.1)
    with pytest.raises(InvalidInput, match="season"):
        sim.inject(flat, sim.Fault("season", 10, 10, 5.0))


def test_arguments_out_of_range_are_refused():
    with pytest.raises(InvalidInput, match="rows"):
        sim.simulate(sim.PUMP, 1, seed=1)
    with pytest.raises(InvalidInput, match="step_s"):
        sim.simulate(sim.PUMP, 100, seed=1, step_s=60.0)
    with pytest.raises(InvalidInput, match="rows"):
        sim.make_scenario(1, 1000)
    with pytest.raises(InvalidInput, match="machines"):
        sim.make_scenario(1, ROWS, machines=(sim.PUMP, sim.PUMP))


@pytest.mark.parametrize("seed", range(5))
def test_a_scenario_has_every_kind_about_equally_often_at_4_to_8_sigma_and_quiet_between(seed):
    scenario = sim.make_scenario(seed, ROWS)
    counts = collections.Counter(label.kind for label in scenario.labels)
    assert set(counts) == set(sim.FAULT_KINDS)
    assert len(scenario.labels) == 4 * len(scenario.columns)
    assert min(counts.values()) >= 4
    assert all(3.9 <= abs(label.size) <= 8.1 for label in scenario.labels)
    for series_id in scenario.columns:
        own = [label for label in scenario.labels if label.series_id == series_id]
        assert own[0].start_ns >= 800 * scenario.step_ns
        for one, two in itertools.pairwise(own):
            assert two.start_ns - one.end_ns >= 400 * scenario.step_ns
        assert scenario.rows * scenario.step_ns - own[-1].end_ns >= 400 * scenario.step_ns


def test_a_scenario_differs_from_normal_operation_only_inside_its_labels(scenario):
    clean = {}
    for index, machine in enumerate(sim.MACHINES):
        for name, column in sim.simulate(machine, ROWS, seed=(7, index)).items():
            clean[f"{machine.name}.{name}"] = column.values
    for series_id, column in scenario.columns.items():
        labelled = np.zeros(ROWS, bool)
        for label in scenario.labels:
            if label.series_id == series_id:
                labelled[label.start_ns // scenario.step_ns : label.end_ns // scenario.step_ns + 1] = True
        assert not (column.values != clean[series_id])[~labelled].any()


def test_readings_come_in_order_of_time_every_series_in_every_row(scenario):
    first = list(itertools.islice(scenario.readings(), 2 * len(scenario.columns)))
    assert [reading.series_id for reading in first] == 2 * list(scenario.columns)
    assert [reading.time_ns for reading in first] == sorted(reading.time_ns for reading in first)
    assert first[-1].value == scenario.columns[first[-1].series_id].values[1]
    assert sum(1 for _ in scenario.readings()) == ROWS * len(scenario.columns)
