"""The trial run of a package, in a process of its own: ``python -m edgead.registry.trial`` reads it from stdin.

A model that crashes onnxruntime, fills memory or never ends takes this process with it and nothing else.  Exit
status 0, or 1 with one line of reason on stderr.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgead.errors import ModelPackageError
from edgead.multivariate import Scorer
from edgead.package import Package, UnivariatePackage, open_package, self_test
from edgead.stream.batch import MOST

#: Memory of its own and CPU time of the trial; a model of 128 variables takes a tenth of either.
MEMORY_BYTES = 512 * 2**20
CPU_S = 30
WALL_S = 120.0
#: Judgements timed.
TIMED = 5
#: A model of one variable knows no step; one that is slower than this could not watch twenty readings a second.
READING_S = 0.05
#: Characters of a reason that are passed on: part of it is a stranger's text, as long as the package may be.
REASON_CHARS = 300
COMMAND = (sys.executable, "-P", "-m", "edgead.registry.trial")


def run_trial(data: bytes, *, wall_s: float = WALL_S, command: Sequence[str] = COMMAND) -> None:
    """Verify a package and run its self-test in a child process.

    Parameters
    ----------
    data : bytes
        The package.
    wall_s : float, optional
        Longest wait.
    command : sequence of str, optional
        The child.

    Raises
    ------
    ModelPackageError
        With the child's reason, or how it ended.
    """
    # nothing secret in the environment of a process that runs a stranger's model
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH") if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=wall_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise ModelPackageError(f"the trial run did not end within {wall_s:g} s") from None
    except OSError as error:
        raise ModelPackageError(f"no process for the trial run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        told = lines[-1] if done.returncode == 1 and lines else f"ended with status {done.returncode}"
        raise ModelPackageError(told if done.returncode == 1 else f"the trial run {told}")


def main() -> int:
    """The child: limits, verification, self-test."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        package = open_package(sys.stdin.buffer.read())
        try_package(package)
    except MemoryError:
        print(f"the trial run needs more than {MEMORY_BYTES // 2**20} MiB", file=sys.stderr)
        return 1
    except ModelPackageError as error:
        print(_one_line(str(error)), file=sys.stderr)
        return 1
    return 0


def try_package(package: Package) -> None:
    """Run the self-test here, and refuse a model that cannot keep up with its rows.

    Raises
    ------
    ModelPackageError
        With the reason.
    """
    try:
        from edgead.onnx import Session  # a registry can be read where no model can run
    except ModuleNotFoundError as error:
        raise ModelPackageError(f"{error.name} is not installed on this machine") from None
    session = Session(package.model)
    self_test(package, session)
    if isinstance(package, UnivariatePackage):
        histories = package.self_test.histories
        session.run(
            np.resize(histories, (MOST, *histories.shape[1:]))
        )  # the memory of as many as a device judges
        history = histories[:1]
        took_s = _fastest_s(lambda: session.run(history))
        if took_s > READING_S:
            raise ModelPackageError(f"a reading takes {took_s:.2g} s to judge here, at most {READING_S:g} s")
        return
    manifest = package.manifest
    scorer, window = Scorer(manifest, session), package.self_test.rows[: manifest.window]
    took_s = _fastest_s(lambda: scorer.judge(window))
    if took_s > manifest.step_s:
        raise ModelPackageError(
            f"a row takes {took_s:.2g} s to judge here, and one comes every {manifest.step_s:g} s"
        )


def _fastest_s(judge: Callable[[], object]) -> float:
    """Time of one judgement; the fastest counts, other work may be slowing this machine."""
    took = []
    for _ in range(TIMED):
        start = time.perf_counter()
        judge()
        took.append(time.perf_counter() - start)
    return min(took)


def _one_line(reason: str) -> str:
    """Printable, and not too long: part of it is a stranger's text."""
    line = "".join(each if each.isprintable() else " " for each in reason)
    return line if len(line) <= REASON_CHARS else f"{line[:REASON_CHARS]} ..."


if __name__ == "__main__":
    sys.exit(main())
