"""The clocks that a process sees, moved while it runs: compiles the shim and writes what it reads."""

import os
import struct
import subprocess
import time
from pathlib import Path


def build(folder: Path) -> Path:
    """Compile the shim."""
    target, source = folder / "clock_steps.so", Path(__file__).with_name("clock_steps.c")
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([os.environ.get("CC", "gcc").split()[0], *flags, source, "-o", target], check=True)
    return target


class Clocks:
    """Steps and suspends.

    Attributes
    ----------
    env : dict of str to str
        Environment of the process.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clocks"
        self.env = {"LD_PRELOAD": str(build(folder)), "CLOCK_STEPS": str(self._path)}
        self._step_s = self._suspended_s = 0.0
        self._write()

    def _write(self) -> None:
        moved = struct.pack("qq", int(self._step_s * 1e9), int(self._suspended_s * 1e9))
        with open(self._path, "r+b" if self._path.exists() else "wb") as file:
            file.write(moved)

    def step_to(self, second: float) -> None:
        """Set the wall clock."""
        self.step_by(second - (time.time() + self._step_s + self._suspended_s))

    def step_by(self, seconds: float) -> None:
        self._step_s += seconds
        self._write()

    def right(self) -> None:
        """Undo every step."""
        self.step_by(-self._step_s)

    def suspend(self, seconds: float) -> None:
        """Let time pass as in a suspend."""
        self._suspended_s += seconds
        self._write()
