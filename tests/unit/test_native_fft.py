"""Transforms of any length against NumPy's."""

import numpy as np
import pytest

from edgead import native
from edgead.errors import InvalidInput

LENGTHS = [*range(1, 131), 288, 293, 577, 1440, 1445, 2880, 2885, 3721, 4096, 8640, 8645, 10007]
TOLERANCE = {np.float64: 5e-15, np.float32: 2e-6}


def relative(got, wanted):
    return np.abs(got - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_transform_equals_numpy_at_every_length(dtype):
    rng = np.random.default_rng(1)
    for n in LENGTHS:
        x = rng.normal(size=n).astype(dtype)
        z = (x + 1j * rng.normal(size=n)).astype(np.complex64 if dtype == np.float32 else np.complex128)
        errors = [
            relative(native.fft(z), np.fft.fft(z)),
            relative(native.ifft(z), np.fft.ifft(z)),
            relative(native.rfft(x), np.fft.rfft(x)),
            relative(native.irfft(native.rfft(x), n), x),
        ]
        assert max(errors) < TOLERANCE[dtype], (n, errors)


def test_the_precision_of_the_result_follows_the_input():
    assert native.fft(np.ones(7, np.complex64)).dtype == np.complex64
    assert native.rfft(np.ones(7, np.float32)).dtype == np.complex64
    assert native.irfft(np.ones(4, np.complex64)).dtype == np.float32
    assert native.fft([1, 2, 3]).dtype == np.complex128


def test_a_strided_or_integer_input_is_copied_not_misread():
    x = np.arange(20)
    assert np.allclose(native.rfft(x[::2]), np.fft.rfft(x[::2]))
    assert (x == np.arange(20)).all()


@pytest.mark.parametrize("call", [native.fft, native.ifft, native.rfft, native.irfft])
def test_a_wrong_shape_or_an_empty_array_is_refused(call):
    with pytest.raises(InvalidInput, match="one dimension"):
        call(np.ones((2, 3)))
    with pytest.raises(InvalidInput):
        call(np.ones(0))


def test_irfft_wants_the_bins_of_its_length():
    with pytest.raises(InvalidInput, match="expected n // 2"):
        native.irfft(np.ones(4, complex), 9)
