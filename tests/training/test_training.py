"""Training from rows to a package; needs the extra `train`."""

import msgspec
import numpy as np
import pytest
import torch

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import AlignPolicy, Scorer, Table, align
from edgead.onnx import Session
from edgead.package import read_package, self_test
from edgead.simulate import PUMP, simulate
from edgead.training import Options, network, scaled, scaling, step_s, train
from edgead.training.backends import TorchOps
from edgead.training.calibrate import Settings, calibrate, judge_table, tail_threshold
from edgead.training.export import check_parity, to_onnx

NOW = "2026-01-01T00:00:00Z"


def table_of(rows=900, seed=1):
    columns = simulate(PUMP, rows, seed=seed)
    times = 1_700_000_000_000_000_000 + np.arange(rows, dtype=np.int64) * 1_000_000_000
    return align({name: (times, column.values) for name, column in columns.items()}, AlignPolicy())


TABLE = table_of()
OPTIONS = Options(name="pump", window=60, epochs=2)


@pytest.fixture(scope="module")
def trained():
    return train(TABLE, OPTIONS, created=NOW)


def test_a_package_comes_out_that_a_device_takes(trained):
    package = read_package(trained.package)
    session = Session(package.model)
    self_test(package, session)
    assert package.manifest.names == TABLE.names
    assert package.manifest.step_s == 1.0
    assert package.manifest.training.start == "2023-11-14T22:13:20Z"
    assert package.manifest.training.rows == 900
    assert trained.parity <= 1e-4
    assert trained.parameters <= 500_000


def test_same_data_and_seed_give_the_same_package_but_for_its_time(trained):
    again = train(TABLE, OPTIONS, created=NOW)
    assert again.package == trained.package
    later = read_package(train(TABLE, OPTIONS, created="2027-01-01T00:00:00Z").package)
    first = read_package(trained.package)
    assert later.manifest.id == first.manifest.id
    assert later.model == first.model


def test_another_seed_gives_another_model(trained):
    other = train(TABLE, msgspec.structs.replace(OPTIONS, seed=7), created=NOW)
    assert read_package(other.package).manifest.id != read_package(trained.package).manifest.id


def test_the_callers_random_numbers_are_not_touched():
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    train(TABLE, msgspec.structs.replace(OPTIONS, epochs=1), created=NOW)
    assert torch.rand(1) == before


def test_progress_is_told_by_epoch():
    told = []
    train(TABLE, OPTIONS, created=NOW, progress=lambda *loss: told.append(loss))
    assert [epoch for epoch, _, _ in told] == [1, 2]
    assert all(np.isfinite(loss).all() for loss in told)


def test_onnxruntime_row_by_row_gives_what_torch_gives_for_the_table(trained):
    """Batch and stream are one: the twin that calibrated on whole tables says what the device says."""
    package = read_package(trained.package)
    scaler = scaling(TABLE.rows)
    z = scaled(TABLE.rows, scaler)
    found = calibrate(z, 60, Settings(epochs=2))
    joined, local = judge_table(found.constants, z)
    thresholds = package.manifest.thresholds
    expected = np.maximum(joined / thresholds.joined, local / thresholds.local)
    scorer = Scorer(package.manifest, Session(package.model))
    scores = [judged.score for judged in scorer.judge_table(TABLE.rows)]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_the_future_changes_nothing():
    z = scaled(TABLE.rows, scaling(TABLE.rows))
    constants = calibrate(z, 60, Settings(epochs=1)).constants
    other = z.copy()
    other[500:] = -3.0 * other[500:] + 1.0
    for now, then in zip(judge_table(constants, z), judge_table(constants, other), strict=True):
        assert np.array_equal(now[: 500 - 59], then[: 500 - 59])


def test_shares_add_up_to_one():
    z = scaled(TABLE.rows, scaling(TABLE.rows))
    constants = calibrate(z, 60, Settings(epochs=0)).constants
    with torch.no_grad():
        out = network.judge(TorchOps(), constants, torch.as_tensor(z[:200]))
    np.testing.assert_allclose(out.contributions.sum(1).numpy(), 1.0, rtol=1e-5)


def test_a_graph_that_says_something_else_is_refused():
    z = scaled(TABLE.rows, scaling(TABLE.rows))
    one = calibrate(z, 60, Settings(epochs=0)).constants
    other = calibrate(z[:600], 60, Settings(epochs=0)).constants
    with pytest.raises(ModelPackageError, match="differs from torch"):
        check_parity(to_onnx(one, 60), other, z[None, :60])


@pytest.mark.parametrize("window", [28, 29, 64, 300])
def test_every_window_has_a_network(window):
    rows = np.random.default_rng(window).standard_normal((4 * window, 3))
    z = scaled(rows, scaling(rows))
    constants = calibrate(z, window, Settings(epochs=1)).constants
    assert check_parity(to_onnx(constants, window), constants, z[None, -window:]) <= 1e-4


def test_constant_and_doubled_variables_are_learned():
    rows = np.random.default_rng(0).standard_normal((400, 4))
    rows[:, 1], rows[:, 2] = 7.0, rows[:, 0]
    table = Table(("a", "b", "c", "d"), np.arange(400, dtype=np.int64) * 10**9, rows, ())
    package = read_package(train(table, msgspec.structs.replace(OPTIONS, window=40), created=NOW).package)
    scorer = Scorer(package.manifest, Session(package.model))
    broken = rows[:40].copy()
    broken[-10:, 1] = 7.1
    judged = scorer.judge(broken)
    assert judged.is_anomaly
    assert judged.interpretation(package.manifest.names, 1)[0].variable == "b"


