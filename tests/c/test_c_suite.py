"""Builds and runs the C suite under the sanitizers, in each way the core is built."""

import subprocess

import pytest

from tests import sanitized
from tests.c.build import INCLUDES, LANGUAGE, MCU, MCU_SOURCES, ROOT, SANITIZERS, SOURCES, gcc


def whole_core():
    """The objects of the sanitized extension: the core in double and, beside it, in float."""
    sanitized.build()
    return [sanitized.BUILD / f"temp/csrc/src/{source.stem}.o" for source in SOURCES]


BUILDS = {
    "double": ([], whole_core),
    "float beside double": (["-DSUITE_F32"], whole_core),
    "float alone, as on a microcontroller": (MCU, lambda: MCU_SOURCES),
}


@pytest.mark.parametrize("build", BUILDS)
def test_the_suite_passes_under_the_sanitizers(build, tmp_path):
    flags, core = BUILDS[build]
    program = tmp_path / "suite"
    suite = [ROOT / "tests/c/suite.c", ROOT / "tests/c/states.c"]
    gcc(*LANGUAGE, *SANITIZERS, *flags, *INCLUDES, *suite, *core(), "-lm", "-o", program)
    done = subprocess.run([program, ROOT / "tests/data/kernel_golden.txt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout
