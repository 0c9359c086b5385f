"""The binding's objects under rough use: read-only arrays, half-made objects, copies, calls that overlap."""

import copy
import pickle
import threading

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.native import (
    Fusion,
    Order,
    PatchBank,
    RowHistory,
    Slide,
    SlideTable,
    SpectralResidual,
    fft,
    ifft,
    irfft,
    rfft,
    saliency,
    svc_adf,
    svc_change_points,
    svc_esd,
    svc_fill,
    svc_kpss,
    svc_median,
    svc_order,
    svc_phase_errors,
    svc_residual_score,
    svc_running_median,
    svc_spline,
    svc_stl,
    svc_theil_sen,
)

VALUES = np.sin(np.arange(120) / 4) + np.arange(120) % 7
PLACES = np.arange(120, dtype=np.uint32)

TAKERS = {
    "fft": lambda v, places: fft(v.view(np.complex128)),
    "ifft": lambda v, places: ifft(v.view(np.complex128)),
    "rfft": lambda v, places: rfft(v),
    "irfft": lambda v, places: irfft(v.view(np.complex128), 118),
    "saliency": lambda v, places: saliency(v),
    "slide": lambda v, places: Slide(20).feed_all(v),
    "spectral": lambda v, places: SpectralResidual(20).judge_many(v, places)[0],
    "rows": lambda v, places: RowHistory(20).rows(v),
    "order": lambda v, places: svc_order(v),
    "median": lambda v, places: svc_median(v),
    "running median": lambda v, places: svc_running_median(v, 3),
    "Theil-Sen": lambda v, places: svc_theil_sen(v),
    "spline": lambda v, places: svc_spline(v, 4),
    "STL": lambda v, places: svc_stl(v, 7),
    "phase errors": lambda v, places: svc_phase_errors(v, places[2:9]),
    "ESD": lambda v, places: svc_esd(v, 0, 9, False),
    "residual score": lambda v, places: svc_residual_score(v),
    "ADF": lambda v, places: svc_adf(v),
    "KPSS": lambda v, places: svc_kpss(v),
    "fill": lambda v, places: svc_fill(places, v, 7, 120),
    "change points": lambda v, places: svc_change_points(v, 0.1, 5),
}


@pytest.mark.parametrize("name", TAKERS)
def test_arrays_that_must_not_be_written_are_read(name):
    """Arrays over files or bytes, and columns of a data frame, are read-only."""
    fixed, places = VALUES.copy(), PLACES.copy()
    fixed.flags.writeable = places.flags.writeable = False
    np.testing.assert_equal(TAKERS[name](fixed, places), TAKERS[name](VALUES.copy(), PLACES.copy()))


KINDS = {
    Slide: (20,),
    Order: (20,),
    SpectralResidual: (20,),
    RowHistory: (20,),
    PatchBank: (4, 8),
    Fusion: (4, 8),
    SlideTable: (20, False, 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_was_not_made_does_not_exist(kind):
    with pytest.raises(TypeError):
        kind.__new__(kind)
    with pytest.raises((InvalidInput, OverflowError)):
        kind(2**40, *KINDS[kind][1:])


@pytest.mark.parametrize("kind", [Slide, Order, SpectralResidual, RowHistory, PatchBank, Fusion])
def test_a_state_is_copied_by_dump_and_load_only(kind):
    made = kind(*KINDS[kind])
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(made)
    other = kind(*KINDS[kind])
    other.load(made.dump())
    assert other.dump() == made.dump()


@pytest.mark.parametrize("kind", [Slide, SpectralResidual, RowHistory])
def test_calls_of_two_threads_that_overlap_leave_a_sound_state(kind):
    made, values = kind(97), np.random.default_rng(1).normal(size=20_000)
    take = {Slide: "feed_all", SpectralResidual: "judge_many", RowHistory: "rows"}[kind]
    start = threading.Barrier(2)

    def work():
        start.wait()
        for _ in range(5):
            getattr(made, take)(values)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kind(97).load(made.dump())