@pytest.mark.parametrize(
    ("changed", "rows", "code"),
    [
        ({"window": 27}, 900, "InvalidSlidingWindow"),
        ({"window": 2881}, 900, "InvalidSlidingWindow"),
        ({"window": 300}, 300, "NotEnoughInput"),
        ({"window": 28}, 60, "NotEnoughInput"),
        ({"budget": 0.0}, 900, "BadArgument"),
        ({"epochs": -1}, 900, "BadArgument"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_contracts_code(changed, rows, code):
    table = Table(TABLE.names, TABLE.times_ns[:rows], TABLE.rows[:rows], ())
    with pytest.raises(InvalidInput) as refusal:
        train(table, msgspec.structs.replace(OPTIONS, **changed), created=NOW)
    assert refusal.value.code == code


def test_too_few_rows_name_the_length_and_the_window():
    table = Table(TABLE.names, TABLE.times_ns[:50], TABLE.rows[:50], ())
    with pytest.raises(InvalidInput, match="50 rows for a window of 60"):
        train(table, OPTIONS, created=NOW)


def test_a_threshold_holds_its_budget_on_rows_it_has_not_seen():
    values = np.random.default_rng(2).gumbel(size=400_000)
    passed = (values[20_000:] > tail_threshold(values[:20_000], 0.001)).mean()
    assert 0.0005 < passed < 0.002


def test_a_broken_correlation_is_found_among_many_variables():
    """One of 24 variables goes its own way, in its own range: found by most, at few false alarms."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((6, 24))
    mix /= np.linalg.norm(mix, axis=0)

    def rows(count: int, seed: int) -> np.ndarray:
        draw = np.random.default_rng(seed)
        return draw.standard_normal((count, 6)) @ mix + 0.5 * draw.standard_normal((count, 24))

    normal = rows(2400, 1)
    scaler = scaling(normal)
    found = calibrate(scaled(normal, scaler), 60, Settings(epochs=0))

    def scores(table: np.ndarray) -> np.ndarray:
        joined, local = judge_table(found.constants, scaled(table, scaler))
        return np.maximum(joined / found.threshold, local / found.local_threshold)

    broken = []
    for seed in range(24):
        table = rows(160, 100 + seed)
        table[100:, seed] = rows(160, 500 + seed)[100:, seed]
        broken.append(scores(table)[41:].max() >= 1.0)
    assert sum(broken) >= 20
    assert (scores(rows(10_000, 2)) >= 1.0).mean() <= 0.003


def test_what_is_constant_does_not_depend_on_the_unit():
    """Amperes of a leak are a measurement; the last digits of a large constant are none."""
    noise = np.random.default_rng(0).standard_normal(1500)
    rows = np.stack([1e-9 * noise, np.full(1500, 123456789.123), np.zeros(1500), 1e12 + noise], axis=1)
    scaler = scaling(rows)
    assert scaler.scale[0] == pytest.approx(1e-9, rel=0.1)
    assert (scaler.center[1], scaler.scale[1]) == (123456789.123, pytest.approx(123456.789))
    assert scaler.scale[2] == 1e-3
    assert scaler.scale[3] == pytest.approx(1.0, rel=0.1)


def test_times_that_jitter_have_the_usual_step_and_not_the_commonest():
    rng, seconds = np.random.default_rng(3), np.arange(500) * 1000
    jittered = np.sort(seconds + rng.integers(-300, 300, 500)) * 10**6
    assert step_s(jittered) == pytest.approx(1.0, rel=0.05)
    gaps = np.delete(seconds, rng.choice(500, 150, replace=False)) * 10**6
    assert step_s(gaps) == 1.0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"window": 27}, "window = 27: expected 28 to 2880"),
        ({"seed": -1}, "seed = -1"),
        ({"epochs": -1}, "epochs = -1: expected 0 or more"),
        ({"budget": float("nan")}, "budget = nan: expected above 0"),
    ],
)
def test_an_impossible_option_is_named(changed, reason):
    with pytest.raises(InvalidInput, match=reason):
        Options(**({"name": "pump"} | changed))


def test_names_and_times_no_package_can_have_are_refused_before_the_training():
    columns = dict(zip(TABLE.names, TABLE.rows.T, strict=True))
    long = {"n" * 257 if name == "flow" else name: (TABLE.times_ns, x) for name, x in columns.items()}
    with pytest.raises(InvalidInput, match="a name of 257 characters"):
        train(align(long, AlignPolicy()), OPTIONS, created=NOW)
    dense = {name: (np.arange(len(x), dtype=np.int64) + 1, x) for name, x in columns.items()}
    with pytest.raises(InvalidInput, match="rows are 1e-09 s apart"):
        train(align(dense, AlignPolicy()), OPTIONS, created=NOW)


def test_rows_without_noise_train():
    """Sines and squares of a generator: errors are rounding there, and two normal windows are equally near."""
    at, times = np.arange(1200), 1_700_000_000_000_000_000 + np.arange(1200, dtype=np.int64) * 1_000_000_000
    for columns in ((np.sin(at / 10), np.cos(at / 17)), (at // 10 % 2.0, at % 20.0)):
        table = align({name: (times, x) for name, x in zip("ab", columns, strict=True)}, AlignPolicy())
        found = train(table, OPTIONS, created=NOW)
        self_test(read_package(found.package), Session(read_package(found.package).model))
