"""What the compiled core needs and offers: only copying and libm; only ead_ names; no variables."""

import platform
import re
import subprocess

import pytest

from tests.c.build import MCU, MCU_SOURCES, SOURCES, objects, symbols

COPYING = {"memcpy", "memmove", "memset"}  # compilers emit them, so every firmware has them
LIBM = {"sqrt", "sqrtf", "exp", "log", "log1p", "pow", "sin", "cos", "lgamma", "fabs", "fmax", "fmin"}
# Instructions on doubles of the host's processor: what would be a call of __aeabi_d* on a small one.  A conversion
# hidden in an expression passes every warning.
DOUBLE_ARITHMETIC = {
    "x86_64": r"\s(add|sub|mul|div|cvts[is]2|cvtt?|ucomi|comi|sqrt)(sd|pd|sd2s[is])l?q?\s",
    "aarch64": r"\sf(add|sub|mul|div|cvt|cmp|madd|sqrt)\s.*\bd\d+",
}[platform.machine()]
PROCESSOR_CHECK = {
    "__cpu_model",
    "_GLOBAL_OFFSET_TABLE_",
}  # __builtin_cpu_supports, from the compiler's own library


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    return symbols(objects(tmp_path_factory.mktemp("hosted"), SOURCES, "-O3"))


def undefined(found):
    defined = {name for kind, name in found if kind.isupper() and kind != "U"}
    return {name for kind, name in found if kind == "U"} - defined


def test_the_core_needs_nothing_but_copying_and_libm(hosted):
    assert undefined(hosted) - COPYING - LIBM - PROCESSOR_CHECK == set()


def test_every_name_offered_begins_with_the_prefix(hosted):
    offered = {name for kind, name in hosted if kind.isupper() and kind != "U"}
    assert {name for name in offered if not name.startswith(("ead_", "ead32_"))} == set()


def test_there_is_no_variable_in_the_core(hosted):
    assert [name for kind, name in hosted if kind in "bBdDcCsS"] == []


def test_the_microcontroller_build_is_freestanding_and_free_of_double(tmp_path):
    made = objects(tmp_path, MCU_SOURCES, *MCU, "-O2", "-ffreestanding", "-Werror=double-promotion")
    assert undefined(symbols(made)) - COPYING == set()
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", *made], capture_output=True, text=True, check=True
    )
    assert [line for line in code.stdout.splitlines() if re.search(DOUBLE_ARITHMETIC, line)] == []


def test_the_core_compiles_where_doubles_are_computed_wider(tmp_path):
    """As on 32-bit x86, whose older processors compute in 80 bits."""
    wider = {"x86_64": ["-mfpmath=387"], "aarch64": []}[platform.machine()]
    objects(tmp_path, SOURCES, *wider, "-O0")


def test_a_block_of_bins_that_is_too_small_does_not_compile(tmp_path):
    """It gave wrong saliencies."""
    source = next(path for path in MCU_SOURCES if path.stem == "ead_slide")
    objects(tmp_path, [source], "-DEAD_SLIDE_BLOCK_LOG2=3")
    with pytest.raises(AssertionError, match="ead_i_block_holds_a_piece"):
        objects(tmp_path, [source], "-DEAD_SLIDE_BLOCK_LOG2=2")
