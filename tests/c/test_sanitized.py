"""The binding under AddressSanitizer: it loads, it works, and it does catch an error."""

from tests import sanitized

KERNEL_TESTS = [
    "tests/unit/test_native_fft.py",
    *(f"tests/property/test_{name}.py" for name in ("saliency", "slide", "order")),
]


def test_the_kernel_passes_its_tests_on_the_sanitized_build():
    done = sanitized.run("-m", "pytest", "-q", "-k", "not million", *KERNEL_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_detector_passes_its_properties_on_the_sanitized_build():
    tests = [f"tests/property/test_{name}.py" for name in ("spectral", "rows", "fuse")]
    done = sanitized.run("-m", "pytest", "-q", *tests, "-k", "not twin")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sanitized_build_is_the_one_that_is_loaded():
    done = sanitized.run("-c", "from edgead.native import _kernel; print(_kernel.__file__)")
    assert str(sanitized.BUILD) in done.stdout, done.stdout + done.stderr


def test_a_write_past_a_lent_block_is_caught_and_names_its_line():
    lie = """
import ctypes
from edgead.native import _kernel
core = ctypes.CDLL(_kernel.__file__)
plan, work, much = (ctypes.c_double * 40)(), (ctypes.c_double * 400)(), ctypes.c_size_t(1 << 20)
core.ead_fft_plan_init(plan, much, ctypes.c_size_t(64), 0, work, much)
"""
    done = sanitized.run("-c", lie)
    assert done.returncode == sanitized.EXIT_CODE, done.stdout + done.stderr
    assert "ead_fft.c" in done.stderr
