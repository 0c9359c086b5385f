"""The trial run of a package, in a process of its own: ``python -m edgead.registry.trial`` reads it from stdin.

A model that crashes onnxruntime, fills memory or never ends takes this process with it and nothing else.  Exit
status 0, or 1 with one line of reason on stderr.
"""

import resource
import subprocess
import sys

from edgead.errors import ModelPackageError
from edgead.onnx import Session
from edgead.package import read_package, self_test

#: Address space and CPU time of the trial; a model of 128 variables takes a tenth of either.
MEMORY_BYTES = 2 * 2**30
CPU_S = 30
WALL_S = 120.0


def run_trial(data: bytes, *, wall_s: float = WALL_S) -> None:
    """Verify a package and run its self-test in a child process.

    Parameters
    ----------
    data : bytes
        The package.
    wall_s : float, optional
        Longest wait.

    Raises
    ------
    ModelPackageError
        With the child's reason, or how it ended.
    """
    command = [sys.executable, "-m", "edgead.registry.trial"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=wall_s, check=False)
    except subprocess.TimeoutExpired:
        raise ModelPackageError(f"the trial run did not end within {wall_s:g} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        told = lines[-1] if done.returncode == 1 and lines else f"ended with status {done.returncode}"
        raise ModelPackageError(told if done.returncode == 1 else f"the trial run {told}")


def main() -> int:
    """The child: limits, verification, self-test."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        package = read_package(sys.stdin.buffer.read())
        self_test(package, Session(package.model))
    except (ModelPackageError, MemoryError) as error:
        print(str(error) or "not enough memory", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
