"""Builds and runs the C suite under the sanitizers, in each way the core is built."""

import subprocess

import pytest

from tests.c.build import INCLUDES, LANGUAGE, MCU, MCU_SOURCES, ROOT, SANITIZERS, SOURCES, gcc

BUILDS = {
    "double": ([], SOURCES),
    "float beside double": (["-DSUITE_F32"], SOURCES),
    "float alone, as on a microcontroller": (MCU, MCU_SOURCES),
}


@pytest.mark.parametrize("build", BUILDS)
def test_the_suite_passes_under_the_sanitizers(build, tmp_path):
    flags, sources = BUILDS[build]
    program = tmp_path / "suite"
    gcc(*LANGUAGE, *SANITIZERS, *flags, *INCLUDES, ROOT / "tests/c/suite.c", *sources, "-lm", "-o", program)
    done = subprocess.run([program, ROOT / "tests/data/kernel_golden.txt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout
