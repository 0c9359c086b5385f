"""Order statistics of the last values: equal to NumPy's over the same values, after any history."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgead import native
from edgead.errors import InvalidInput, NativeError

VALUES = st.integers(-3, 3).map(float) | st.floats(-1e9, 1e9, width=32)  # many ties, and any
HISTORIES = st.lists(VALUES, min_size=1, max_size=150)
WINDOWS = st.integers(1, 100)


def check(order, held):
    held = np.array(held, np.float32 if order.single else np.float64)
    assert order.count == len(held)
    median = np.median(held)
    assert order.median == median
    assert order.mad == np.median(np.abs(held - median))
    tolerance = (1e-6 if order.single else 1e-14) * float(np.abs(held).max())
    for share in (0.0, 0.1, 0.5, 0.99, 1.0):
        wanted = np.quantile(held.astype(float), share)
        assert order.quantile(share) == pytest.approx(wanted, rel=0, abs=tolerance)


@given(WINDOWS, HISTORIES, st.booleans())
def test_equals_numpy_after_every_value(window, history, single):
    order = native.Order(window, single=single)
    for i, x in enumerate(history):
        order.push(x)
        check(order, history[max(0, i + 1 - window) : i + 1])


@given(WINDOWS, HISTORIES, st.booleans(), st.lists(st.tuples(st.integers(0, 99), VALUES), max_size=20))
def test_a_corrected_value_counts_as_if_it_had_come_so(window, history, single, corrections):
    order = native.Order(window, single=single)
    for x in history:
        order.push(x)
    for age, x in corrections:
        if age < min(window, len(history)):
            order.replace(age, x)
            history[len(history) - 1 - age] = x
    for x in (1.0, -1.0):
        check(order, history[-window:])
        order.push(x)
        history.append(x)


@pytest.mark.parametrize("window", [1000, 1440, 4096])
@pytest.mark.parametrize("single", [False, True])
def test_long_windows_with_long_moves(window, single):
    rng = np.random.default_rng(window)
    history = np.concatenate([np.arange(window), -np.arange(window), rng.normal(size=window)]).astype(
        np.float32
    )
    order = native.Order(window, single=single)
    for i, x in enumerate(history):
        order.push(x)
        if i % 331 == 0 or i == len(history) - 1:
            check(order, history[max(0, i + 1 - window) : i + 1])


@given(WINDOWS, HISTORIES, st.booleans(), st.data())
def test_a_checkpoint_goes_on_the_same(window, history, single, data):
    cut = data.draw(st.integers(0, len(history)))
    first, second = native.Order(window, single=single), native.Order(window, single=single)
    for x in history[:cut]:
        first.push(x)
    second.load(first.dump())
    for x in history[cut:]:
        first.push(x)
        second.push(x)
    assert first.dump() == second.dump()


@given(st.booleans(), st.data())
def test_a_damaged_checkpoint_is_refused_or_still_in_order(single, data):
    order = native.Order(30, single=single)
    for x in np.sin(np.arange(data.draw(st.integers(0, 70)))):
        order.push(x)
    state = bytearray(order.dump())
    state[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    other = native.Order(30, single=single)
    with contextlib.suppress(NativeError):
        other.load(bytes(state))
    for x in np.cos(np.arange(100.0)):
        other.push(x)
    check(other, np.cos(np.arange(70.0, 100.0)))


@pytest.mark.parametrize("single", [False, True])
def test_what_cannot_be_taken_or_answered_is_refused(single):
    order = native.Order(5, single=single)
    for ask in (
        lambda: order.median,
        lambda: order.mad,
        lambda: order.quantile(0.5),
        lambda: order.replace(0, 1.0),
    ):
        with pytest.raises(InvalidInput):
            ask()
    order.push(1.0)
    before = order.dump()
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(InvalidInput, match="NaN"):
            order.push(bad)
        with pytest.raises(InvalidInput, match="NaN"):
            order.replace(0, bad)
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(InvalidInput, match="range"):
            order.quantile(share)
    with pytest.raises(InvalidInput, match="range"):
        order.replace(1, 0.0)
    assert order.dump() == before
    for window in (0, 65537):
        with pytest.raises(InvalidInput, match=r"1..65536"):
            native.Order(window)
    with pytest.raises(NativeError):
        native.Order(6, single=single).load(before)


def test_the_state_is_as_small_as_promised():
    assert len(native.Order(1440, single=True).dump()) == 8 * 1440 + 24
